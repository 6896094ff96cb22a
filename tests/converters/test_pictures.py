"""Image files on both sides of a conversion, also those that are inside other files."""

import io
from pathlib import Path

import pytest
from converting import changed
from pictures import picture, png

from synthscars.converters import formats
from synthscars.converters.losses import Losses
from synthscars.converters.pictures import Names, TargetPictures, by_hash, first_of
from synthscars.images import sha256
from synthscars.problems import Problems
from synthscars.records import ImageRecord

DATA = png(1)
RECORD = ImageRecord(image_id=sha256(DATA), file_name="a.png", width=24, height=16)


def encoded(format: str) -> bytes:
    buffer = io.BytesIO()
    picture(1).save(buffer, format)
    return buffer.getvalue()


@pytest.mark.parametrize("how", ["copy", "link"])
def test_what_is_inside_another_file_is_written_out_as_it_is(tmp_path: Path, how: str) -> None:
    losses = Losses("target", Problems())
    pictures = TargetPictures({RECORD.image_id: DATA}.get, how)  # type: ignore[arg-type]
    assert pictures.place(RECORD, tmp_path / "images", "a.png", losses)
    placed = tmp_path / "images" / "a.png"
    assert placed.read_bytes() == DATA
    assert not placed.is_symlink()
    assert pictures.data(RECORD, losses) == DATA


@pytest.mark.parametrize(
    ("data", "suffix"),
    [
        (encoded("PNG"), ".png"),
        (encoded("JPEG"), ".jpg"),
        (encoded("WEBP"), ".webp"),
        (b"nothing", ""),
        (b"", ""),
    ],
)
def test_the_suffix_of_embedded_bytes_is_told_by_their_content(data: bytes, suffix: str) -> None:
    assert TargetPictures(lambda _: data).suffix(RECORD) == suffix


def test_finders_are_asked_one_after_the_other(tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(png(2))
    find = first_of({RECORD.image_id: DATA}.get, by_hash([tmp_path]))
    assert find(RECORD.image_id) == DATA
    assert find(sha256(png(2))) == tmp_path / "b.png"
    assert find("0" * 64) is None


def test_what_is_not_at_hand_is_counted(tmp_path: Path) -> None:
    problems = Problems()
    losses = Losses("target", problems)
    assert not TargetPictures().place(RECORD, tmp_path, "a.png", losses)
    assert TargetPictures().data(RECORD, losses) is None
    losses.report()
    assert [(one.code, one.count) for one in problems] == [("loss.image", 2)]


def test_an_id_that_is_a_path_never_becomes_one() -> None:
    record = changed(RECORD, image_id="../../etc/passwd", file_name="")
    assert Names().give(record, Losses("target", Problems()), ".png") == f"{sha256(b'../../etc/passwd')}.png"


def test_images_are_taken_from_inside_the_source_by_whatever_format_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from synthscars.converters import records_file

    monkeypatch.setattr(records_file, "images_of", lambda _: {RECORD.image_id: DATA}.get, raising=False)
    formats.write([changed(RECORD, status="clean")], tmp_path / "a.jsonl", Problems())
    formats.convert(tmp_path / "a.jsonl", tmp_path / "release", Problems(), to="release")
    (found,) = formats.read(tmp_path / "release", Problems())
    assert found.image_id == RECORD.image_id
