"""The formats by name: which module has each, how it is recognised, and how one becomes another.

A module of a format has `read(source, problems, *, images=None) -> Iterator[ImageRecord]`,
`write(records, target, problems, *, pictures=NO_PICTURES) -> int` (or only one of them) and `HOLDS`, which
says what the format can hold. A format that has images inside its files also has
`images_of(source) -> Finder`, which finds them. The modules are imported when they are used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from synthscars.converters.detection import Evidence
from synthscars.problems import Problems, UsageError
from synthscars.records import ImageRecord

if TYPE_CHECKING:
    from synthscars.converters.holds import Holds
    from synthscars.converters.pictures import Finder, How, TargetPictures


class Format(NamedTuple):
    """One format.

    suffixes: of its files; none: it is a folder. folder: it may be a folder. writes: there is a writer.
    embeds: images can be put into its files. needs_size: it cannot hold an image whose size in pixels is not
    known. recognise: whether something looks like it.
    """

    name: str
    what: str
    suffixes: tuple[str, ...]
    recognise: Callable[[Evidence], bool]
    folder: bool = False
    reads: bool = True
    writes: bool = True
    embeds: bool = False
    needs_size: bool = False
    module: str = ""

    def load(self) -> Any:
        """The module of the format."""
        return import_module(self.module or f"synthscars.converters.{self.name.replace('-', '_')}")

    @property
    def holds(self) -> Holds:
        """What the format can hold."""
        found: Holds = self.load().HOLDS
        return found

    def has_suffix(self, path: Path) -> bool:
        """Whether a file of that name would be one of this format."""
        return bool(self.suffixes) and path.name.lower().endswith(self.suffixes)


def _has(value: Any, *keys: str) -> bool:
    return isinstance(value, dict) and all(key in value for key in keys)


def _is_published(found: Evidence) -> bool:
    if found.is_folder:
        inside = found.within(
            "annotations/*.json", "annoations/*.json", "*/annotations/*.json", "*/annoations/*.json"
        )
        return inside is not None and _is_published(inside)
    entry = found.first
    if not isinstance(entry, dict) or len(entry) != 1:
        return False
    return _has(next(iter(entry.values())), "img_file_name")


def _is_task(found: Evidence) -> bool:
    return found.head.startswith("[") and _has(found.first, "data") and isinstance(found.first["data"], dict)


def _is_region(found: Evidence) -> bool:
    named = found.name.endswith(".regions.jsonl")  # also a table without rows
    return named or (found.name.endswith(".jsonl") and _has(found.first, "polygons"))


def _is_shapes(found: Evidence) -> bool:
    each = found.within("*.json", "*/*.json") if found.is_folder else found
    return each is not None and "shapes" in each.keys


def _is_grounded(found: Evidence) -> bool:
    each = found.within("*/annotations/*.json", "annotations/*.json") if found.is_folder else found
    return each is not None and each.head.startswith("[") and _has(each.first, "caption", "groundings")


def _is_coco(found: Evidence) -> bool:
    places = ("annotations/instances_*.json", "annotations/*.json", "*/_annotations.coco.json", "*.json")
    each = found.within(*places) if found.is_folder else found
    return each is not None and {"images", "annotations"} <= each.keys


def _is_masks(found: Evidence) -> bool:
    if "masks.jsonl" in found:
        return True
    folders = ("masks", "mask", "labels", "annotations", "ann_dir", "SegmentationClass")
    images = (f"{above}{name}/**/*.png" for above in ("", "*/") for name in folders)
    return "data.yaml" not in found and any(pattern in found for pattern in images)


def _is_lisa(found: Evidence) -> bool:
    # Not what is in `explanatory`, which is another kind of file.
    inside = ("train/*.json", "val/*.json", "test/*.json", "*.json")
    each = found.within(*inside) if found.is_folder else found
    return each is not None and {"text", "is_sentence", "shapes"} <= each.keys


def _is_loki(found: Evidence) -> bool:
    places = ("open_ended_vqa.json", "image/open_ended_vqa.json", "data_json/image/open_ended_vqa.json")
    each = found.within(*places) if found.is_folder else found
    return each is not None and each.head.startswith("[") and _has(each.first, "image_path", "problems")


def _is_cvat(found: Evidence) -> bool:
    each = found.within("annotations.xml", "*.xml") if found.is_folder else found
    return each is not None and "<annotations" in each.head[:2000]


FORMATS: dict[str, Format] = {
    each.name: each
    for each in (
        Format(
            "records",
            "synthscars' own records, one JSON object a line; nothing is lost",
            (".jsonl", ".jsonl.zst"),
            lambda found: found.name.endswith((".jsonl", ".jsonl.zst")) and not _is_region(found),
            module="synthscars.converters.records_file",
        ),
        Format(
            "release",
            "a SynthScars release: Parquet with the images in it, opened by load_dataset",
            (".parquet",),
            lambda found: (
                found.name.endswith(".parquet") or "data/*.parquet" in found or "*.parquet" in found
            ),
            folder=True,
            embeds=True,
            needs_size=True,
            module="synthscars.release.as_format",
        ),
        Format(
            "labelstudio",
            "raw JSON of Label Studio: exports, and tasks to import",
            (".json", ".json.zst"),
            lambda found: found.name.endswith(".json.zst") or _is_task(found),
            needs_size=True,
        ),
        Format(
            "synthscars-json",
            "the published SynthScars layout: a folder, or one annotation file",
            (".json",),
            _is_published,
            folder=True,
        ),
        Format(
            "gcg",
            "grounded conversations (GCG), as LEGION and GLaMM are trained on",
            (".json",),
            _is_grounded,
            folder=True,
            needs_size=True,
        ),
        Format(
            "coco",
            "COCO instances: polygons or RLE, with raters and texts as extra keys",
            (".json",),
            _is_coco,
            folder=True,
            needs_size=True,
        ),
        Format(
            "lisa",
            "reasoning segmentation as LISA has it: one JSON with points and text per image",
            (),
            _is_lisa,
            folder=True,
        ),
        Format(
            "loki",
            "LOKI's open_ended_vqa.json: boxes with text",
            (".json",),
            _is_loki,
            folder=True,
            writes=False,
        ),
        Format(
            "richhf",
            "RichHF-18K TFRecords: heat maps and misaligned words",
            (".tfrecord", ".tfrecords"),
            lambda found: ".tfrecord" in found.name or "*.tfrecord*" in found,
            folder=True,
            writes=False,
        ),
        Format(
            "masks",
            "mask PNGs as PAL4VST has them: binary, indexed, or one a region",
            (),
            _is_masks,
            folder=True,
            needs_size=True,
        ),
        Format(
            "yolo",
            "YOLO segmentation: data.yaml, one text file per image",
            (),
            lambda found: (
                found.name == "data.yaml" or any(one in found for one in ("data.yaml", "labels/**/*.txt"))
            ),
            folder=True,
            needs_size=True,
        ),
        Format(
            "labelme",
            "labelme: one JSON with shapes per image",
            (),
            lambda found: _is_shapes(found) and not _is_lisa(found),
            folder=True,
            embeds=True,
        ),
        Format(
            "cvat",
            "CVAT for images 1.1: one XML file",
            (".xml",),
            _is_cvat,
            folder=True,
            needs_size=True,
        ),
        Format(
            "datumaro",
            "Datumaro: one JSON per subset",
            (".json",),
            lambda found: (
                {"items", "categories"}
                <= (found.within("annotations/*.json") or found if found.is_folder else found).keys
            ),
            folder=True,
            needs_size=True,
        ),
        Format(
            "fiftyone",
            "a FiftyOne dataset folder (FiftyOneDataset)",
            (),
            lambda found: "metadata.json" in found and ("samples.json" in found or "samples/*.json" in found),
            folder=True,
            needs_size=True,
        ),
        Format(
            "regions",
            "a table with one region a line, for spreadsheets: CSV or JSON Lines",
            (".csv", ".regions.jsonl"),
            lambda found: found.name.endswith(".csv") or _is_region(found),
        ),
    )
}


def format_named(name: str) -> Format:
    """The format of that name. Raises `UsageError` naming those there are."""
    if name not in FORMATS:
        raise UsageError(f"there is no format {name!r}", fix=f"formats: {', '.join(FORMATS)}")
    return FORMATS[name]


def read(
    source: Path, problems: Problems, name: str | None = None, *, images: Path | None = None
) -> Iterator[ImageRecord]:
    """Read any known format, recognised by its content unless named.

    images: the folder of the images, if they are not where the format has them.

    Raises `UsageError` if the format cannot be told, `FormatError` if the source cannot be read.
    """
    chosen = format_named(name) if name else detect(source)
    found: Iterator[ImageRecord] = chosen.load().read(source, problems, images=images)
    return found


def write(
    records: Iterable[ImageRecord],
    target: Path,
    problems: Problems,
    name: str | None = None,
    *,
    pictures: TargetPictures | None = None,
) -> int:
    """Write any known format, told by the name of the target unless named; returns how many images.

    pictures: where the image files come from, and whether they are copied, linked, embedded or left alone
    (the default). What the format cannot hold is reported once per kind, as `loss.*`. Raises `UsageError` if
    the format cannot be told or written.
    """
    from synthscars.converters.pictures import NO_PICTURES

    chosen = format_named(name) if name else by_suffix(target)
    _check_writes(chosen)
    if chosen.needs_size:
        records = _with_size(records, target, problems)
    return int(chosen.load().write(records, target, problems, pictures=pictures or NO_PICTURES))


class Conversion(msgspec.Struct, frozen=True, kw_only=True):
    """What `convert` did. from_, to: names of formats; written: images in the target."""

    source: str
    from_: str = msgspec.field(name="from")
    target: str
    to: str
    images: int
    artifacts: int
    written: int


def convert(
    source: Path,
    target: Path,
    problems: Problems,
    *,
    from_: str | None = None,
    to: str | None = None,
    images: Path | None = None,
    how: How | None = None,
    dry_run: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Conversion:
    """Read one format and write another, image by image.

    from_, to: names of formats, if content and name do not tell them. images: the folder of the images, if
    they are not with `source`. how: what becomes of them; by default they are copied into a folder, and left
    alone beside a single file. dry_run: read, count what would be lost, write nothing. progress: called with
    1 for every image.

    Raises `UsageError` if the call makes no sense or `target` exists, `FormatError` if `source` as a whole
    cannot be read.
    """
    from synthscars.converters.pictures import TargetPictures

    reader = format_named(from_) if from_ else detect(source)
    writer = format_named(to) if to else by_suffix(target)
    if target.exists() and not dry_run:
        raise UsageError(f"{target} exists already", fix="choose another name, or remove it first")
    if how == "embed" and not writer.embeds:
        able = ", ".join(each.name for each in FORMATS.values() if each.embeds)
        raise UsageError(f"{writer.name} cannot embed images", fix=f"copy or link them; embedding: {able}")
    find = _finder(reader, source, images)
    pictures = TargetPictures(find, how or ("none" if writer.has_suffix(target) else "copy"))
    counts: Counter[str] = Counter()

    def counted() -> Iterator[ImageRecord]:
        for record in read(source, problems, reader.name, images=images):
            counts["images"] += 1
            counts["artifacts"] += len(record.artifacts)
            if progress:
                progress(1)
            yield record

    if dry_run:
        written = _count_losses(counted(), writer, target, problems)
    else:
        written = write(counted(), target, problems, writer.name, pictures=pictures)
    return Conversion(
        source=str(source),
        from_=reader.name,
        target=str(target),
        to=writer.name,
        images=counts["images"],
        artifacts=counts["artifacts"],
        written=written,
    )


def _finder(reader: Format, source: Path, images: Path | None) -> Finder:
    """Finds the images of a source: inside it, in the folder that was named, or where they are by custom."""
    from synthscars.converters.pictures import by_hash, first_of

    beside = [source] if source.is_dir() else [source.parent / "images"]
    files = by_hash([images] if images else [folder for folder in beside if folder.is_dir()])
    inside = getattr(reader.load(), "images_of", None)
    return first_of(inside(source), files) if inside else files


def _count_losses(records: Iterable[ImageRecord], writer: Format, target: Path, problems: Problems) -> int:
    from synthscars.converters.holds import narrow
    from synthscars.converters.losses import Losses

    _check_writes(writer)
    if writer.needs_size:
        records = _with_size(records, target, problems)
    losses = Losses(str(target), problems)
    count = sum(1 for _ in narrow(records, writer.holds, losses))
    losses.report()
    return count


def _check_writes(format: Format) -> None:
    if not format.writes:
        fix = "`synthscars formats` lists what can be written"
        raise UsageError(f"{format.name} can only be read", fix=fix)


def _with_size(records: Iterable[ImageRecord], target: Path, problems: Problems) -> Iterator[ImageRecord]:
    for record in records:
        if record.width > 0 and record.height > 0:
            yield record
        else:
            problems.add(
                "image.no_size",
                f"{record.file_name}: its size is not known, and the format needs it: left out",
                fix="convert where the images are at hand",
                file=str(target),
                image=record.image_id,
            )


def by_suffix(target: Path) -> Format:
    """The format that a file or folder of this name would be. Raises `UsageError` if that is not plain."""
    able = [each for each in FORMATS.values() if each.writes]
    found = [each for each in able if each.has_suffix(target)]
    if not target.suffix:
        found = [each for each in able if each.folder]
    longest = max((len(suffix) for each in found for suffix in _fitting(each, target)), default=0)
    found = [each for each in found if not longest or longest in map(len, _fitting(each, target))]
    if len(found) != 1:
        among = ", ".join(each.name for each in found or able)
        raise UsageError(f"{target}: the name does not tell the format", fix=f"say which: {among}")
    return found[0]


def _fitting(format: Format, path: Path) -> list[str]:
    return [suffix for suffix in format.suffixes if path.name.lower().endswith(suffix)]


def detect(source: Path) -> Format:
    """The format of a file or folder, by its content. Raises `UsageError` if it cannot be told."""
    found = Evidence(source)
    for each in FORMATS.values():
        if found.is_folder and not each.folder:
            continue
        if each.reads and each.recognise(found):
            return each
    raise UsageError(
        f"{source}: the format cannot be told",
        fix=f"say which: {', '.join(each.name for each in FORMATS.values() if each.reads)}",
    )
