"""Reads TFRecord files of `tf.train.Example` messages without TensorFlow.

A file is a row of records, each framed so (little-endian; `tensorflow/core/lib/io/record_writer.h`)::

    uint64 length    uint32 masked CRC-32C of the length
    byte   data[length]    uint32 masked CRC-32C of the data

and each `data` is a protocol buffer message (`tensorflow/core/example/example.proto`)::

    Example { Features features = 1 }        Features { map<string, Feature> feature = 1 }
    Feature { oneof: BytesList = 1, FloatList = 2, Int64List = 3 }      each list: repeated value = 1

The packages that read this from Python bring TensorFlow, or compiled code, or are no longer kept; the format
is small and has not changed since 2015.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import IO

Values = list[bytes] | list[float] | list[int]
Features = dict[str, Values]

MOST_BYTES = 256 * 1024 * 1024
"""A record that declares more is taken for damage, not read into memory."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_Field = tuple[int, int, bytes | int]


class Broken(Exception):  # noqa: N818 - an end, not an error of ours
    """The file cannot be read beyond this point: where a record ends is no longer known."""


class Damaged(Exception):  # noqa: N818
    """One message is not what it claims to be; those behind it can be read."""


# Framing


def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_TABLE = _crc_table()


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli), as iSCSI has it (RFC 3720, appendix B.4)."""
    crc, table = 0xFFFFFFFF, _TABLE
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def masked_crc(data: bytes) -> int:
    """The CRC as it is stored: rotated, and a constant added."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def read_frames(file: IO[bytes]) -> Iterator[bytes | None]:
    """The data of each record in order, `None` for one whose checksum is wrong.

    Raises `Broken` where the file is cut short or a length is damaged.
    """
    while head := _read(file, 12, "the head of a record"):
        length, crc = struct.unpack("<QI", head)
        if masked_crc(head[:8]) != crc:
            raise Broken("the length of a record does not agree with its checksum")
        if length > MOST_BYTES:
            raise Broken(f"a record declares {length:,} bytes, more than {MOST_BYTES:,}")
        data = _read(file, length, "a record") if length else b""
        tail = _read(file, 4, "the checksum of a record")
        if len(data) < length or not tail:
            raise Broken("the file ends within a record")
        yield data if masked_crc(data) == struct.unpack("<I", tail)[0] else None


def _read(file: IO[bytes], size: int, what: str) -> bytes:
    data = file.read(size)
    if data and len(data) < size:
        raise Broken(f"the file ends within {what}")
    return data


# Messages


def read_example(data: bytes) -> Features:
    """The features of a `tf.train.Example` by name. Raises `Damaged` if it is not one."""
    features: Features = {}
    for number, wire, value in _fields(data):
        if number == 1 and wire == _BYTES:
            for inner, inner_wire, entry in _fields(_bytes(value)):
                if inner == 1 and inner_wire == _BYTES:
                    name, feature = _entry(_bytes(entry))
                    features[name] = feature
    return features


def _entry(data: bytes) -> tuple[str, Values]:
    name, feature = "", b""
    for number, wire, value in _fields(data):
        if number == 1 and wire == _BYTES:
            name = _bytes(value).decode("utf-8", "replace")
        elif number == 2 and wire == _BYTES:
            feature = _bytes(value)
    found: Values = []
    for number, wire, value in _fields(feature):
        if wire == _BYTES and number in _LISTS:
            found = _LISTS[number](_bytes(value))
    return name, found


def _bytes_list(data: bytes) -> Values:
    return [_bytes(value) for number, wire, value in _fields(data) if number == 1 and wire == _BYTES]


def _float_list(data: bytes) -> Values:
    found: list[float] = []
    for number, wire, value in _fields(data):
        # Packed, or one by one: a reader of protocol buffers has to accept both.
        if number == 1 and wire in (_BYTES, _FIXED32):
            raw = _bytes(value)
            if len(raw) % 4:
                raise Damaged("a list of floats has a part of one")
            found += struct.unpack(f"<{len(raw) // 4}f", raw)
    return found


def _int64_list(data: bytes) -> Values:
    found: list[int] = []
    for number, wire, value in _fields(data):
        if number == 1 and wire == _VARINT and isinstance(value, int):
            found.append(_signed(value))
        elif number == 1 and wire == _BYTES:
            raw, position = _bytes(value), 0
            while position < len(raw):
                one, position = _varint(raw, position)
                found.append(_signed(one))
    return found


_LISTS = {1: _bytes_list, 2: _float_list, 3: _int64_list}


def _fields(data: bytes) -> Iterator[_Field]:
    """Field number, wire type and raw value of each field of a message."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        wire = tag & 7
        if wire == _VARINT:
            value, position = _varint(data, position)
            yield tag >> 3, wire, value
            continue
        if wire == _BYTES:
            size, position = _varint(data, position)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise Damaged(f"it has a field of the unknown kind {wire}")
        if position + size > len(data):
            raise Damaged("a field reaches beyond the end of its message")
        yield tag >> 3, wire, data[position : position + size]
        position += size


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise Damaged("it ends within a number")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, position
    raise Damaged("a number has more than 64 bits")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _bytes(value: bytes | int) -> bytes:
    return value if isinstance(value, bytes) else b""
