"""What every reader shares: JSON from strangers, places that problems name, rings that can be used, labels.

A reader never stops at a bad item: it reports what is wrong with it, keeps its raw form in the `extra` of the
image or artifact it belongs to, and goes on with the next.
"""

from __future__ import annotations

import codecs
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from synthscars.problems import FormatError, Problems, Severity
from synthscars.records import Artifact, Ring
from synthscars.taxonomy import load_taxonomy

Json = dict[str, Any]

UNLABELLED = "artifact"
"""The label of an artifact of unknown category, in formats that want one."""


class Where(NamedTuple):
    """The place that problems name, and where they go."""

    problems: Problems
    file: str
    image: str = ""
    region: str = ""

    def at(self, *, image: str | None = None, region: str | None = None) -> Where:
        """The same file, another image or region."""
        return self._replace(
            image=self.image if image is None else image, region=self.region if region is None else region
        )

    def add(self, code: str, what: str, fix: str = "", *, severity: Severity = "error") -> None:
        """Report a problem at this place."""
        self.problems.add(
            code, what, fix=fix, severity=severity, file=self.file, image=self.image, region=self.region
        )

    def warn(self, code: str, what: str, fix: str = "") -> None:
        """Report something that was used all the same."""
        self.add(code, what, fix, severity="warning")


# JSON


def load_json(path: Path, *, encoding: str = "utf-8") -> Any:
    """The JSON in a file, as `plain` values; an unpaired surrogate or NaN spoils one text, not the file.

    Raises `FormatError` naming the file if it cannot be read or is not JSON.
    """
    return decode_json(read_bytes(path), str(path), encoding=encoding)


def shown_files(folder: Path, *patterns: str) -> list[Path]:
    """The files of a folder that one of the patterns names, sorted, without hidden ones.

    Archives from a Mac hold a `._NAME` beside every NAME, which is nothing of the kind.
    """
    found = {path for pattern in patterns for path in folder.glob(pattern)}
    return sorted(path for path in found if path.is_file() and not path.name.startswith("."))


def read_bytes(path: Path) -> bytes:
    """The content of a file. Raises `FormatError` naming it if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror or error}") from error


def decode_json(content: bytes, name: str, *, encoding: str = "utf-8") -> Any:
    """JSON as `plain` values. Raises `FormatError` naming it if it is not JSON."""
    values, is_plain = _decode(content, name, encoding)
    try:
        return values if is_plain else plain(values)
    except RecursionError as error:
        raise FormatError(f"{name}: {error}", fix="fetch or export the file again") from error


def decode_items(content: bytes, name: str, *, encoding: str = "utf-8") -> Any:
    """JSON as it is, for readers that make each item `plain` and say which one could not be kept as it was.

    Raises `FormatError` naming it if it is not JSON.
    """
    return _decode(content, name, encoding)[0]


def _decode(content: bytes, name: str, encoding: str) -> tuple[Any, bool]:
    """The values, and whether they are `plain` already."""
    try:
        # msgspec gives integers of any length, which no record can hold.
        if encoding == "utf-8" and not _may_hold_long_number(content):
            try:
                return msgspec.json.decode(content), True
            except msgspec.DecodeError:
                pass
        if encoding == "utf-8":
            encoding = "utf-16" if content[:2] in _UTF16 else "utf-8-sig"
        # `parse_int`: Python refuses an integer of thousands of digits, which would cost the whole file.
        return json.loads(content.decode(encoding), parse_int=_integer), False
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{name}: it is not text in {error.encoding.upper()} (byte 0x{content[error.start]:02x})",
            fix="save it as UTF-8; what a program on Windows wrote may be Windows-1252",
        ) from error
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{name}: {error}", fix="fetch or export the file again") from error


_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# What may stand before a number becomes a comma, every digit a zero: far faster than a regular expression.
_BARE = bytes.maketrans(b"0123456789:[ \t\n\r", b"0000000000,,,,,,")
_LONG = b"0" * 19


def _may_hold_long_number(content: bytes) -> bool:
    # Only where a number may start: a sha256 may hold as many digits, and one is enough to take the slow way.
    bare = content.translate(_BARE)
    return b"," + _LONG in bare or b",-" + _LONG in bare


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) < 30 else float(digits)


def plain(value: Any, say: Callable[[str], None] | None = None) -> Any:
    """The same JSON with what no record can hold (NaN, lone surrogates, huge integers) turned into text.

    say: called with what was turned ("a number that is not finite").
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else _turned(str(value), "a number that is not finite", say)
    if isinstance(value, int):
        fits = -(2**63) <= value < 2**64  # seeds are unsigned
        return value if fits else _turned(str(float("inf")), "a number beyond 64 bits", say)
    if isinstance(value, str):
        text = value.encode("utf-8", "replace").decode("utf-8")
        return text if text == value else _turned(text, "half of a character", say)
    if isinstance(value, (list, tuple)):
        return [plain(entry, say) for entry in value]
    if isinstance(value, dict):
        return {plain(str(key), say): plain(entry, say) for key, entry in value.items()}
    return value if value is None or isinstance(value, bool) else str(value)


def _turned(text: str, what: str, say: Callable[[str], None] | None) -> str:
    if say:
        say(what)
    return text


def kind(value: Any) -> str:
    """What a JSON value is, in words: "it is {kind}, not a list"."""
    if value is None:
        return "missing"
    names = {bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list"}
    return names.get(type(value), "an object")


def is_number(value: Any) -> bool:
    """Whether a value is a number that arithmetic cannot make infinite."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300


def text(value: Any) -> str:
    """A text, `""` for anything else."""
    return value if isinstance(value, str) else ""


def whole(value: Any, most: int = 10**6) -> int:
    """A whole number from 1 to `most` (a size in pixels), 0 for anything else."""
    fits = is_number(value) and value == int(value) and 0 < value <= most
    return int(value) if fits else 0


def unknown_fields(values: Mapping[str, Any], known: Iterable[str]) -> Json:
    """The fields that a reader has no use for, to be kept in `extra` and written again."""
    taken = set(known)
    return {key: value for key, value in values.items() if key not in taken}


# Rings


def flat_ring(points: Any) -> Ring | str:
    """A ring from a list of `[x, y]` points, or what is wrong with it."""
    if not isinstance(points, list):
        return f"the points are {kind(points)}, not a list"
    flat: list[float] = []
    for number, point in enumerate(points):
        if not isinstance(point, list) or len(point) != 2 or not all(map(is_number, point)):
            return f"point {number} is {str(point)[:60]}, not two numbers"
        flat += (float(point[0]), float(point[1]))
    return tuple(flat)


def number_ring(values: Any) -> Ring | str:
    """A ring from a flat list `[x0, y0, x1, y1, ...]`, or what is wrong with it."""
    if not isinstance(values, list):
        return f"the polygon is {kind(values)}, not a list of numbers"
    if not all(map(is_number, values)):
        bad = next(value for value in values if not is_number(value))
        return f"{str(bad)[:60]} is not a number"
    return tuple(map(float, values))


def usable_ring(ring: Ring | str, width: int, height: int, where: Where) -> Ring | None:
    """The ring if it can be rasterized, else `None`; whatever is wrong with it is reported.

    ring: or what a parser found wrong with it. width, height: of the upright image, 0 if unknown.
    """
    from synthscars.geometry import UNUSABLE, ring_faults

    if isinstance(ring, str):
        where.add("polygon.not_numbers", ring, "draw the region again; its raw form is kept in extra")
        return None
    for code, what in ring_faults(ring, width, height):
        if code in UNUSABLE:
            where.add(code, what, "draw the region again; its raw form is kept in extra")
            return None
        where.warn(code, what, "it is kept as it is; look at it")
    return ring


def usable_rings(outline: tuple[Ring, ...] | str, width: int, height: int, where: Where) -> tuple[Ring, ...]:
    """Those rings of an outline that can be used, as `usable_ring` has it; none of what a parser refused."""
    parts = (outline,) if isinstance(outline, str) else outline
    found = (usable_ring(part, width, height, where) for part in parts)
    return tuple(ring for ring in found if ring is not None)


# Labels


def classify(label: str) -> tuple[str | None, str | None]:
    """Category and subtype that a label names, by id or by name in any case; `None` for what it does not."""
    taxonomy = load_taxonomy()
    wanted = label.strip().casefold()
    for category in taxonomy.categories:
        if wanted in (category.id.casefold(), category.name.casefold()):
            return category.id, None
    for subtype in taxonomy.subtypes:
        if wanted in (subtype.id.casefold(), subtype.name.casefold()):
            return subtype.category, subtype.id
    return None, None


def read_label(label: Any, where: Where) -> tuple[str | None, str | None, Json]:
    """Category, subtype and what to keep in the artifact's `extra` for a label of another format.

    A label that is not in the taxonomy is reported (`label.unknown`) and kept as `extra["label"]`, from where
    `label_of` writes it again.
    """
    if label is None or label in ("", UNLABELLED):
        return None, None, {}
    name = label if isinstance(label, str) else str(label)
    category, subtype = classify(name)
    if category:
        return category, subtype, {}
    where.warn(
        "label.unknown",
        f"{name[:80]!r} is no category or subtype of the taxonomy",
        "the artifact is kept without a category, the label in its extra",
    )
    return None, None, {"label": name}


def label_of(artifact: Artifact) -> str:
    """The label to write for an artifact: its category, the unknown label it came with, or `UNLABELLED`."""
    return artifact.category or text(artifact.extra.get("label")) or UNLABELLED


def as_id(value: Any, taken: Sequence[str] | set[str], fallback: str) -> str:
    """An artifact's id from a field of a file, made unlike those `taken` in its image (by its rater)."""
    wanted = str(value) if isinstance(value, (str, int)) and str(value) else fallback
    found, number = wanted, 2
    while found in taken:
        found, number = f"{wanted}-{number}", number + 1
    return found
