"""Images in zip archives. Members are read in memory and never unpacked to a path that the archive chose."""

from __future__ import annotations

import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from synthscars.ingest.scan import (
    FIX_UNREADABLE,
    IMAGE_SUFFIXES,
    MAX_BYTES,
    Candidate,
    Scan,
    printable,
    reason,
)

ZIP_SUFFIX = ".zip"

MAX_RATIO = 200
"""What grows more than this by unpacking, to more than `RATIO_FROM` bytes, is taken for a bomb."""

RATIO_FROM = 16 * 2**20

_ENCRYPTED = 0x1
_FIX_BOMB = "unpack it yourself if you trust it, and ingest the folder"
_FIX_DAMAGED = "make or copy the archive again"
# RuntimeError: also NotImplementedError, for a way of packing that this Python lacks.
_DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError)


def members(path: Path, source: str, scan: Scan) -> Iterator[Candidate]:
    """The images of a zip archive, sorted by member name; everything wrong with it goes to `scan`."""
    label = printable(source)
    try:
        with zipfile.ZipFile(path) as archive:
            packed = path.stat().st_size
            unpacked = sum(info.file_size for info in archive.infolist())
            if _is_bomb(packed, unpacked):
                # Members may overlap, so that each looks harmless by itself.
                what = f"{packed:,} bytes say that they unpack to {unpacked:,}"
                scan.refuse("zip.bomb", label, what, _FIX_BOMB)
                return
            yield from _members(archive, source, scan)
    except _DAMAGED as error:
        scan.refuse("zip.damaged", label, f"it is not a whole zip archive: {error}", _FIX_DAMAGED)
    except OSError as error:
        scan.refuse("ingest.unreadable", label, f"it cannot be read: {reason(error)}", FIX_UNREADABLE)


def _members(archive: zipfile.ZipFile, source: str, scan: Scan) -> Iterator[Candidate]:
    taken: set[str] = set()
    infos = sorted(archive.infolist(), key=lambda info: (info.filename.split("/"), info.header_offset))
    for info in infos:
        label = printable(f"{source}/{info.filename}")
        if info.is_dir() or not _is_wanted(info, label, scan):
            continue
        data = _unpack(archive, info, label, scan)
        if data is None:
            continue
        if label in taken:
            what = "the archive has several members of this name; each was taken"
            scan.note("zip.duplicate_name", label, what, "check which one is meant", "warning")
        taken.add(label)
        yield Candidate(label, _holding(data))


def _holding(data: bytes) -> Callable[[], bytes]:
    return lambda: data


def _is_wanted(info: zipfile.ZipInfo, label: str, scan: Scan) -> bool:
    parts = re.split(r"[/\\]", info.orig_filename)
    suffix = Path(parts[-1]).suffix.lower()
    if any(re.match(r"\.[^./]", part) for part in parts) or "__MACOSX" in parts:
        scan.ignored["hidden"] += 1
        return False
    if suffix not in IMAGE_SUFFIXES and suffix != ZIP_SUFFIX:
        scan.ignored[suffix or "no suffix"] += 1
        return False
    wrong = _wrong(info, parts)
    if wrong:
        code, what, fix = wrong
        scan.refuse(code, label, what, fix)
    return not wrong


def _wrong(info: zipfile.ZipInfo, parts: list[str]) -> tuple[str, str, str] | None:
    """What forbids reading a member: code, what, fix."""
    # `orig_filename` still has what `filename` cuts off behind a NUL.
    if ".." in parts or parts[0] == "" or re.match(r"[A-Za-z]:", parts[0]) or "\0" in info.orig_filename:
        return "zip.unsafe_name", "its name leads out of the archive", f"{_FIX_DAMAGED}, with relative names"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "zip.link", "it is a symbolic link, not a file", "put the file itself into the archive"
    if parts[-1].lower().endswith(ZIP_SUFFIX):
        return "zip.nested", "it is an archive within an archive", "unpack the outer archive first"
    if info.flag_bits & _ENCRYPTED:
        return "zip.encrypted", "it is encrypted", "unpack it with its password and ingest the folder"
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        # zipfile unpacks the others without a bound.
        what = f"it is packed by a method that is not read here ({info.compress_type})"
        return "zip.method", what, f"{_FIX_DAMAGED}, as an ordinary zip"
    if info.file_size > MAX_BYTES:
        what = f"it declares {info.file_size:,} bytes, more than {MAX_BYTES:,}"
        return "ingest.too_large", what, "store it as PNG or JPEG"
    if _is_bomb(info.compress_size, info.file_size):
        what = f"{info.compress_size:,} bytes say that they unpack to {info.file_size:,}"
        return "zip.bomb", what, _FIX_BOMB
    return None


def _is_bomb(packed: int, unpacked: int) -> bool:
    return unpacked > RATIO_FROM and unpacked > MAX_RATIO * max(packed, 1)


def _unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo, label: str, scan: Scan) -> bytes | None:
    try:
        with archive.open(info) as file:
            # One byte more than declared: reading up to the end is what compares the checksum.
            data = file.read(info.file_size + 1)
    except (*_DAMAGED, OSError) as error:
        scan.refuse("zip.damaged", label, f"it cannot be unpacked: {error}", _FIX_DAMAGED)
        return None
    if len(data) != info.file_size:
        what = f"it declares {info.file_size:,} bytes and has {len(data):,}"
        scan.refuse("zip.damaged", label, what, _FIX_DAMAGED)
        return None
    return data
