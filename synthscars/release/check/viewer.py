"""What `load_dataset` and the viewer of the Hugging Face Hub need of the folder of a release.

The viewer reads 100 rows at a time and refuses to scan more than 300 MB for them: it wants small row groups,
and an index of pages to find rows within one. The card's YAML says which files are which split, which columns
there are and how many rows; `load_dataset` refuses a folder that it does not fit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from synthscars.problems import Problem, ReleaseError
from synthscars.release.check.items import Item
from synthscars.release.preview import read_card

if TYPE_CHECKING:
    import pyarrow as pa

CARD = "README.md"
MOST_ROWS = 250
"""Rows of a row group from which on the viewer becomes slow: it shows 100 at a time."""
MOST_BYTES = 300_000_000
"""Bytes that the viewer reads at most, uncompressed."""

_BUILD = "build the release again"
_PLAIN_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})


def check_picture(item: Item, image: Image.Image) -> Iterator[Problem]:
    """Whether a decoded picture can be shown as RGB, which viewers and models want."""
    if image.mode in ("RGB", "L"):
        return
    try:
        image.convert("RGB")
    except (ValueError, OSError) as error:
        what = f"its pixels ({image.mode}) cannot be turned into RGB: {error}"
        yield item.problem("viewer.pixels", what, "save it as RGB", severity="error")
        return
    if image.mode not in _PLAIN_MODES:
        what = f"its pixels ({image.mode}) have more than 8 bits, which RGB cuts off"
        yield item.problem("viewer.pixels", what, "save it as RGB", severity="warning")


def check_viewer(source: Path, files: Mapping[str, Path]) -> Iterator[Problem]:
    """What is wrong with row groups and with the card. files: the Parquet files by their relative names."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schemas: dict[str, pa.Schema] = {}
    rows: dict[str, int] = {}
    for name, path in files.items():
        try:
            with pq.ParquetFile(path) as file:
                schemas[name], rows[name] = file.schema_arrow, file.metadata.num_rows
                yield from _groups(name, file.metadata)
        except (OSError, pa.ArrowException, ValueError):
            continue  # whoever reads the rows reports it
    yield from _card(source, schemas, rows, whole=len(rows) == len(files))


def _groups(name: str, metadata: Any) -> Iterator[Problem]:
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    long = [group.num_rows for group in groups if group.num_rows > MOST_ROWS]
    heavy = [group.total_byte_size for group in groups if group.total_byte_size > MOST_BYTES]
    bare = sum(
        not all(group.column(index).has_offset_index for index in range(group.num_columns))
        for group in groups
        if group.num_rows
    )
    found = (
        ("viewer.row_group_rows", len(long), f"row groups of up to {max(long, default=0):,} rows"),
        ("viewer.row_group_bytes", len(heavy), f"row groups of up to {max(heavy, default=0):,} bytes"),
        ("viewer.page_index", bare, "row groups without an index of pages"),
    )
    for code, count, what in found:
        if count:
            yield Problem(
                code=code,
                what=f"it has {count} {what}: the viewer of the Hub is slow or refuses them",
                fix=f"write groups of 100 rows and less than {MOST_BYTES // 10**6} MB with a page index",
                severity="warning",
                file=name,
                count=count,
            )


def _card(
    source: Path, schemas: Mapping[str, pa.Schema], rows: Mapping[str, int], *, whole: bool
) -> Iterator[Problem]:
    path = source / CARD
    if not path.is_file():
        what = "there is none, so that nothing says which columns and splits there are"
        yield Problem(code="viewer.no_card", what=what, fix=_BUILD, severity="warning", file=CARD)
        return
    values = _front_matter(source)
    if values is None:
        what = "its YAML cannot be read, and load_dataset stops at it"
        yield Problem(code="viewer.card", what=what, fix=_BUILD, file=CARD)
        return
    configs = values.get("configs")
    if not isinstance(configs, list) or not configs:
        what = "its YAML names no configs: load_dataset guesses splits by the names of files"
        yield Problem(code="viewer.card", what=what, fix=_BUILD, severity="warning", file=CARD)
        return
    infos = values.get("dataset_info") or []
    infos = infos if isinstance(infos, list) else [infos]
    by_name = {str(info.get("config_name", "default")): info for info in infos if isinstance(info, dict)}
    for config in configs:
        if isinstance(config, dict):
            name = str(config.get("config_name", "default"))
            yield from _config(config, by_name.get(name), schemas, rows, whole=whole)


def _front_matter(source: Path) -> dict[str, Any] | None:
    """The header of the card; None if there is none, or none that can be read."""
    try:
        return read_card(source).header or None
    except (ReleaseError, OSError):
        return None


def _config(
    config: dict[str, Any],
    info: dict[str, Any] | None,
    schemas: Mapping[str, pa.Schema],
    rows: Mapping[str, int],
    *,
    whole: bool,
) -> Iterator[Problem]:
    name = str(config.get("config_name", "default"))
    counts: Counter[str] = Counter()
    used: list[str] = []
    for split, pattern in _patterns(config.get("data_files")):
        # Among the files that were found: a pattern may lead anywhere.
        found = [path for path in sorted(rows) if fnmatchcase(path, pattern)]
        if not found and whole:
            what = f"config {name}: no file fits {pattern!r} of {split}, and load_dataset stops at that"
            yield Problem(code="viewer.data_files", what=what, fix=_BUILD, file=CARD)
        counts[split] += sum(rows[path] for path in found)
        used += found
    if info is None:
        return
    said = {
        str(each.get("name")): each.get("num_examples")
        for each in info.get("splits") or ()
        if isinstance(each, dict)
    }
    for split, count in counts.items():
        if whole and split in said and said[split] != count:
            what = f"config {name}: it says {said[split]} rows of {split}, the files have {count}"
            yield Problem(code="viewer.num_examples", what=what, fix=_BUILD, file=CARD)
    yield from _features(name, info.get("features"), config.get("columns"), used, schemas)


def _features(
    name: str, said: Any, columns: Any, used: list[str], schemas: Mapping[str, pa.Schema]
) -> Iterator[Problem]:
    from datasets import Features

    if not said:
        return
    try:
        features = Features._from_yaml_list(said)
    except Exception as error:  # anything, of what is no list of features
        what = f"config {name}: its features cannot be read: {str(error)[:200]}"
        yield Problem(code="viewer.features", what=what, fix=_BUILD, file=CARD)
        return
    for path in used:
        schema = schemas[path]
        try:
            stored = Features.from_arrow_schema(schema)
        except Exception:  # another library's own types
            continue
        wanted = [each for each in stored if not isinstance(columns, list) or each in columns]
        other = sorted({*wanted} ^ {*features})
        other += [each for each in features if each in wanted and features[each] != stored[each]]
        if other:
            what = f"config {name}: other columns than {path} has: {', '.join(other)[:300]}"
            yield Problem(code="viewer.features", what=what, fix=_BUILD, file=CARD)
            return


def _patterns(data_files: Any) -> Iterator[tuple[str, str]]:
    if isinstance(data_files, str):
        data_files = [{"split": "train", "path": data_files}]
    for each in data_files if isinstance(data_files, list) else ():
        if isinstance(each, str):
            yield "train", each
        elif isinstance(each, dict):
            paths = each.get("path")
            for path in paths if isinstance(paths, list) else [paths]:
                if isinstance(path, str):
                    yield str(each.get("split")), path
