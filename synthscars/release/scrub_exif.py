"""Takes personal data out of an EXIF block and leaves every other entry as it is.

A block is a TIFF file of tables (IFDs) of entries; it is read and written here, because the libraries that
write EXIF rewrite all of it, or lose entries, in ways that change from version to version, and a release has
to give the same bytes everywhere.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from PIL import Image

from synthscars.ingest.metadata.chunks import user_comment
from synthscars.release.personal import Finding, binary_findings, scrub_text

GPS_IFD, EXIF_IFD, INTEROP_IFD = 0x8825, 0x8769, 0xA005
ORIENTATION = 0x0112
PEOPLE_TAGS = {0x013B: "Artist", 0x013C: "HostComputer", 0x9C9D: "XPAuthor"}
"""Entries of the main table that name somebody or something."""
PEOPLE_EXIF = {0xA430: "CameraOwnerName", 0xA431: "BodySerialNumber", 0xA435: "LensSerialNumber"}
"""The same in the inner table."""

_SUB_IFDS, _MAKER_NOTE, _USER_COMMENT = 0x014A, 0x927C, 0x9286
_XP_TAGS = range(0x9C9B, 0x9CA0)
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_BYTE, _ASCII, _SHORT, _LONG, _UNDEFINED = 1, 2, 3, 4, 7
_MOST_ENTRIES = 2000
_PREFIX_BYTES = 8


class _Entry(NamedTuple):
    tag: int
    kind: int
    value: bytes
    table: tuple[_Entry, ...] | None = None


def scrub_exif(tiff: bytes, place: str) -> tuple[bytes | None, list[Finding]]:
    """A block (from its byte order on) without what is personal; the same bytes if there is nothing.

    `None` if nothing is left of it. A block that is damaged and holds something personal leaves the
    orientation alone. What is personal, or not known, in the thumbnail's table goes with it.
    """
    try:
        order, entries = _read(tiff)
    except (struct.error, ValueError, IndexError):
        found = binary_findings(tiff, place)
        return (minimal_exif(orientation_of(tiff)) if found else tiff), found
    kept, found = _scrub(entries, order, place, main=True)
    if not found:
        return tiff, []
    return (_write(kept, order) if kept else None), found


def minimal_exif(orientation: int) -> bytes | None:
    """A block that holds the orientation alone, `None` if that is the usual one."""
    if orientation not in range(2, 9):
        return None
    return _write([_Entry(ORIENTATION, _SHORT, struct.pack(">H", orientation))], ">")


def orientation_of(tiff: bytes) -> int:
    """The orientation in a block, as Pillow reads it; 1 if it cannot."""
    try:
        exif = Image.Exif()
        exif.load(b"Exif\0\0" + tiff)
        value = exif.get(ORIENTATION, 1)
    except Exception:  # a damaged block raises nearly anything
        return 1
    return value if value in range(1, 9) else 1


def _scrub(
    entries: tuple[_Entry, ...], order: str, place: str, *, main: bool
) -> tuple[list[_Entry], list[Finding]]:
    people = PEOPLE_TAGS if main else PEOPLE_EXIF
    kept: list[_Entry] = []
    found: list[Finding] = []
    for entry in entries:
        if entry.tag == GPS_IFD:
            if any(each.tag for each in entry.table or ()):  # 0 is the version of the block
                found.append(Finding("personal.gps", "where it was taken (GPS)", place))
        elif entry.table is not None:
            inner, more = _scrub(entry.table, order, place, main=False)
            found += more
            if inner:
                kept.append(entry._replace(table=tuple(inner)))
        elif entry.tag in people and entry.value.strip(b"\0 "):
            found.append(Finding("personal.exif", f"who or what made it ({people[entry.tag]})", place))
        else:
            changed, more = _scrub_entry(entry, order, place)
            found += more
            if changed is not None:
                kept.append(changed)
    if found:  # notes of cameras hold serial numbers, and places within the block that moves
        kept = [each for each in kept if each.tag != _MAKER_NOTE or _is_text(each.value)]
    return kept, found


def _scrub_entry(entry: _Entry, order: str, place: str) -> tuple[_Entry | None, list[Finding]]:
    if entry.tag in _XP_TAGS and entry.kind in (_BYTE, _UNDEFINED):
        text = entry.value.decode("utf-16-le", "replace").rstrip("\0")
        scrubbed, found = scrub_text(text, place)
        value = (scrubbed + "\0").encode("utf-16-le", "replace")
    elif entry.tag == _USER_COMMENT and entry.kind in (_BYTE, _ASCII, _UNDEFINED):
        little = order == "<"
        text = user_comment(entry.value, little_endian=little)
        scrubbed, found = scrub_text(text, place)
        value = _user_comment(scrubbed, entry.value, little) if found else entry.value
    elif entry.kind == _ASCII or (entry.kind in (_BYTE, _UNDEFINED) and _is_text(entry.value)):
        code = "utf-8" if _is_text(entry.value) else "latin-1"
        scrubbed, found = scrub_text(entry.value.rstrip(b"\0").decode(code), place)
        end = b"\0" if entry.value.endswith(b"\0") else b""
        value = scrubbed.encode(code, "replace") + end
    else:
        found = binary_findings(entry.value, place) if entry.kind in (_BYTE, _UNDEFINED) else []
        return (None if found else entry), found
    return (entry._replace(value=value) if found else entry), found


def _user_comment(text: str, before: bytes, little: bool) -> bytes:
    """A text as UserComment, in the encoding of the one that was there before if that can hold it."""
    prefix = before[:_PREFIX_BYTES]
    if prefix == b"UNICODE\0":
        for code in ("utf-16-be", "utf-16-le", "utf-8"):
            value = prefix + text.encode(code, "replace")
            if user_comment(value, little_endian=little) == text:
                return value
    if prefix in (b"ASCII\0\0\0", bytes(_PREFIX_BYTES)):
        return prefix + text.encode("utf-8", "replace")
    return text.encode("utf-8", "replace")


def _is_text(value: bytes) -> bool:
    try:
        text = value.rstrip(b"\0").decode("utf-8")
    except UnicodeError:
        return False
    return bool(text) and "\0" not in text


# Tables


def _read(tiff: bytes) -> tuple[str, tuple[_Entry, ...]]:
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        raise ValueError("no byte order")
    magic, offset = struct.unpack(order + "HI", tiff[2:8])
    if magic != 42:
        raise ValueError("no TIFF")
    return order, _table(tiff, order, offset, 0)


def _table(tiff: bytes, order: str, offset: int, depth: int) -> tuple[_Entry, ...]:
    (count,) = struct.unpack_from(order + "H", tiff, offset)
    if count > _MOST_ENTRIES or depth > 2:
        raise ValueError("too many entries")
    entries: list[_Entry] = []
    for index in range(count):
        at = offset + 2 + 12 * index
        tag, kind, number = struct.unpack_from(order + "HHI", tiff, at)
        if tag == _SUB_IFDS:
            continue  # other pictures, none of which a reader of this image looks at
        size = number * _TYPE_BYTES[kind] if kind in _TYPE_BYTES else -1
        start = at + 8 if 0 <= size <= 4 else struct.unpack_from(order + "I", tiff, at + 8)[0]
        if size < 0 or start + size > len(tiff):
            raise ValueError("an entry that is not in the block")
        value = tiff[start : start + size]
        table = None
        if tag in (EXIF_IFD, GPS_IFD, INTEROP_IFD) and size == 4:
            table = _table(tiff, order, struct.unpack(order + "I", value)[0], depth + 1)
        entries.append(_Entry(tag, kind, value, table))
    return tuple(entries)


def _write(entries: list[_Entry] | tuple[_Entry, ...], order: str) -> bytes:
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    return head + _written(entries, order, 8)


def _written(entries: list[_Entry] | tuple[_Entry, ...], order: str, offset: int) -> bytes:
    """One table with the values and the inner tables that it points to, to be put at `offset`."""
    rows: list[bytes] = []
    behind = b""
    start = offset + 2 + 12 * len(entries) + 4
    for entry in entries:
        kind, value = entry.kind, entry.value
        if entry.table is not None:
            kind, value = _LONG, struct.pack(order + "I", start + len(behind))
            behind += _written(entry.table, order, start + len(behind))
        number = len(value) // _TYPE_BYTES[kind]
        if len(value) > 4:
            place = struct.pack(order + "I", start + len(behind))
            behind += value + b"\0" * (len(value) % 2)
        else:
            place = value.ljust(4, b"\0")
        rows.append(struct.pack(order + "HHI", entry.tag, kind, number) + place)
    return struct.pack(order + "H", len(entries)) + b"".join(rows) + bytes(4) + behind
