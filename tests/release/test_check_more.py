"""Languages of texts, and what the Hub's viewer needs: each fault is planted once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from releasing import changed, filled_workspace, noise_png, sample_record

from synthscars.problems import Problems
from synthscars.release import build_release
from synthscars.release.check import check
from synthscars.release.check.items import Item
from synthscars.release.check.languages import Languages, language_of, languages_of
from synthscars.release.check.texts import Text
from synthscars.release.check.viewer import check_viewer


@pytest.mark.parametrize(
    "text",
    [
        "The hand has six fingers.",
        "Two of the fingers merge into each other.",
        "The eyes are asymmetrical and look in different directions.",
        "The leg bends the wrong way and has no foot.",
    ],
)
def test_short_english_sentences_are_not_taken_for_another_language(text: str) -> None:
    assert language_of(text) in ("en", "")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Zwei der Finger gehen ineinander über.", "de"),
        ("Le texte du panneau est illisible.", "fr"),
        ("La mano tiene seis dedos y no tiene uñas.", "es"),
        ("Extra limb", ""),
        ("На руке шесть пальцев, и это невозможно.", ""),  # told by its letters
    ],
)
def test_a_language_is_told_where_it_is_certain(text: str, language: str) -> None:
    assert language_of(text) == language


def languages(texts: list[str], expected: str = "") -> list[tuple[str, str]]:
    found = Languages(expected)
    for number, text in enumerate(texts):
        record = changed(sample_record(number, noise_png(number)))
        item = Item(record, "x", lambda: None)
        found.add(item, languages_of([Text("artifact a", "explanation", text)]))
    return [(each.code, each.severity) for each in found.problems()]


GERMAN, ENGLISH = "Zwei der Finger gehen ineinander über.", "Two of the fingers merge into each other."


def test_a_rare_language_is_told_for_each_image_and_a_common_one_is_a_note() -> None:
    assert languages([ENGLISH] * 20 + [GERMAN]) == [("text.language", "warning")]
    assert languages([ENGLISH] * 6 + [GERMAN] * 4) == [("text.languages", "info")]
    assert languages([GERMAN] * 21, "en") == [("text.language", "warning")] * 21
    assert languages([GERMAN] * 21) == []


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = filled_workspace(tmp_path_factory.mktemp("viewer") / "w", 12)
    build_release(workspace, "1.0.0", Problems())
    return workspace.release_dir("1.0.0")


def found_in(release: Path) -> list[tuple[str, str]]:
    files = {path.relative_to(release).as_posix(): path for path in sorted(release.glob("data/*.parquet"))}
    return [(each.code, each.severity) for each in check_viewer(release, files)]


def first_info(values: dict[str, Any]) -> dict[str, Any]:
    infos = values["dataset_info"]
    return infos[0] if isinstance(infos, list) else infos


CARDS: dict[str, tuple[str, Callable[[dict[str, Any]], object]]] = {
    "a file that is not there": (
        "viewer.data_files",
        lambda card: card["configs"][0]["data_files"][0].update(path="data/other-*.parquet"),
    ),
    "another number of rows": (
        "viewer.num_examples",
        lambda card: first_info(card)["splits"][0].update(num_examples=1),
    ),
    "another column": ("viewer.features", lambda card: first_info(card)["features"].pop()),
    "no configs": ("viewer.card", lambda card: card.pop("configs")),
}


@pytest.mark.parametrize(("code", "change"), CARDS.values(), ids=CARDS)
def test_a_card_that_does_not_fit_is_told(
    code: str, change: Callable[[dict[str, Any]], object], sound: Path, tmp_path: Path
) -> None:
    release = Path(shutil.copytree(sound, tmp_path / "1.0.0"))
    assert found_in(release) == []
    path = release / "README.md"
    _, text, rest = path.read_text().split("---\n", 2)
    values = yaml.safe_load(text)
    change(values)
    path.write_text(f"---\n{yaml.safe_dump(values, sort_keys=False)}---\n{rest}")
    assert code in {found for found, _ in found_in(release)}


def test_a_card_that_is_gone_or_broken_is_told(sound: Path, tmp_path: Path) -> None:
    release = Path(shutil.copytree(sound, tmp_path / "1.0.0"))
    (release / "README.md").write_text("---\n: [\n---\n")
    assert found_in(release) == [("viewer.card", "error")]
    (release / "README.md").unlink()
    assert found_in(release) == [("viewer.no_card", "warning")]


def test_row_groups_without_index_or_with_too_many_rows_are_told(sound: Path, tmp_path: Path) -> None:
    release = Path(shutil.copytree(sound, tmp_path / "1.0.0"))
    path = sorted(release.glob("data/train*"))[0]
    pq.write_table(pq.read_table(path), path)
    assert found_in(release) == [("viewer.page_index", "warning")]


def test_the_report_is_json_with_the_language_that_was_asked_for(sound: Path) -> None:
    problems = Problems()
    report = check(sound, problems, language="en")
    assert report.codes == {}
    assert json.dumps(problems.to_json()) == "[]"
