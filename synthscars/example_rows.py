"""One row of a release, as any reader gives it, checked. `synthscars.examples` says what a row may be."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from synthscars.geometry import Rings
from synthscars.images import MAX_PIXELS, open_image, upright
from synthscars.problems import FormatError
from synthscars.records import ORIGINS, STATUSES, Artifact, Generation, ImageRecord, Review
from synthscars.taxonomy import load_taxonomy

_TEXTS = ("image_id", "file_name", "caption", "group_id", "source", "license")
COLUMNS = (*_TEXTS, "origin", "content_type", "status", "reviews", "generation", "extra")
"""What a record is made from, beside its size and its regions."""
_WHOLE = frozenset({"width", "height", "votes", "seed", "steps"})
_MAY_BE_EMPTY = frozenset({*_TEXTS, "phrase", "explanation", "rater_id", "scene"})
_MERGED, _DRAWN = "artifacts", "rater_artifacts"
_EXACT = 2**53
"""From here on a float does not tell whole numbers apart."""


def rows(data: Any) -> Iterator[Any]:
    """The single rows of a batch or a table, for the other functions.

    data: a batch of `datasets` (a dictionary of columns, as `with_transform` and `map(batched=True)` give
    it), a data frame of pandas or polars, a table of pyarrow, one row, or anything that yields such.
    """
    if hasattr(data, "as_py"):
        yield from rows(data.as_py())
    elif isinstance(data, Mapping):
        count = _batch_size(data)
        yield from [data] if count is None else (_RowOf(data, number) for number in range(count))
    elif hasattr(data, "to_pylist"):
        yield from data.to_pylist()
    elif hasattr(data, "to_dicts"):
        yield from data.to_dicts()
    elif hasattr(data, "iloc"):
        yield from data.to_dict("records") if hasattr(data, "columns") else [data.to_dict()]
    elif hasattr(data, "_asdict"):
        yield data._asdict()
    elif isinstance(data, Iterable) and not isinstance(data, (str, bytes)):
        for each in data:
            yield from rows(each)
    else:
        raise FormatError(
            f"{type(data).__name__} is no row of a release",
            fix="give a row as datasets, pandas, polars or pyarrow have it",
        )


class _RowOf(Mapping[str, Any]):
    """One row of a batch; columns are looked up when they are wanted, because some are decoded only then."""

    def __init__(self, batch: Mapping[str, Any], number: int) -> None:
        self._batch, self._number = batch, number

    def __getitem__(self, name: str) -> Any:
        return self._batch[name][self._number]

    def __iter__(self) -> Iterator[str]:
        return iter(self._batch)

    def __len__(self) -> int:
        return len(self._batch)


# Rows


def one(example: Any) -> Mapping[str, Any]:
    """The row that a reader gave, as a mapping. Raises `FormatError` if it is none, or more than one."""
    found = list(islice(rows(example), 2))
    if len(found) != 1 or not isinstance(found[0], Mapping):
        raise FormatError(
            f"{'no row' if not found else 'more than one row' if len(found) > 1 else type(found[0]).__name__}"
            " where one row of a release is wanted",
            fix="take them one by one: for row in synthscars.rows(batch)",
        )
    return found[0]


def _batch_size(data: Mapping[str, Any]) -> int | None:
    """How many rows a dictionary of columns has; `None` if it is one row."""
    for name in ("width", "height", "image_id", "caption", "status"):
        if name in data:
            return len(data[name]) if _is_many(data[name]) else None
    first = next(iter(data), None)
    return None if first in (None, _MERGED, _DRAWN) or not _is_many(data[first]) else len(data[first])


def _is_many(value: Any) -> bool:
    many = hasattr(value, "__len__") and getattr(value, "ndim", 1) > 0
    return many and not isinstance(value, (str, bytes, Mapping))


def _value(row: Mapping[str, Any], name: str) -> Any:
    if name not in row:
        raise wrong(row, name, "the row has no such column", "load or keep it")
    return _plain(row[name])


def _plain(value: Any) -> Any:
    """What other libraries hold, as Python's own, all the way down; NaN and NA as `None`."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    missing = (isinstance(value, float) and value != value) or type(value).__name__ == "NAType"
    return None if missing else value


def wrong(row: Mapping[str, Any], field: str, what: str, fix: str = "load the release again") -> FormatError:
    """The error that something is wrong with a field of a row; it names the image."""
    names = [str(row[name]) for name in ("image_id", "file_name") if name in row] or ["?"]
    image = " ".join([names[0], *(f"({each})" for each in names[1:])])
    return FormatError(f"image {image}: {field}: {what}", fix=fix)


def size_of(row: Mapping[str, Any]) -> tuple[int, int]:
    """Width and height in pixels, upright."""
    sizes = []
    for name in ("width", "height"):
        value = _value(row, name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 1 or value % 1:
            raise wrong(row, name, f"{value!r} is no number of pixels")
        sizes.append(int(value))
    if sizes[0] * sizes[1] > MAX_PIXELS:
        raise wrong(row, "width", f"{sizes[0]} x {sizes[1]} pixels are more than {MAX_PIXELS:,}")
    return sizes[0], sizes[1]


def column_of(row: Mapping[str, Any], raters: bool) -> str:
    """The column whose regions are meant: what raters drew if it is asked for or there is nothing else."""
    return _DRAWN if raters or (_MERGED not in row and _DRAWN in row) else _MERGED


def artifacts_of(row: Mapping[str, Any], column: str) -> Sequence[Any]:
    """The regions of a row, all of them mappings. column: `artifacts` or `rater_artifacts`."""
    if column not in row:
        raise wrong(
            row,
            column,
            "the row has no such column",
            "keep it; of the configs, default has artifacts and rater_artifacts, raters has rater_artifacts, "
            "detection has none",
        )
    found = row[column]
    if column == _DRAWN and _plain(found) is None:
        raise wrong(
            row,
            column,
            "what each rater drew is not known",
            "take the config default and its merged artifacts, or only rows where it is not null",
        )
    if not _is_many(found):
        raise wrong(row, column, f"it is {type(found).__name__}, not a list")
    for number, artifact in enumerate(found):
        if not isinstance(artifact, Mapping):
            raise wrong(row, f"{column}[{number}]", f"it is {type(artifact).__name__}, not a structure")
    return found  # type: ignore[no-any-return]


def outlines_of(row: Mapping[str, Any], column: str) -> Iterator[Rings]:
    """The rings of each region, checked: pycocotools crashes on what is no number."""
    for number, artifact in enumerate(artifacts_of(row, column)):
        field = f"{column}[{number}].polygons"
        rings = artifact.get("polygons")
        if not _is_many(rings):
            raise wrong(row, field, f"it is {type(rings).__name__}, not a list of rings")
        yield [_ring(row, f"{field}[{index}]", ring) for index, ring in enumerate(rings)]


def _ring(row: Mapping[str, Any], field: str, ring: Any) -> list[float]:
    values = _plain(ring)
    if str(getattr(ring, "dtype", "")).endswith("float32") and np.ndim(values) == 1:
        # Rounded by the reader. Of all numbers that are rounded to this one, the shortest is what it was if
        # it had few decimals. It matters: pycocotools cuts 5 * x + 0.5, and multiples of 0.1 are on the edge.
        values = [float(str(value)) for value in np.asarray(values, dtype=np.float32)]
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as fault:
        raise wrong(row, field, f"not a list of numbers: {fault}") from fault
    if numbers.ndim != 1 or len(numbers) % 2:
        raise wrong(row, field, "it is not [x0, y0, x1, y1, ...]: a coordinate has no partner")
    if not np.isfinite(numbers).all():
        raise wrong(row, field, "a coordinate is not a finite number")
    return numbers.tolist()  # type: ignore[no-any-return]


# Records


def record_of(row: Mapping[str, Any], column: str, needed: Iterable[str], split: str = "") -> ImageRecord:
    """The record of a row with the regions of a column; other columns that are not needed say nothing."""
    from synthscars.release.drawn import as_drawn
    from synthscars.release.features import from_row

    width, height = size_of(row)
    regions = artifacts_of(row, column)
    values: dict[str, Any] = {
        **dict.fromkeys(_TEXTS, ""),
        **{"origin": 0, "content_type": None, "status": STATUSES.index("annotated")},
        **{"reviews": [], "generation": None, "extra": "{}"},
    }
    values |= {name: _value(row, name) for name in needed}
    values |= {"width": width, "height": height}
    values["artifacts"] = [
        {**{name: _plain(each) for name, each in artifact.items() if name != "polygons"}, "polygons": rings}
        for artifact, rings in zip(regions, outlines_of(row, column), strict=True)
    ]
    known = load_taxonomy()
    _settle(row, "", values, ImageRecord, {"origin": ORIGINS, "content_type": known.content_type_ids,
                                           "status": STATUSES})  # fmt: skip
    for number, artifact in enumerate(values["artifacts"]):
        labels = {"category": known.category_ids, "subtype": known.subtype_ids}
        _settle(row, f"{column}[{number}].", artifact, Artifact, labels)
    for number, review in enumerate(values["reviews"] or []):
        labels = {"status": STATUSES, "content_type": known.content_type_ids}
        _settle(row, f"reviews[{number}].", review, Review, labels)
    if values["generation"] is not None:
        _settle(row, "generation.", values["generation"], Generation, {})
    try:
        record = from_row(values, split)
    except FormatError as fault:
        what = fault.message.rpartition("features: ")[2].replace("$.artifacts", f"$.{column}")
        raise wrong(row, "the row", what) from fault
    return as_drawn(record, record.artifacts) if column == _DRAWN else record


def _settle(
    row: Mapping[str, Any],
    place: str,
    values: dict[str, Any],
    kind: type[Any],
    labels: Mapping[str, Sequence[str]],
) -> None:
    """Turn numbers and labels into what a release has, in place. place: what fields' names start with."""
    for name in kind.__struct_fields__:
        if name not in values and name != "split":
            raise wrong(row, place + name, "there is no such field", "load or keep it")
        value = values.get(name)
        if isinstance(value, float) and value.is_integer() and (name in labels or name in _WHOLE):
            if abs(value) >= _EXACT:
                what = f"{value:.0f} was rounded by the reader"
                raise wrong(row, place + name, what, "take the row from datasets or pyarrow")
            values[name] = int(value)
        elif value is None and name in _MAY_BE_EMPTY:
            values[name] = ""
        if name in labels:
            values[name] = _label(row, place + name, values[name], labels[name])


def _label(row: Mapping[str, Any], field: str, value: Any, names: Sequence[str]) -> int | None:
    if isinstance(value, str) and value in names:
        return names.index(value)
    if type(value) is int and 0 <= value < len(names):
        return value
    # Old readers give -1 for a null.
    if value in (None, -1) and not field.endswith(("origin", "status")):
        return None
    raise wrong(row, field, f"{value!r} is none of the {len(names)} classes {', '.join(names)}")


# Images


def picture_of(row: Mapping[str, Any]) -> Image.Image:
    """The image of a row, upright, from whatever a reader makes of it."""
    if "image" not in row:
        raise wrong(row, "image", "the row has no such column", "load or keep it")
    value = row["image"]
    if isinstance(value, Mapping):
        path = value.get("path")
        value = value.get("bytes")
        if value is None and path:
            try:
                value = Path(path).read_bytes()
            except OSError as fault:
                raise wrong(row, "image", f"its file cannot be read: {fault}") from fault
    try:
        if isinstance(value, Image.Image):
            return upright(value)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return upright(open_image(io.BytesIO(value).getvalue()))
        pixels = np.asarray(value.tolist() if hasattr(value, "detach") else value)
        if pixels.shape[1:] == size_of(row)[::-1] and len(pixels) in (1, 3, 4):
            pixels = pixels.transpose(1, 2, 0)  # torch has the channels first
        if pixels.ndim == 3 and pixels.shape[2] == 1:
            pixels = pixels[:, :, 0]
        if not (pixels.astype(np.uint8) == pixels).all():
            raise ValueError("its values are not whole numbers from 0 to 255")
        return Image.fromarray(pixels.astype(np.uint8))
    except FormatError as fault:
        raise wrong(row, "image", fault.message, fault.fix) from fault
    except (TypeError, ValueError) as fault:
        raise wrong(row, "image", f"{type(value).__name__} is no image: {fault}") from fault
