"""A table with one region a line, for spreadsheets and data frames: CSV, or JSON Lines.

Every line says all about its image, and all about one artifact; an image without artifacts has one line with
nothing in the columns of the artifact. `polygons` is JSON, rings `[x0, y0, x1, y1, ...]` in pixels of the
upright image; `reviews`, `generation` and the `extra` of image and artifact are JSON too. `bbox_x` to `area`
are there to sort by: they are made from the polygons, and read only where there are none.

Lines may stand in any order, and columns too; columns of one's own are kept. How the cells are written is in
`synthscars.converters.regions_table`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from synthscars.converters.fields import (
    artifact_values,
    image_values,
    own,
    read_artifact_values,
    read_image_values,
    settle_id,
    settle_status,
    settle_subtype,
)
from synthscars.converters.holds import everything_but, narrow
from synthscars.converters.losses import Losses
from synthscars.converters.pictures import NO_PICTURES, SourcePictures, TargetPictures
from synthscars.converters.reading import (
    UNLABELLED,
    Json,
    Where,
    classify,
    flat_ring,
    is_number,
    kind,
    label_of,
    number_ring,
    read_label,
    text,
    usable_ring,
    whole,
)
from synthscars.converters.regions_table import (
    COLUMNS,
    DERIVED_COLUMNS,
    EXCEL_CELL,
    IMAGE_COLUMNS,
    MORE_IMAGE_COLUMNS,
    REGION_COLUMNS,
    CsvWriter,
    JsonLinesWriter,
    Row,
    grouped,
    value,
)
from synthscars.files import atomic_file
from synthscars.geometry import area, bbox
from synthscars.problems import Problems
from synthscars.records import Artifact, ImageRecord, Ring
from synthscars.shapes import rectangle_ring

NAMESPACE = "regions"
"""Key of `extra`: columns that are none of `COLUMNS`, and `rejected` regions as they stood in their rows."""

HOLDS = everything_but(
    namespace=NAMESPACE,
    note="One region a line; lines may be sorted. `bbox_*` and `area` are made from `polygons`, which count. "
    "In CSV, texts that a spreadsheet would run as a formula have a `'` in front.",
)

_OF_IMAGES = (*IMAGE_COLUMNS, *MORE_IMAGE_COLUMNS)
_KEPT = 0.01
"""By how much a derived number may differ from its polygons: it is written with 3 decimals."""


# Writing


def write(
    records: Iterable[ImageRecord],
    target: Path,
    problems: Problems,
    *,
    pictures: TargetPictures = NO_PICTURES,
) -> int:
    """Write a table, as JSON Lines if `target` ends in `.jsonl`, else as CSV; returns how many images.

    Cells that are too long for Excel, which cuts them off when it opens the file, are counted as
    `cell.too_long`; the file itself holds them whole.
    """
    losses = Losses(str(target), problems)
    count = 0
    seen: set[str] = set()
    with atomic_file(target) as file:
        is_json = target.name.lower().endswith(".jsonl")
        writer = JsonLinesWriter(file) if is_json else CsvWriter(file)
        for record in narrow(records, HOLDS, losses):
            image = _image_cells(record)
            for artifact in record.artifacts:
                writer.write({**image, **_artifact_cells(artifact)})
            if not record.artifacts:
                writer.write(image)
            if record.image_id in seen:
                problems.add(
                    "image.repeated",
                    "another record has the same image_id; a reader takes their rows for one image",
                    fix="merge the records of an image before they are written",
                    severity="warning",
                    file=str(target),
                    image=record.file_name or record.image_id,
                )
            seen.add(record.image_id)
            count += 1
        writer.close()
    if writer.long_cells:
        problems.add(
            "cell.too_long",
            f"{writer.long_cells} cells are longer than the {EXCEL_CELL:,} characters that Excel shows; "
            "the file holds them whole",
            fix="do not save this table from Excel; LibreOffice and pandas keep long cells",
            severity="info",
            file=str(target),
            count=writer.long_cells,
        )
    losses.report()
    return count


def _image_cells(record: ImageRecord) -> Json:
    cells = image_values(record, NAMESPACE)
    return {
        **cells,
        "width": record.width or None,
        "height": record.height or None,
        "origin": record.origin,
        "image_extra": {**cells.pop("extra", {}), **_namespace(record.extra)} or None,
    }


def _artifact_cells(artifact: Artifact) -> Json:
    cells = artifact_values(artifact, NAMESPACE)
    label, rings = label_of(artifact), artifact.polygons
    extra = {**cells.pop("extra", {}), **_namespace(artifact.extra)}
    if "category" in cells:  # none of the taxonomy: to be told from an unknown label
        extra[NAMESPACE] = {**own(extra, NAMESPACE), "category": cells["category"]}
    box = bbox(rings) if rings else (None,) * 4
    derived = dict(zip(DERIVED_COLUMNS, (*box, area(rings) if rings else None), strict=True))
    return {
        **cells,
        "category": "" if label == UNLABELLED else label,
        "polygons": rings,
        "artifact_extra": extra or None,
        **{name: number if number is None else round(number, 3) for name, number in derived.items()},
    }


def _namespace(extra: Json) -> Json:
    return {NAMESPACE: extra[NAMESPACE]} if NAMESPACE in extra else {}


# Reading


def read(source: Path, problems: Problems, *, images: Path | None = None) -> Iterator[ImageRecord]:
    """Read a table, image by image; images are looked for in `images`, or in `images/` beside the table.

    Rows of one image are joined wherever they stand. A region of which only the box is filled in becomes that
    box; one with neither box nor polygons is reported and set aside.

    Raises `FormatError` if the file cannot be read or names no images.
    """
    pictures = SourcePictures([images or source.parent / "images"], NAMESPACE)
    where = Where(problems, str(source))
    for rows in grouped(source, where):
        yield _image(rows, pictures, where)


def _image(rows: list[Row], pictures: SourcePictures, where: Where) -> ImageRecord:
    cells, where = _image_cells_of(rows, where)
    size = (whole(cells.pop("width", None)), whole(cells.pop("height", None)))
    fields, rest = read_image_values(cells, where)
    name = fields.get("file_name", "")
    picture = pictures.find(
        name,
        where,
        image_id=fields.pop("image_id", ""),
        size=size,
        # Ids of somebody's own tell images of one name, or of none, apart.
        stand_in=f"{rest['image_id']}/{name}" if "image_id" in rest else name,
    )
    artifacts: list[Artifact] = []
    rejected: list[Json] = []
    taken: dict[str, set[str]] = {}
    for row in rows:
        if not _is_region(row):
            rest.update(_unknown(row))
            continue
        artifact = _artifact(row, (picture.width, picture.height), taken, where)
        if artifact is None:
            rejected.append({name: cell for name, cell in row.cells.items() if name not in _OF_IMAGES})
        else:
            artifacts.append(artifact)
    extra = dict(fields.pop("extra", {}))
    if rejected:
        earlier = own(extra, NAMESPACE).get("rejected")
        rest["rejected"] = [*(earlier if isinstance(earlier, list) else []), *rejected]
    if rest:
        extra[NAMESPACE] = {**own(extra, NAMESPACE), **rest}
    status = settle_status(fields.pop("status", None), bool(artifacts), bool(rejected), where)
    return ImageRecord(
        **{"file_name": "", **fields},
        image_id=picture.image_id,
        width=picture.width,
        height=picture.height,
        status=status,
        artifacts=tuple(artifacts),
        extra=extra,
    )


def _image_cells_of(rows: list[Row], where: Where) -> tuple[Json, Where]:
    """What the rows of one image say about it; the first row that says anything counts."""
    said: dict[str, tuple[Any, int]] = {}
    differing: dict[str, str] = {}
    for row in rows:
        for column in _OF_IMAGES:
            if (cell := row.cells.get(column)) is None:
                continue
            known, number = said.setdefault(column, (cell, row.number))
            differs = known != cell and value(column, known) != value(column, cell)
            if differs and column not in differing:
                differing[column] = (
                    f"{column} is {_short(known)} in row {number}, {_short(cell)} in {row.number}"
                )
    cells = {column: value(column, cell) for column, (cell, _) in said.items()}
    if "image_extra" in cells:
        cells["extra"] = cells.pop("image_extra")
    name = cells.get("file_name")
    where = where.at(image=text(name) or text(cells.get("image_id")))
    for what in differing.values():
        where.warn("image.contradiction", what, "the first counts; make the rows of an image equal")
    for column in ("width", "height"):
        if column in cells and not whole(cells[column]):
            where.warn("field.wrong_type", f"{column} is {_short(cells[column])}, not a number of pixels")
    return cells, where


def _short(cell: Any) -> str:
    shown = str(cell)
    return repr(shown if len(shown) <= 40 else f"{shown[:40]}…")


def _is_region(row: Row) -> bool:
    return any(name in row.cells for name in (*REGION_COLUMNS, *DERIVED_COLUMNS))


def _unknown(row: Row) -> Json:
    return {name: cell for name, cell in row.cells.items() if name not in COLUMNS}


def _artifact(row: Row, size: tuple[int, int], taken: dict[str, set[str]], where: Where) -> Artifact | None:
    cells = {name: value(name, cell) for name, cell in row.cells.items() if name in REGION_COLUMNS}
    at = where.at(region=f"row {row.number}")
    rings, bad = _rings(row, cells.pop("polygons", None), size, at)
    if rings is None:
        return None
    label = cells.pop("category", None)
    if "artifact_extra" in cells:
        cells["extra"] = cells.pop("artifact_extra")
    fields, rest = read_artifact_values(cells, at)
    extra = dict(fields.pop("extra", {}))
    kept = dict(own(extra, NAMESPACE))
    if label is not None and kept.get("category") == label:
        category, subtype, unknown = kept.pop("category"), None, Json()
    else:
        category, subtype, unknown = read_label(label, at)
    kept |= {**rest, **_unknown(row), **({"rejected_rings": bad} if bad else {})}
    if kept or own(extra, NAMESPACE):
        extra.pop(NAMESPACE, None)
    extra = {**unknown, **extra, **({NAMESPACE: kept} if kept else {})}
    wanted = fields.pop("artifact_id", "")
    artifact_id = settle_id(wanted, f"row-{row.number}", fields.get("rater_id", ""), taken, at)
    category, subtype = _subtype(category, fields.pop("subtype", None) or subtype, at)
    return Artifact(
        **fields, artifact_id=artifact_id, category=category, subtype=subtype, polygons=rings, extra=extra
    )


def _subtype(category: str | None, said: str | None, at: Where) -> tuple[str | None, str | None]:
    """Category and subtype, where the subtype may stand there by its name and without a category."""
    if said is None:
        return category, None
    of, subtype = classify(said)
    if subtype is None:
        at.warn("label.unknown", f"{said[:80]!r} is no subtype of the taxonomy", "choose one of its subtypes")
        return category, said
    return category or of, settle_subtype(category, subtype, at)


def _rings(
    row: Row, cell: Any, size: tuple[int, int], at: Where
) -> tuple[tuple[Ring, ...] | None, list[Any]]:
    """The rings of a row, `None` if it has no region that can be used; and the parts that cannot be used."""
    if cell is None:
        box = _box(row, size, at)
        return (None if box is None else (box,)), []
    if not isinstance(cell, list):
        what = "no JSON" if isinstance(cell, str) else kind(cell)
        at.add(
            "polygon.not_numbers",
            f"the polygons are {what}, not lists of numbers: {_short(cell)}",
            "write [[x0, y0, x1, y1, x2, y2], ...]; a spreadsheet may have cut off a long cell",
        )
        return None, []
    parts = [cell] if cell and all(map(is_number, cell)) else cell
    found = [(part, usable_ring(_ring(part), *size, at)) for part in parts]
    rings = tuple(ring for _, ring in found if ring is not None)
    bad = [part for part, ring in found if ring is None]
    if bad and not rings:
        return None, bad
    _compare(row, rings, at)
    return rings, bad


def _ring(part: Any) -> Ring | str:
    points = isinstance(part, list) and bool(part) and isinstance(part[0], list)
    return flat_ring(part) if points else number_ring(part)


def _box(row: Row, size: tuple[int, int], at: Where) -> Ring | None:
    numbers = [value(name, row.cells.get(name)) for name in DERIVED_COLUMNS[:4]]
    x, y, width, height = numbers
    if not all(map(is_number, numbers)) or width <= 0 or height <= 0:
        at.add(
            "region.no_outline",
            "it has neither polygons nor a box",
            "write [[x0, y0, x1, y1, x2, y2]] into polygons, or fill in bbox_x to bbox_height",
        )
        return None
    at.add("region.box", "it has no polygons; its box is its outline", severity="info")
    return usable_ring(rectangle_ring(float(x), float(y), float(width), float(height)), *size, at)


def _compare(row: Row, rings: tuple[Ring, ...], at: Where) -> None:
    given = {name: value(name, row.cells[name]) for name in DERIVED_COLUMNS if name in row.cells}
    if not given or not rings:
        return
    derived = dict(zip(DERIVED_COLUMNS, (*bbox(rings), area(rings)), strict=True))
    for name, number in given.items():
        if not is_number(number) or not math.isclose(number, derived[name], rel_tol=1e-6, abs_tol=_KEPT):
            at.warn(
                "region.derived_differs",
                f"{name} is {_short(number)}, the polygons say {derived[name]:.3f}",
                "the polygons count; change them to change the region",
            )
            return
