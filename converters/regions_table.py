"""The table of `regions` as rows of cells: CSV as spreadsheets write it, or JSON Lines.

CSV is UTF-8 with a byte order mark, because Excel takes it for another encoding without one, comma-separated,
with lines that end in CR LF (RFC 4180). A text that a spreadsheet would run as a formula gets a `'` in front
(OWASP, "CSV Injection"), and so does one that would then be taken for such a text; `unguard` takes it away.
Read are also the files that spreadsheets save in their place: separated by `;` or tabs, in UTF-16 or in the
encoding of Windows, with decimal commas.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from io import SEEK_END, TextIOWrapper
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec

from synthscars.converters.reading import Json, Where, decode_json
from synthscars.problems import FormatError, Problems

IMAGE_COLUMNS = (
    "image_id",
    "file_name",
    "width",
    "height",
    "split",
    "status",
    "content_type",
    "origin",
)
REGION_COLUMNS = (
    "artifact_id",
    "rater_id",
    "category",
    "subtype",
    "phrase",
    "explanation",
    "polygons",
    "votes",
    "agreement",
    "artifact_extra",
)
DERIVED_COLUMNS = ("bbox_x", "bbox_y", "bbox_width", "bbox_height", "area")
"""In pixels and square pixels, to sort and filter by; made from `polygons`."""
MORE_IMAGE_COLUMNS = ("caption", "group_id", "source", "license", "reviews", "generation", "image_extra")
COLUMNS = (*IMAGE_COLUMNS, *REGION_COLUMNS[:7], *DERIVED_COLUMNS, *REGION_COLUMNS[7:], *MORE_IMAGE_COLUMNS)
"""In the order in which they are written."""

WHOLE = frozenset({"width", "height", "votes"})
NUMBERS = frozenset({*WHOLE, "agreement", *DERIVED_COLUMNS})
NESTED = frozenset({"polygons", "artifact_extra", "reviews", "generation", "image_extra"})
"""Columns that hold JSON: in CSV as text."""

EXCEL_CELL = 32_767
"""Characters that a cell of Excel holds; it cuts off the rest when it opens the file."""

# With line breaks and full-width forms, which some spreadsheets treat alike.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_GUARDED = re.compile(r"'+[=+\-@\t\r\n＝＋－＠]")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_DELIMITERS = ",;\t|"
_LONGEST_FIELD = 2**31 - 1  # the most that the csv module takes on every system


class Row(NamedTuple):
    """A row: its number as spreadsheets count them (the head is row 1), and its cells that are not empty."""

    number: int
    cells: Json


def guard(text: str) -> str:
    """A text as a cell that no spreadsheet runs as a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def unguard(cell: str) -> str:
    """The text of a cell: `unguard(guard(text)) == text` for every text."""
    return cell[1:] if _GUARDED.match(cell) else cell


class CsvWriter:
    """Writes rows of `COLUMNS` to an open file; `long_cells` counts those that Excel would cut off."""

    def __init__(self, file: IO[bytes]) -> None:
        self.long_cells = 0
        self._text = TextIOWrapper(file, "utf-8-sig", newline="", write_through=True)
        self._writer = csv.writer(self._text)
        self._writer.writerow(COLUMNS)

    def write(self, cells: Json) -> None:
        """Write one row; columns that are missing or `None` stay empty."""
        row = [_cell(cells.get(name)) for name in COLUMNS]
        self.long_cells += sum(len(cell) > EXCEL_CELL for cell in row)
        self._writer.writerow(row)

    def close(self) -> None:
        """Leave the file to its owner, complete."""
        self._text.detach()


class JsonLinesWriter:
    """Writes rows as JSON objects with all `COLUMNS`, `null` where a cell is empty."""

    long_cells = 0

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, cells: Json) -> None:
        """Write one row."""
        self._file.write(msgspec.json.encode({name: cells.get(name) for name in COLUMNS}) + b"\n")

    def close(self) -> None:
        """Leave the file to its owner, complete."""


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return guard(value)
    if isinstance(value, (int, float)):
        return repr(value)
    return msgspec.json.encode(value, order="deterministic").decode()


def rows(path: Path, where: Where) -> Iterator[Row]:
    """The rows of a table, each cell as `value` in JSON Lines, as text in CSV.

    A row that cannot be read is reported and left out. Raises `FormatError` if the file cannot be read or
    its head has neither `image_id` nor `file_name`.
    """
    try:
        with path.open("rb") as file:
            start = file.read(1 << 16).lstrip(b"\xef\xbb\xbf \t\r\n")
            is_json = start.startswith(b"{") or (not start and path.name.lower().endswith(".jsonl"))
            file.seek(0)
            if is_json:
                yield from _json_rows(file, where)
            else:
                yield from _csv_rows(file, where)
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror or error}") from error


def _json_rows(file: IO[bytes], where: Where) -> Iterator[Row]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        at = where.at(region=f"row {number}")
        try:
            found = decode_json(line, f"{where.file}, line {number}")
        except FormatError as error:
            at.add("row.not_json", error.message.rpartition(": ")[2], "mend the line, or make the file again")
            continue
        if not isinstance(found, dict):
            at.add("row.not_an_object", "the line is not a JSON object", "mend the line")
            continue
        yield Row(number, {name: cell for name, cell in found.items() if cell not in (None, "")})


# CSV


def _csv_rows(file: IO[bytes], where: Where) -> Iterator[Row]:
    encoding = _encoding(file)
    if encoding == "cp1252":
        where.warn(
            "file.encoding",
            "the table is not UTF-8; read as Windows-1252",
            "save it as 'CSV UTF-8', which keeps every character",
        )
    csv.field_size_limit(_LONGEST_FIELD)
    text = TextIOWrapper(file, encoding, errors="replace", newline="")
    try:
        yield from _parsed(text, file, where)
    finally:
        text.detach()


def _encoding(file: IO[bytes]) -> str:
    """UTF-16 by its byte order mark, UTF-8 if every byte of the file fits, else that of Windows."""
    if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        file.seek(0)
        return "utf-16"
    file.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while chunk := file.read(1 << 20):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        # A file that was cut short within a character is still UTF-8.
        at_end = error.reason == "unexpected end of data"
        return "utf-8-sig" if at_end else "cp1252"
    finally:
        file.seek(0)
    return "utf-8-sig"


def _parsed(text: TextIOWrapper, file: IO[bytes], where: Where) -> Iterator[Row]:
    delimiter, skipped = _delimiter(text)
    lines = _numbered(csv.reader(text, delimiter=delimiter, strict=True), where, skipped)
    head_number, head = next(lines, (1, []))
    names = [name.strip().lower() for name in head]
    if not {"image_id", "file_name"} & set(names):
        raise FormatError(
            f"{where.file}: the first row names neither image_id nor file_name",
            fix=f"columns: {', '.join(COLUMNS)}",
        )
    for name in sorted({name for name in names if name and names.count(name) > 1}):
        where.at(region=f"row {head_number}").warn(
            "column.repeated", f"two columns are named {name!r}", "the first one counts; rename the other"
        )
    number, cells = 1, head
    for number, cells in lines:
        if len(cells) > len(names):
            where.at(region=f"row {number}").warn(
                "row.too_long",
                f"{len(cells)} cells, the head has {len(names)}; the last ones are not read",
                "quote texts that hold a separator",
            )
        found: Json = {}
        for name, cell in zip(names, cells, strict=False):
            if name and cell:
                found.setdefault(name, unguard(cell))
        if found:
            yield Row(number, found)
    if len(cells) < len(names) and not _ends_its_line(file):
        where.at(region=f"row {number}").add(
            "file.cut_short", "the file ends within this row", "save or fetch the table again"
        )


def _ends_its_line(file: IO[bytes]) -> bool:
    file.seek(-2, SEEK_END)
    return file.read().endswith((b"\n", b"\n\0", b"\0\n"))  # the latter two in UTF-16


def _delimiter(text: TextIOWrapper) -> tuple[str, int]:
    """What separates the cells, told by the first line, and how many lines stand before the head."""
    first = text.readline()
    if first.lower().startswith("sep=") and len(first.strip()) == 5:  # a hint that Excel understands
        return first[4], 1
    known = {delimiter: _known_names(first, delimiter) for delimiter in _DELIMITERS}
    text.seek(0)
    return max(known, key=lambda delimiter: known[delimiter]), 0


def _known_names(line: str, delimiter: str) -> int:
    return len({name.strip('" \r\n').lower() for name in line.split(delimiter)} & set(COLUMNS))


def _numbered(reader: Any, where: Where, before: int) -> Iterator[tuple[int, Sequence[str]]]:
    number = before
    while True:
        number += 1
        try:
            yield number, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            where.at(region=f"row {number}").add(
                "row.not_csv",
                f"{error} (line {reader.line_num} of the file)",
                "double each quote within a text and quote the text; if the file ends early, save it again",
            )


def value(name: str, cell: Any) -> Any:
    """What a cell of a column says: a number, JSON or a text, whatever it was in the file.

    A cell that says nothing of the kind is given back as it is, for its reader to refuse.
    """
    if name in NUMBERS:
        return _number(cell, whole=name in WHOLE)
    if name in NESTED:
        try:
            return decode_json(cell.encode(), name) if isinstance(cell, str) else cell
        except FormatError:
            return cell
    if isinstance(cell, (int, float)) and not isinstance(cell, bool):
        return f"{cell:.15g}" if isinstance(cell, float) else str(cell)
    return cell


def _number(cell: Any, whole: bool) -> Any:
    if isinstance(cell, str):
        digits = cell.strip()
        try:
            cell = float(digits.replace(",", ".") if _DECIMAL_COMMA.fullmatch(digits) else digits)
        except ValueError:
            return cell
    # Spreadsheets and pandas write 3 as 3.0 in a column with empty cells.
    is_whole = isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53
    return int(cell) if whole and is_whole else cell


def grouped(path: Path, where: Where) -> Iterator[list[Row]]:
    """The rows of each image together, wherever they stand: people sort tables.

    Reads the table twice; in memory are the rows of the images of which some are still to come. Rows that
    name no image are reported.
    """
    silent = Where(Problems(), where.file)
    last: dict[str, int] = {}
    ids: dict[str, set[str]] = {}
    for row in rows(path, silent):
        image_id, name = _identity(row)
        if image_id and name:
            ids.setdefault(name, set()).add(image_id)
        if image_id or name:
            last[image_id or f"/{name}"] = row.number
    # A row that somebody added may name the file alone.
    known = {f"/{name}": next(iter(found)) for name, found in ids.items() if len(found) == 1}
    for alias, image_id in known.items():
        if alias in last:
            last[image_id] = max(last[image_id], last.pop(alias))
    ambiguous = {name for name, found in ids.items() if len(found) > 1}
    waiting: dict[str, list[Row]] = {}
    for row in rows(path, where):
        image_id, name = _identity(row)
        if not image_id and (not name or name in ambiguous):
            why = f"several images are named {name!r}" if name else "neither image_id nor file_name"
            where.at(region=f"row {row.number}").add(
                "row.no_image",
                f"it does not tell its image ({why}): {_shortened(row.cells.values())}",
                "copy the image_id from another row of the image",
            )
            continue
        key = image_id or known.get(f"/{name}", f"/{name}")
        waiting.setdefault(key, []).append(row)
        if row.number == last[key]:
            yield waiting.pop(key)


def _identity(row: Row) -> tuple[str, str]:
    image_id, name = (
        value("image_id", row.cells.get("image_id")),
        value("file_name", row.cells.get("file_name")),
    )
    return (image_id if isinstance(image_id, str) else ""), (name if isinstance(name, str) else "")


def _shortened(cells: Iterable[Any]) -> str:
    return ", ".join(str(cell)[:30] for cell in list(cells)[:4])
