"""What is known of the images of a release, read one by one, without the images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from synthscars.problems import FormatError, Problems, ReleaseError, SynthScarsError
from synthscars.records import ImageRecord
from synthscars.release.files import DataFile, data_files, detection_files

ALL = "all"
_NOT_NEEDED = frozenset({"image", "rater_list", "rater_artifacts"})


def split_sizes(source: Path) -> dict[str, int]:
    """Split → number of images, photographs for detection alone among them; `""`: of no named split.

    Raises `FormatError` if there is no Parquet file, or one cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    sizes: Counter[str] = Counter()
    for file in _files(source, ALL):
        try:
            sizes[file.split] += pq.read_metadata(file.path).num_rows
        except (OSError, pa.ArrowException) as error:
            raise FormatError(f"{file.path}: {error}", fix="fetch or build the release again") from error
    return dict(sizes)


def read_truth(source: Path, split: str, problems: Problems) -> Iterator[ImageRecord]:
    """The records of a split of a release (`all`: of every split), as `synthscars convert` reads them.

    What is wrong with a row, or with a region, is a problem; a second row of an image is passed over. Files
    that the manifest names and that are not there are problems.
    """
    from synthscars.release.as_format import read

    _check_whole(source, split, problems)
    seen: set[str] = set()
    for file in _files(source, split):
        for record in read(file.path, problems):
            if record.image_id in seen:
                problems.add(
                    "record.duplicate",
                    "another row has the same image; only the first is used",
                    fix="build the release again",
                    file=str(file.path),
                    image=record.image_id,
                )
                continue
            seen.add(record.image_id)
            yield msgspec.structs.replace(record, split=file.split)


def image_ids(source: Path) -> set[str]:
    """The ids of all images of a release, whatever their split."""
    import pyarrow.parquet as pq

    return {
        str(image_id)
        for file in _files(source, ALL)
        for image_id in pq.read_table(file.path, columns=["image_id"])["image_id"].to_pylist()
    }


def _files(source: Path, split: str) -> list[DataFile]:
    files = [*data_files(source), *detection_files(source)]
    return [file for file in files if split in (ALL, file.split)]


def _check_whole(source: Path, split: str, problems: Problems) -> None:
    from synthscars.release.manifest import MANIFEST_NAME, read_manifest

    if not (source / MANIFEST_NAME).is_file():
        return
    try:
        manifest = read_manifest(source)
    except ReleaseError as error:
        problems.add(
            "manifest.unreadable", error.message, severity="warning", file=str(source / MANIFEST_NAME)
        )
        return
    for shard in manifest.files:
        if split in (ALL, shard.split) and not (source / shard.path).is_file():
            problems.add(
                "file.missing",
                f"{shard.rows} images of the release are in it, and it is not there",
                fix="restore it, or build the release again",
                file=str(source / shard.path),
            )


def read_published(name: str, split: str, problems: Problems, revision: str = "") -> Iterator[ImageRecord]:
    """As `read_truth`, of a dataset on the Hugging Face Hub; pictures are not fetched.

    name: `org/name`, or the folder of one. revision: a tag or commit, the newest if empty. Raises
    `SynthScarsError` if it cannot be reached or has no such split.
    """
    from synthscars.example_rows import record_of
    from synthscars.examples import to_record

    seen: set[str] = set()
    for config in ("default", "detection"):
        for number, row in enumerate(_published_rows(name, config, split, revision)):
            if str(row.get("image_id")) in seen:
                continue
            try:
                if config == "default":
                    record = to_record(row, split)
                else:  # real photographs, of which nobody looked for artifacts
                    needed = ["image_id", "file_name", "origin", "content_type", "generation", "group_id"]
                    record = record_of({**row, "artifacts": []}, "artifacts", needed, split)
                    record = msgspec.structs.replace(record, status="unlabelled")
            except FormatError as error:
                what = error.message.split(": ", 1)[-1]
                problems.add("row.wrong", what, fix=error.fix, file=f"{name}, {split}, row {number}")
                continue
            seen.add(record.image_id)
            yield record


def _published_rows(name: str, config: str, split: str, revision: str) -> Iterator[Mapping[str, Any]]:
    """The rows of a config without their pictures, as they come; none if there is no such config."""
    import datasets

    from synthscars.release.publish.targets import without_secrets

    options: dict[str, Any] = {"split": split, "streaming": True, "revision": revision or None}
    try:
        if config not in datasets.get_dataset_config_names(name, revision=revision or None):
            return
        # Which columns there are is not known before it is opened, which reads no row.
        there = datasets.load_dataset(name, config, **options).column_names or []
        columns = [column for column in there if column not in _NOT_NEEDED]
        yield from datasets.load_dataset(name, config, columns=columns, **options)
    except SynthScarsError:
        raise
    except Exception as error:  # whatever a network, a server or a stranger's files come to
        raise SynthScarsError(
            f"{name}: {without_secrets(str(error))}",
            fix="check its name, its splits and the network; or fetch it with `synthscars release get`",
        ) from error
