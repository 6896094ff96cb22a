"""A release as somebody sees it on a page of the Hugging Face Hub: its card, and the rows of every config.

Read from the folder alone: the header of the card says which files and columns a config has. What the header
says is looked for among the files of the folder, so it reaches no other file.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import yaml  # type: ignore[import-untyped, unused-ignore]

from synthscars.problems import FormatError, Problems, ReleaseError
from synthscars.release.features import Row
from synthscars.release.files import class_names, data_files

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

CARD_NAME = "README.md"
MOST_ROWS = 100
BINS = 10
MOST_CLASSES = 30
"""Different texts of a column up to which each is counted, as the Hub does."""

_LARGEST_CARD = 4_000_000
_MOST_NODES = 200_000
_DEEPEST = 40
_FIX = "build the release again, or fetch it again"


class Card(msgspec.Struct, frozen=True):
    """The card of a release. header: its YAML as plain values. text: the Markdown below it."""

    header: dict[str, Any]
    text: str


class Distribution(msgspec.Struct, frozen=True):
    """How the values of a column are spread over a split.

    kind: `classes`, `numbers`, `lengths` (of texts, characters) or `items` (of lists). counts: of classes,
    name → rows, the most frequent first; of anything else none. bins: rows in equal steps from `least` to
    `most`. missing: rows that are null.
    """

    kind: str
    counts: dict[str, int]
    bins: tuple[int, ...]
    least: float
    most: float
    missing: int


class View(msgspec.Struct, frozen=True):
    """One split of one config. total: its rows, of which the first are in `rows`, classes as names.

    distributions: by column, and by part of a list of structs that has classes (`artifacts.category`).
    """

    config: str
    split: str
    columns: tuple[str, ...]
    total: int
    rows: tuple[Row, ...]
    distributions: dict[str, Distribution]


# The card


def read_card(folder: Path) -> Card:
    """The card of a release. Raises `ReleaseError` if there is none, or its header cannot be read."""
    path = folder / CARD_NAME
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_CARD + 1)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise ReleaseError(f"{folder} has no {CARD_NAME}", fix=_FIX) from error
    if len(data) > _LARGEST_CARD:
        raise ReleaseError(f"{path} is larger than {_LARGEST_CARD:,} bytes", fix="shorten the card")
    text = data.decode("utf-8", "replace").replace("\r\n", "\n")
    found = re.match(r"---\n(.*?)\n?---\s*?(?:\n|\Z)", text, re.DOTALL)
    if found is None:
        return Card({}, text)
    try:
        header = yaml.safe_load(found[1])
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ReleaseError(f"{path}: its header is not YAML: {error}", fix="mend the header") from error
    if header is None:
        header = {}
    if not isinstance(header, dict) or not _is_small(header):
        raise ReleaseError(f"{path}: its header is not a list of names and values", fix="mend the header")
    return Card(_plain(header), text[found.end() :])


def _is_small(value: Any) -> bool:
    """Whether a value can be walked through: aliases of YAML can make a few lines endless."""
    waiting = [(value, 0)]
    seen = 0
    while waiting:
        item, depth = waiting.pop()
        seen += 1
        if seen > _MOST_NODES or depth > _DEEPEST:
            return False
        if isinstance(item, dict):
            waiting += [(each, depth + 1) for each in item.values()]
        elif isinstance(item, (list, tuple, set)):
            waiting += [(each, depth + 1) for each in item]
    return True


def _plain(value: Any) -> Any:
    """YAML's values as those of JSON."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


# Configs and their files


class Source(msgspec.Struct, frozen=True):
    """Where a split of a config is. columns: empty if it has all that its first file has."""

    config: str
    split: str
    files: tuple[Path, ...]
    columns: tuple[str, ...]


def sources(folder: Path, header: Mapping[str, Any]) -> list[Source]:
    """The splits of the configs that the header names and whose files are there; those of a folder of Parquet
    files if it names none. Raises `FormatError` if there is no file."""
    files = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*.parquet"))
        if path.is_file() and is_inside(path, folder)
    }
    found = []
    for config in _dicts(header.get("configs")):
        columns = tuple(str(name) for name in _list(config.get("columns")))
        for part in _dicts(config.get("data_files")):
            patterns = [str(each) for each in _list(part.get("path"))]
            chosen = [
                path for pattern in patterns for name, path in files.items() if fnmatchcase(name, pattern)
            ]
            if chosen:
                found.append(
                    Source(
                        str(config.get("config_name") or "default"),
                        str(part.get("split") or "train"),
                        tuple(dict.fromkeys(chosen)),
                        columns,
                    )
                )
    if found:
        return found
    by_split: dict[str, list[Path]] = {}
    for file in data_files(folder):
        by_split.setdefault(file.split or "train", []).append(file.path)
    return [Source("default", split, tuple(paths), ()) for split, paths in by_split.items()]


def is_inside(path: Path, folder: Path) -> bool:
    """Whether a path leads to a file of the folder, also where the cache of the Hugging Face Hub has it."""
    target, home = path.resolve(), folder.resolve()
    cached = home.parent.name == "snapshots" and target.parent == home.parent.parent / "blobs"
    return cached or target.is_relative_to(home)


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


# Rows


def views(
    found: Sequence[Source],
    problems: Problems,
    *,
    rows: int = MOST_ROWS,
    advance: Callable[[int], None] | None = None,
) -> Iterator[View]:
    """The first rows of every split, with the distributions of all of its rows.

    Files that cannot be read are added to `problems` and left out. advance: called with 1 for every split.
    """
    measured: dict[tuple[Path, ...], tuple[int, dict[str, Distribution]]] = {}
    for source in found:
        if source.files not in measured:
            measured[source.files] = _measure(source.files, problems)
        total, distributions = measured[source.files]
        columns, first = _first_rows(source, rows)
        yield View(
            source.config,
            source.split,
            columns,
            total,
            first,
            {path: each for path, each in distributions.items() if path.partition(".")[0] in columns},
        )
        if advance is not None:
            advance(1)


def _first_rows(source: Source, count: int) -> tuple[tuple[str, ...], tuple[Row, ...]]:
    columns: tuple[str, ...] = ()
    rows: list[Row] = []
    for path in source.files:
        try:
            with _parquet(path) as file:
                names = file.schema_arrow.names
                chosen = [name for name in source.columns or names if name in names]
                columns = columns or tuple(chosen)
                classes = class_names(file.schema_arrow)
                if len(rows) >= count:
                    break
                for batch in file.iter_batches(min(count, 20), columns=chosen, use_threads=False):
                    for row in batch.to_pylist():
                        rows.append({name: _named(value, name, classes) for name, value in row.items()})
                        if len(rows) == count:
                            break
                    if len(rows) == count:
                        break
        except _damaged():
            continue  # `_measure` reports it
    return columns, tuple(rows)


def _named(value: Any, path: str, classes: Mapping[str, Sequence[str]]) -> Any:
    """A value with the names of its classes."""
    if path in classes:
        return _class_name(value, classes[path])
    if isinstance(value, dict):
        return {key: _named(item, f"{path}.{key}", classes) for key, item in value.items()}
    if isinstance(value, list):
        return [_named(item, path, classes) for item in value]
    return value


def _class_name(value: Any, names: Sequence[str]) -> str | None:
    if value is None or value == -1:
        return None
    known = isinstance(value, int) and 0 <= value < len(names)
    return names[value] if known else f"class {value}"


# Distributions


def _measure(files: Sequence[Path], problems: Problems) -> tuple[int, dict[str, Distribution]]:
    """Rows of some files, and how the values of their columns are spread; the images are not read."""
    total = 0
    gathered: dict[str, _Gathered] = {}
    for path in files:
        try:
            with _parquet(path) as file:
                schema = file.schema_arrow
                classes = class_names(schema)
                names = [field.name for field in schema if _is_measured(field.type)]
                for group in range(file.num_row_groups):
                    table = file.read_row_group(group, columns=names, use_threads=False)
                    for name in names:
                        _gather(gathered, name, table[name], classes)
                total += file.metadata.num_rows
        except _damaged() as error:
            problems.add("file.unreadable", str(error)[:300], file=str(path), fix=_FIX)
    return total, {name: each.distribution() for name, each in gathered.items()}


class _Gathered:
    """Values of a column as they come. A text is kept while there are few different ones."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.missing = 0
        self.numbers: Counter[float] = Counter()
        self.texts: Counter[str] | None = Counter()

    def distribution(self) -> Distribution:
        texts = self.texts or Counter()
        # Texts that are all different are names, not classes, however few they are.
        repeated = len(texts) == 1 or len(texts) < texts.total()
        if self.kind == "classes" or (self.kind == "lengths" and texts and repeated):
            ranked = sorted(texts.items(), key=lambda item: (-item[1], item[0]))
            return Distribution("classes", dict(ranked), (), 0, 0, self.missing)
        least, most = min(self.numbers, default=0.0), max(self.numbers, default=0.0)
        bins = [0] * (BINS if most > least else 1)
        for value, count in self.numbers.items():
            share = (value - least) / (most - least) if most > least else 0
            bins[min(int(share * len(bins)), len(bins) - 1)] += count
        return Distribution(self.kind, {}, tuple(bins) if self.numbers else (), least, most, self.missing)


def _gather(
    gathered: dict[str, _Gathered],
    path: str,
    values: pa.ChunkedArray,
    classes: Mapping[str, Sequence[str]],
) -> None:
    import pyarrow.compute as pc
    from pyarrow import types

    kind = values.type
    if path in classes:
        each = gathered.setdefault(path, _Gathered("classes"))
        for item in pc.value_counts(values).to_pylist():
            name = _class_name(item["values"], classes[path])
            if name is None:
                each.missing += item["counts"]
            elif each.texts is not None:
                each.texts[name] += item["counts"]
        return
    if types.is_list(kind) or types.is_large_list(kind):
        each = gathered.setdefault(path, _Gathered("items"))
        _count_numbers(each, pc.list_value_length(values))
        inner = pc.list_flatten(values)
        if types.is_struct(inner.type):
            for field in inner.type:
                if f"{path}.{field.name}" in classes:
                    _gather(gathered, f"{path}.{field.name}", pc.struct_field(inner, field.name), classes)
    elif types.is_string(kind) or types.is_large_string(kind):
        each = gathered.setdefault(path, _Gathered("lengths"))
        _count_numbers(each, pc.utf8_length(values))
        if each.texts is not None:
            for item in pc.value_counts(values).to_pylist():
                if item["values"] is not None:
                    each.texts[item["values"]] += item["counts"]
            if len(each.texts) > MOST_CLASSES or any(len(text) > 200 for text in each.texts):
                each.texts = None
    else:
        _count_numbers(gathered.setdefault(path, _Gathered("numbers")), values)


def _count_numbers(each: _Gathered, values: pa.ChunkedArray) -> None:
    import pyarrow.compute as pc

    for item in pc.value_counts(values).to_pylist():
        value = item["values"]
        if value is None:
            each.missing += item["counts"]
        elif math.isfinite(value):
            each.numbers[float(value)] += item["counts"]


def _is_measured(kind: pa.DataType) -> bool:
    from pyarrow import types

    tests = (
        types.is_integer,
        types.is_floating,
        types.is_string,
        types.is_large_string,
        types.is_list,
        types.is_large_list,
    )
    return any(test(kind) for test in tests)


def _parquet(path: Path) -> pq.ParquetFile:
    import pyarrow.parquet as pq

    return pq.ParquetFile(path)


def _damaged() -> tuple[type[Exception], ...]:
    """What reading a damaged file raises."""
    import pyarrow as pa

    return (OSError, pa.ArrowException, ValueError, KeyError, FormatError)
