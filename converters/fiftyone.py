"""A FiftyOne dataset folder (`fiftyone.types.FiftyOneDataset`), both ways.

::

    metadata.json    what fields samples and labels have     data/    the images
    samples.json     {"samples": [...]}, BSON as extended JSON

Layout as FiftyOne 1.22 writes and reads it (`fiftyone/utils/data/exporters.py`, `importers.py`). Every
artifact is a filled polyline in the field `artifacts`, with phrase, explanation, rater and so on as its own
attributes, and every field of an image is a field of its sample, so the App shows and filters by all of them.
`split` is a tag as well. What is nested without a fixed form (`extra`, the parameters of a generator) is JSON
text, since the database behind FiftyOne refuses some keys.

Read are folders of others too: polylines, detections (with masks or not) and segmentations in fields of any
name; every other field is kept in `extra` and written again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from synthscars.converters.fiftyone_read import SampleReader, samples
from synthscars.converters.fiftyone_schema import NAMESPACE
from synthscars.converters.fiftyone_write import SampleWriter
from synthscars.converters.holds import everything_but, narrow
from synthscars.converters.losses import Losses
from synthscars.converters.pictures import NO_PICTURES, SourcePictures, TargetPictures
from synthscars.converters.reading import Where, plain
from synthscars.files import atomic_file, atomic_folder
from synthscars.problems import Problems
from synthscars.records import ImageRecord

HOLDS = everything_but(
    outlines="rounded",
    namespace=NAMESPACE,
    note="Artifacts are filled polylines in the field `artifacts`. Where rings of one artifact overlap, "
    "FiftyOne draws a hole.",
)


def write(
    records: Iterable[ImageRecord],
    target: Path,
    problems: Problems,
    *,
    pictures: TargetPictures = NO_PICTURES,
) -> int:
    """Write a dataset folder, which must not exist yet; returns how many images.

    Open it with `fiftyone.Dataset.from_dir(dataset_dir=..., dataset_type=fiftyone.types.FiftyOneDataset)`.
    """
    losses = Losses(str(target), problems)
    with atomic_folder(target) as folder:
        writer = SampleWriter(folder, plain(target.name), pictures, losses)
        with atomic_file(folder / "samples.json") as file:
            file.write(b'{"samples": [')
            for record in narrow(records, HOLDS, losses):
                file.write(b",\n" if writer.count else b"\n")
                file.write(msgspec.json.encode(writer.sample(record)))
            file.write(b"\n]}\n")
        with atomic_file(folder / "metadata.json") as file:
            file.write(msgspec.json.format(msgspec.json.encode(writer.metadata()), indent=1))
    losses.report()
    return writer.count


def read(source: Path, problems: Problems, *, images: Path | None = None) -> Iterator[ImageRecord]:
    """Read a dataset folder; images are looked for in `images` as well as in its `data/`.

    A sample without `status` is annotated if it has regions, else unlabelled. Frames and videos are reported
    and not read. Raises `FormatError` if `samples.json` cannot be read.
    """
    where = Where(problems, str(source))
    data = source / "data"
    folders = [images, source, data] if data.is_dir() else [images]
    reader = SampleReader(source, SourcePictures(folders, NAMESPACE), where)
    if any((source / name).exists() for name in ("frames.json", "frames")):
        where.warn("frames.ignored", "the labels of video frames are not read", "export the frames as images")
    for name, sample in samples(source, where):
        record = reader.record(name, sample)
        if record is not None:
            yield record
