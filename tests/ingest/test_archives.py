from __future__ import annotations

import io
import stat
import struct
import warnings
import zipfile
from pathlib import Path

import pytest
from pictures import png

from synthscars.ingest.archives import members
from synthscars.ingest.scan import Scan
from synthscars.problems import Problems

_Found = dict[str, bytes]


def _zip(
    path: Path, files: list[tuple[str | zipfile.ZipInfo, bytes]], packing: int = zipfile.ZIP_STORED
) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of duplicate names
        with zipfile.ZipFile(path, "w", packing) as archive:
            for name, data in files:
                archive.writestr(name, data)
    return path


def _read(path: Path) -> tuple[_Found, Scan, list[tuple[str, str]]]:
    problems = Problems()
    scan = Scan(problems)
    found = {candidate.source: candidate.load() for candidate in members(path, "batch.zip", scan)}
    return found, scan, [(problem.code, problem.file) for problem in problems]


def test_images_are_read_in_order_and_other_files_are_counted(tmp_path: Path) -> None:
    names = ("b.png", "a/1.jpg", "notes.txt", "__MACOSX/a/._1.jpg", ".hidden.png", "./c.webp")
    path = _zip(tmp_path / "x.zip", [(name, name.encode()) for name in names])
    found, scan, problems = _read(path)
    assert found == {
        "batch.zip/./c.webp": b"./c.webp",
        "batch.zip/a/1.jpg": b"a/1.jpg",
        "batch.zip/b.png": b"b.png",
    }
    assert list(found) == sorted(found)
    assert scan.ignored == {".txt": 1, "hidden": 2}
    assert not problems


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/a.png",
        "a/../../b.png",
        "/etc/a.png",
        "C:\\a.png",
        "C:a.png",
        "..\\..\\a.png",
        "\\\\server\\a.png",
    ],
)
def test_names_that_lead_out_of_the_archive_are_refused(tmp_path: Path, name: str) -> None:
    path = _zip(tmp_path / "x.zip", [(name, png()), ("good.png", b"good")])
    found, scan, problems = _read(path)
    assert found == {"batch.zip/good.png": b"good"}
    assert (scan.refused, [code for code, _ in problems]) == (1, ["zip.unsafe_name"])


def test_a_name_with_something_behind_a_nul_is_refused(tmp_path: Path) -> None:
    path = _zip(tmp_path / "x.zip", [("aXb.png", png()), ("good.png", b"good")])
    path.write_bytes(path.read_bytes().replace(b"aXb.png", b"a\0b.png"))
    found, _, problems = _read(path)
    assert list(found) == ["batch.zip/good.png"]
    assert [code for code, _ in problems] == ["zip.unsafe_name"]


def test_links_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.png")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    found, _, problems = _read(_zip(tmp_path / "x.zip", [(link, b"/etc/passwd"), ("good.png", b"good")]))
    assert found == {"batch.zip/good.png": b"good"}
    assert problems == [("zip.link", "batch.zip/link.png")]


def test_encrypted_members_are_refused(tmp_path: Path) -> None:
    path = _zip(tmp_path / "x.zip", [("secret.png", png()), ("good.png", b"good")])
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(signature) + offset
        struct.pack_into("<H", data, at, struct.unpack_from("<H", data, at)[0] | 1)
    path.write_bytes(data)
    found, _, problems = _read(path)
    assert found == {"batch.zip/good.png": b"good"}
    assert problems == [("zip.encrypted", "batch.zip/secret.png")]


def test_archives_within_archives_are_refused(tmp_path: Path) -> None:
    inner = io.BytesIO()
    zipfile.ZipFile(inner, "w").close()
    found, _, problems = _read(
        _zip(tmp_path / "x.zip", [("in.zip", inner.getvalue()), ("good.png", b"good")])
    )
    assert found == {"batch.zip/good.png": b"good"}
    assert problems == [("zip.nested", "batch.zip/in.zip")]


def test_ways_of_packing_without_a_bound_are_refused(tmp_path: Path) -> None:
    path = _zip(tmp_path / "x.zip", [("a.png", png())], zipfile.ZIP_BZIP2)
    assert _read(path)[2] == [("zip.method", "batch.zip/a.png")]


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = _zip(tmp_path / "x.zip", [("bomb.png", bytes(20 * 2**20))], zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 30_000
    found, _, problems = _read(path)
    assert not found
    assert problems == [("zip.bomb", "batch.zip")]


def test_one_bomb_among_good_members_is_refused_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("bomb.png", bytes(20 * 2**20), zipfile.ZIP_DEFLATED)
        archive.writestr("good.png", png(1, 300, 300), zipfile.ZIP_STORED)
    found, _, problems = _read(path)
    assert found == {"batch.zip/good.png": png(1, 300, 300)}
    assert problems == [("zip.bomb", "batch.zip/bomb.png")]


@pytest.mark.parametrize("declared", [10, 5000])
def test_a_member_that_is_not_as_long_as_it_declares_is_refused(tmp_path: Path, declared: int) -> None:
    path = _zip(tmp_path / "x.zip", [("liar.png", bytes(1000)), ("good.png", b"good")], zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.index(b"PK\x01\x02") + 24, declared)
    path.write_bytes(data)
    found, _, problems = _read(path)
    assert found == {"batch.zip/good.png": b"good"}
    assert problems == [("zip.damaged", "batch.zip/liar.png")]


def test_a_member_that_declares_too_much_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthscars.ingest.archives.MAX_BYTES", 100)
    found, _, problems = _read(_zip(tmp_path / "x.zip", [("a.png", bytes(101)), ("b.png", bytes(100))]))
    assert found == {"batch.zip/b.png": bytes(100)}
    assert problems == [("ingest.too_large", "batch.zip/a.png")]


def test_a_member_with_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    path = _zip(tmp_path / "x.zip", [("a.png", b"some pixels"), ("good.png", b"good")])
    path.write_bytes(path.read_bytes().replace(b"some pixels", b"same pixels"))
    found, _, problems = _read(path)
    assert found == {"batch.zip/good.png": b"good"}
    assert problems == [("zip.damaged", "batch.zip/a.png")]


def test_members_of_one_name_are_all_taken_with_a_warning(tmp_path: Path) -> None:
    path = _zip(tmp_path / "x.zip", [("a.png", b"first"), ("a.png", b"second")])
    problems = Problems()
    found = [candidate.load() for candidate in members(path, "batch.zip", Scan(problems))]
    assert found == [b"first", b"second"]
    assert [(problem.code, problem.severity) for problem in problems] == [("zip.duplicate_name", "warning")]


@pytest.mark.parametrize("data", [b"", b"not a zip archive", b"PK\x05\x06", png()])
def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(data)
    found, scan, problems = _read(path)
    assert (found, scan.refused, problems) == ({}, 1, [("zip.damaged", "batch.zip")])


def test_an_archive_cut_anywhere_never_raises(tmp_path: Path) -> None:
    whole = _zip(tmp_path / "x.zip", [("a.png", png()), ("b.png", png(1))], zipfile.ZIP_DEFLATED).read_bytes()
    path = tmp_path / "cut.zip"
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        assert _read(path)[1].refused == 1
