from __future__ import annotations

import os
from pathlib import Path

import pytest
from pictures import png, write

from synthscars.ingest.scan import Scan, printable
from synthscars.ingest.sources import candidates, is_missing
from synthscars.problems import Problems


def _found(
    *sources: Path | str, avoid: tuple[Path, ...] = ()
) -> tuple[list[str], Scan, list[tuple[str, str]]]:
    problems = Problems()
    scan = Scan(problems)
    found = [candidate.source for candidate in candidates(map(str, sources), scan, avoid)]
    return found, scan, [(problem.code, problem.file) for problem in problems]


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    names = ("b.png", "a/2.PNG", "a/1.jpg", "a.png", "c/d/e.webp")
    return write(tmp_path / "outputs", dict.fromkeys(names, b""))


def test_a_folder_is_walked_in_order_with_its_own_name_in_front(outputs: Path) -> None:
    found, _, problems = _found(outputs)
    assert found == [
        "outputs/a/1.jpg",
        "outputs/a/2.PNG",
        "outputs/a.png",
        "outputs/b.png",
        "outputs/c/d/e.webp",
    ]
    assert not problems


def test_the_same_file_has_the_same_source_however_its_folder_is_named(
    outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = _found(outputs)[0]
    monkeypatch.chdir(outputs)
    for spelling in (".", "../outputs", f"{outputs}/", f"{outputs}/c/..", "**", "**/*", f"{outputs}/**", "*"):
        assert _found(spelling)[0] == everything, spelling


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.png", ["a.png", "b.png"]),
        ("*/*.jpg", ["a/1.jpg"]),
        ("**/*.webp", ["c/d/e.webp"]),
        ("**/a.png", ["a.png"]),
        ("a", ["a/1.jpg", "a/2.PNG"]),
        ("[ac]", ["a/1.jpg", "a/2.PNG", "c/d/e.webp"]),
        ("?/d", ["c/d/e.webp"]),
        ("c/**/d/**/*.webp", ["c/d/e.webp"]),
    ],
)
def test_patterns_choose_files_and_whole_folders(outputs: Path, pattern: str, expected: list[str]) -> None:
    prefix = "" if pattern == "a" else "outputs/"
    if pattern.startswith("c/"):
        prefix, expected = "c/", [name.removeprefix("c/") for name in expected]
    assert _found(f"{outputs}/{pattern}")[0] == [prefix + name for name in expected]


def test_sources_keep_the_order_in_which_they_were_given(outputs: Path) -> None:
    assert _found(outputs / "b.png", outputs / "a")[0] == ["b.png", "a/1.jpg", "a/2.PNG"]


def test_a_name_with_wildcard_characters_is_a_name_if_it_exists(tmp_path: Path) -> None:
    write(tmp_path / "x [1]", {"a.png": b""})
    assert _found(tmp_path / "x [1]")[0] == ["x [1]/a.png"]


def test_other_files_and_hidden_ones_are_counted_by_kind(outputs: Path) -> None:
    names = ("notes.txt", "a/more.TXT", "a/params.json", "README", ".DS_Store", ".cache/x.png")
    write(outputs, dict.fromkeys(names, b""))
    found, scan, problems = _found(outputs)
    assert len(found) == 5
    assert scan.ignored == {".txt": 2, ".json": 1, "no suffix": 1, "hidden": 2}
    assert not problems


@pytest.mark.parametrize("source", ["missing/*.png", "outputs/*.tiff", "empty", "outputs/**/nothing"])
def test_a_source_with_nothing_in_it_is_an_error(
    outputs: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (outputs.parent / "empty").mkdir()
    monkeypatch.chdir(outputs.parent)
    assert _found(source)[2] == [("ingest.nothing_found", source)]


def test_links_to_folders_are_named_but_not_followed(outputs: Path) -> None:
    (outputs / "a" / "loop").symlink_to(outputs)
    (outputs / "c" / "linked.png").symlink_to(outputs / "a.png")
    found, _, problems = _found(outputs)
    assert len(found) == 6
    assert "outputs/c/linked.png" in found
    assert problems == [("ingest.linked_folder", "outputs/a/loop")]
    assert len(_found(f"{outputs}/**/*.*")[0]) == 6


def test_a_link_that_was_named_is_followed(outputs: Path) -> None:
    (outputs.parent / "link").symlink_to(outputs / "a")
    assert _found(outputs.parent / "link")[0] == ["link/1.jpg", "link/2.PNG"]


def test_a_broken_link_is_unreadable(outputs: Path) -> None:
    (outputs / "broken.png").symlink_to(outputs / "gone")
    found, scan, problems = _found(outputs)
    assert len(found) == 5
    assert (scan.refused, problems) == (1, [("ingest.unreadable", "outputs/broken.png")])


def test_a_pipe_is_not_opened(outputs: Path) -> None:
    os.mkfifo(outputs / "pipe.png")
    _, scan, problems = _found(outputs)
    assert (scan.refused, problems) == (1, [("ingest.not_a_file", "outputs/pipe.png")])


def test_a_file_that_is_too_large_is_not_read(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthscars.ingest.sources.MAX_BYTES", 100)
    (outputs / "large.png").write_bytes(bytes(101))
    found, _, problems = _found(outputs)
    assert "outputs/large.png" not in found
    assert problems == [("ingest.too_large", "outputs/large.png")]


def test_a_folder_that_must_be_avoided_is_passed_over_and_cannot_be_named(outputs: Path) -> None:
    avoid = (outputs / "a",)
    found, _, problems = _found(outputs, avoid=avoid)
    assert found == ["outputs/a.png", "outputs/b.png", "outputs/c/d/e.webp"]
    assert problems == [("ingest.own_folder", "outputs/a")]
    for source in (outputs / "a", outputs / "a" / "1.jpg", outputs / "b" / ".." / "a" / "missing.png"):
        found, scan, problems = _found(source, avoid=avoid)
        assert (found, scan.refused, problems[0][0]) == ([], 1, "ingest.own_folder")


def test_names_that_are_no_text_are_written_so_that_they_can_be_stored_and_shown(tmp_path: Path) -> None:
    for name in (b"\xff.png", b"\x1b[31m.png", "a\u202egnp.png".encode(), "猫 🧑🏽‍🎨.png".encode()):
        (tmp_path / os.fsdecode(name)).write_bytes(png())
    found, _, _ = _found(tmp_path)
    names = {source.partition("/")[2] for source in found}
    assert names == {"\\xff.png", "\\x1b[31m.png", "a\\u202egnp.png", "猫 🧑🏽‍🎨.png"}
    assert all(name.encode() for name in names)
    assert printable("plain name.png") == "plain name.png"


def test_a_path_that_is_not_there_is_named_and_the_others_go_on(
    outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(outputs.parent)
    alone = _found("outputs")
    names, _, problems = _found("missing", "outputs", "outputs/missing.png")
    assert names == alone[0]
    assert [problem for problem in problems if problem not in alone[2]] == [
        ("ingest.not_found", "missing"),
        ("ingest.not_found", "outputs/missing.png"),
    ]
    assert is_missing("missing")
    assert not is_missing("outputs")
    assert not is_missing("missing/*.png")
