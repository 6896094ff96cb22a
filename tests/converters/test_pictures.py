"""Image files on both sides of a conversion, also those that are inside other files."""

import io
from pathlib import Path

import pytest
from converting import changed
from hypothesis import given
from hypothesis import strategies as st
from pictures import picture, png

from synthscars.converters import formats, pictures
from synthscars.converters.losses import Losses
from synthscars.converters.pictures import (
    NO_PICTURES,
    Names,
    Picture,
    SourcePictures,
    TargetPictures,
    by_hash,
    first_of,
)
from synthscars.converters.reading import Where
from synthscars.files import atomic_folder
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


# Found by name


def looked_for(name: str, folder: Path | None, **said: object) -> tuple[Picture, list[str]]:
    problems = Problems()
    found = SourcePictures([folder], "test").find(name, Where(problems, "in.json"), **said)  # type: ignore[arg-type]
    assert all(one.file == "in.json" and one.fix for one in problems)
    return found, [one.code for one in problems]


@pytest.mark.parametrize("name", ["a.png", "sub/a.png", "./a.png", "sub\\a.png", "elsewhere/a.png"])
def test_an_image_is_found_by_its_name_with_its_own_id_and_size(name: str, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / ("sub/a.png" if name.startswith("sub") else "a.png")).write_bytes(DATA)
    found, said = looked_for(name, tmp_path)
    assert (found.image_id, found.width, found.height) == (RECORD.image_id, 24, 16)
    assert said == []


@pytest.mark.parametrize("name", ["A.PNG", "photos/a.png", "a.PNG"])
def test_an_image_is_found_below_the_folder_and_in_any_case_if_it_is_the_only_one(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "a.png").write_bytes(png(1))
    found, codes = looked_for(name, tmp_path)
    assert (found.image_id, codes) == (sha256(png(1)), [])
    (tmp_path / "A.png").write_bytes(png(2))
    assert looked_for("a.pnG", tmp_path)[1] == ["image.ambiguous"]


def test_a_folder_in_a_folder_makes_no_image_two(tmp_path: Path) -> None:
    inner = tmp_path / "images" / "train"
    (inner / "deep").mkdir(parents=True)
    (inner / "deep" / "a.png").write_bytes(DATA)
    (tmp_path / "link").symlink_to(inner)
    found = SourcePictures([inner, tmp_path / "images", tmp_path / "link"], "x")
    assert found.path("a.png") == inner / "deep" / "a.png"


def test_what_is_being_written_into_the_folder_is_no_second_image(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.png").write_bytes(DATA)
    with atomic_folder(tmp_path / "out") as folder:
        (folder / "a.png").write_bytes(png(2))
        assert SourcePictures([tmp_path], "x").path("a.png") == tmp_path / "deep" / "a.png"


def test_no_folder_or_file_is_read_twice_for_other_folders(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "images" / "deep").mkdir(parents=True)
    (tmp_path / "images" / "deep" / "a.png").write_bytes(DATA)
    walked, looked = [], []
    below, look = pictures._names_below, pictures.look_at
    monkeypatch.setattr(pictures, "_names_below", lambda path: walked.append(path) or below(path))
    everywhere = SourcePictures([], "x", look=lambda path: looked.append(path) or look(path))
    for number in range(3):
        (tmp_path / str(number)).mkdir()
        here = everywhere.within([tmp_path / "images", tmp_path / str(number)])
        assert here.find("a.png", Where(Problems(), "f")).image_id == RECORD.image_id
    assert walked.count(tmp_path / "images") == 1
    assert len(looked) == 1


def test_an_image_that_was_renamed_is_found_by_its_id(tmp_path: Path) -> None:
    (tmp_path / "renamed.png").write_bytes(png(1))
    found, codes = looked_for("a.png", tmp_path, image_id=sha256(png(1)))
    assert (found.path, codes) == (tmp_path / "renamed.png", [])
    assert looked_for("a.png", tmp_path, image_id=sha256(png(2)))[1] == ["image.missing"]


@pytest.mark.parametrize(
    "name", ["../secret.png", "x/../../secret.png", "/etc/hostname", "", "..", "a\0", "n" * 400]
)
def test_nothing_outside_the_folder_is_looked_at(name: str, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(DATA)
    (tmp_path / "inside").mkdir()
    found, said = looked_for(name, tmp_path / "inside", size=(7, 5))
    assert found.path is None
    assert found.image_id != RECORD.image_id
    assert (found.width, found.height) == (7, 5)
    assert said == ["image.missing"]


def test_without_a_folder_no_image_is_missed() -> None:
    found, said = looked_for("a.png", None, image_id="b" * 64, size=(7, 5))
    assert found == Picture("b" * 64, 7, 5)
    assert said == []


def test_stand_in_ids_are_equal_for_equal_names_of_one_format_only() -> None:
    one, other = SourcePictures([], "one"), SourcePictures([], "other")
    assert one.stand_in("a") == SourcePictures([], "one").stand_in("a")
    assert len({one.stand_in("a"), one.stand_in("b"), other.stand_in("a")}) == 3


@pytest.mark.parametrize(
    ("said", "codes"),
    [
        ({"size": (24, 16)}, []),
        ({"size": (16, 24)}, ["image.size_swapped"]),
        ({"size": (100, 50)}, ["image.size_differs"]),
        ({"image_id": RECORD.image_id}, []),
        ({"image_id": "b" * 64}, ["image.differs"]),
    ],
)
def test_what_the_annotation_says_otherwise_is_reported_and_the_file_counts(
    said: dict, codes: list[str], tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(DATA)
    found, reported = looked_for("a.png", tmp_path, **said)
    assert (found.image_id, found.width, found.height) == (RECORD.image_id, 24, 16)
    assert reported == codes


def test_a_damaged_image_is_reported_once_and_keeps_the_size_that_is_known(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(DATA[:100])
    problems = Problems()
    pictures = SourcePictures([tmp_path], "test")
    for _ in range(2):
        found = pictures.find("a.png", Where(problems, "in.json"), size=(24, 16))
        assert (found.image_id, found.width, found.height) == (sha256(DATA[:100]), 24, 16)
    assert [one.code for one in problems] == ["image.damaged"]


# Put in place


def test_a_folder_with_the_name_of_an_image_is_not_at_hand(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "a.jfif").write_bytes(DATA)
    assert by_hash([tmp_path])(RECORD.image_id) == tmp_path / "a.jfif"


@pytest.mark.parametrize(("how", "link"), [("copy", False), ("link", True), ("embed", False)])
def test_an_image_file_is_copied_or_linked(how: str, link: bool, tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(DATA)
    pictures = TargetPictures(by_hash([tmp_path]), how)  # type: ignore[arg-type]
    losses = Losses("target", Problems())
    for _ in range(2):  # the same image again
        assert pictures.place(RECORD, tmp_path / "out" / "data", "a.png", losses)
    placed = tmp_path / "out" / "data" / "a.png"
    assert placed.is_symlink() is link
    assert placed.read_bytes() == DATA


def test_images_that_are_left_alone_are_no_loss(tmp_path: Path) -> None:
    problems = Problems()
    losses = Losses("target", problems)
    assert not NO_PICTURES.place(RECORD, tmp_path, "a.png", losses)
    assert NO_PICTURES.suffix(RECORD) == ""
    losses.report()
    assert not len(problems)


# Names


def given_names(*records: ImageRecord, **options: bool) -> tuple[list[str], int]:
    problems = Problems()
    losses = Losses("target", problems)
    names = Names(**options)
    found = [names.give(record, losses, ".png") for record in records]
    losses.report()
    return found, sum(one.count for one in problems)


def named(*names: str) -> list[ImageRecord]:
    return [changed(RECORD, image_id=f"id{number}", file_name=name) for number, name in enumerate(names)]


def test_a_usable_name_is_kept() -> None:
    assert given_names(*named("a.png", "é ö.jpg", "no suffix", "日本.webp")) == (
        ["a.png", "é ö.jpg", "no suffix", "日本.webp"],
        0,
    )


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/..", "x\0.png", "a\nb.png", " a.png", "a.png.", "é" * 150, "\u202e"]
)
def test_a_name_that_is_no_file_name_becomes_the_id(name: str) -> None:
    assert given_names(*named(name)) == (["id0.png"], 1)


@pytest.mark.parametrize("name", ["sub/a.png", "/etc/a.png", "..\\..\\a.png", "C:\\a.png"])
def test_of_a_path_only_the_name_is_used_and_that_is_counted(name: str) -> None:
    assert given_names(*named(name)) == (["a.png"], 1)


def test_names_that_differ_in_case_only_are_told_apart() -> None:
    assert given_names(*named("a.png", "A.PNG")) == (["a.png", "id1.png"], 1)


def test_where_every_image_has_a_file_of_its_own_the_stems_differ_too() -> None:
    assert given_names(*named("a.png", "a.jpg")) == (["a.png", "a.jpg"], 0)
    assert given_names(*named("a.png", "a.jpg"), unique_stems=True) == (["a.png", "id1.png"], 1)


def test_one_image_gets_the_same_name_twice() -> None:
    (record,) = named("a.png")
    assert given_names(record, record) == (["a.png", "a.png"], 0)


@given(st.lists(st.text(max_size=6) | st.sampled_from(["a.png", "A.png", "id0.png", "id1.png"]), max_size=5))
def test_no_two_images_ever_get_one_name_and_every_name_is_one(names: list[str]) -> None:
    found, _ = given_names(*named(*names))
    assert len({name.casefold() for name in found}) == len(found)
    assert all(name not in ("", ".", "..") and not set("/\\\0") & set(name) for name in found)
