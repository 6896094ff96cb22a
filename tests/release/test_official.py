"""The official folder, end to end: every planted defect is found, none invented, mended as documented, and
no annotation is lost without a word."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from planted import Planted, planted

from synthscars.cli import main
from synthscars.converters.synthscars_json import NAMESPACE
from synthscars.jsonl import read_records

BY_NATURE = {"license.missing", "category.missing"}
"""What the published layout never holds; told once for a source."""

LEAKS = {"leak.image", "leak.lookalike", "leak.group", "leak.generation"}


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return planted(tmp_path_factory.mktemp("official") / "SynthScars")


def run(*arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(main, [*arguments, "--json"])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


class Way:
    """What the commands said and wrote on the whole way."""

    def __init__(self, official: Planted, root: Path) -> None:
        scars = str(root / "scars")
        CliRunner().invoke(main, ["init", scars], catch_exceptions=False)
        # 1: two regions had to be set aside.
        self.imported = run("import", str(official.folder), "-w", scars, "--license", "CC-BY-4.0", code=1)
        self.records = root / "scars" / "imports" / "SynthScars.jsonl.zst"
        self.built = run("release", "build", "1.0.0", "-w", scars, "--records", str(self.records), code=1)
        self.agreed = run("consensus", "-w", scars, "--records", str(self.records))
        self.release = root / "scars" / "releases" / "1.0.0"
        self.checked = run("release", "check", "1.0.0", "-w", scars)
        self.manifest = json.loads((self.release / "manifest.json").read_text())


@pytest.fixture(scope="module")
def way(official: Planted, tmp_path_factory: pytest.TempPathFactory) -> Way:
    return Way(official, tmp_path_factory.mktemp("way"))


def test_a_check_finds_every_planted_defect_and_invents_none(official: Planted) -> None:
    report = run("release", "check", str(official.folder), code=1)
    found = Counter(
        (each["code"], each.get("file", ""), each.get("image", ""), each.get("region", ""))
        for each in report["problems"]
        if each["code"] not in BY_NATURE
    )
    assert set(found) == official.defects
    assert max(found.values()) == 1
    assert {each["code"] for each in report["problems"]} >= BY_NATURE
    assert (report["format"], report["images"]) == ("synthscars-json", len(official.refs))


def test_the_import_names_every_planted_defect_too(official: Planted, way: Way) -> None:
    counts = Counter(each["code"] for each in way.imported["problems"])
    counts -= Counter({"counts.not_published": 2})
    assert counts == {
        "picture.annotated_again": 4,
        "picture.twin": 2,
        "picture.train_test": 3,
        "polygon.no_area": 2,
        "explanation.empty": 1,
        "polygon.rounding": 2,
        "phrase.not_in_caption": 1,
        "phrase.repeated": 1,
        "caption.line_break": 1,
    }


def test_the_release_has_the_published_splits_less_what_was_set_aside_with_a_reason(
    official: Planted, way: Way
) -> None:
    assert way.manifest["left_out"] == {
        "disputed": 1,
        "near_duplicate_of_test": 2,
        "record.no_artifact": 1,
    }
    # 27 and 7 annotations are of 22 and 7 images, of which one is in both splits.
    assert way.manifest["splits"] == {"train": 17, "test": 7}


def test_consensus_says_beforehand_what_the_release_leaves_out(way: Way) -> None:
    said = Counter(each["code"] for each in way.agreed["problems"])
    built = Counter(each["code"] for each in way.built["problems"])
    assert said == {"consensus.disputed": 1, "consensus.unconfirmed": 3}
    assert {code: built[code] for code in said} == said


def test_no_leak_is_left_and_no_error(way: Way) -> None:
    found = Counter(each["code"] for each in way.checked["problems"])
    assert not LEAKS & set(found)
    assert "error" not in way.checked["severities"]
    # What raters left open stays open, and is told.
    assert found["explanation.empty"] == 1


def rows(way: Way) -> list[dict[str, Any]]:
    from datasets import load_dataset

    loaded = load_dataset(str(way.release))
    assert {split: len(rows) for split, rows in loaded.items()} == way.manifest["splits"]
    return [
        {**row, "split": split}
        for split, rows in loaded.items()
        for row in rows.select_columns(
            ["image_id", "file_name", "artifacts", "reviews", "extra", "caption", "group_id"]
        )
    ]


def test_every_annotation_is_released_merged_or_set_aside_with_a_reason(official: Planted, way: Way) -> None:
    """Of every annotation of the folder, where it is now; counted from the files that came out."""
    where: dict[str, str] = {}
    refs: Counter[str] = Counter()
    released = {row["image_id"]: row for row in rows(way)}
    unconfirmed = Counter(
        each["image"] for each in way.built["problems"] if each["code"] == "consensus.unconfirmed"
    )
    for record in read_records(way.records):
        row = released.get(record.image_id)
        answers = [review.extra[NAMESPACE] for review in record.reviews if NAMESPACE in review.extra]
        mine = answers or [{**record.extra[NAMESPACE], "split": record.split}]
        drawn = Counter(artifact.rater_id for artifact in record.artifacts)
        refs["left out with their image"] += drawn.total() if row is None else 0
        refs["set aside"] += sum(len(each.get("rejected_refs", ())) for each in mine)
        for each in mine:
            name = f"{each['split']}/{each['id']}"
            assert name not in where
            where[name] = "left out" if row is None else "merged" if answers else "released"
        if row is not None:
            kept = {each["artifact_id"] for each in row["artifacts"]}
            told = {review["rater_id"] for review in row["reviews"]}
            if answers:
                assert told == {review.rater_id for review in record.reviews}
                final = [each.rater_id for each in record.reviews if each.extra.get("ground_truth")]
                overruled = sum(count for rater, count in drawn.items() if final and rater not in final)
                merged = sum(each["votes"] for each in row["artifacts"])
                assert merged + unconfirmed[record.image_id] + overruled == drawn.total()
                refs["merged"] += merged
                refs["outvoted"] += unconfirmed[record.image_id]
                refs["overruled"] += overruled
            else:
                refs["released"] += len(kept)
                assert kept == {artifact.artifact_id for artifact in record.artifacts}
    assert set(where) == set(official.refs)
    assert Counter(where.values()) == {"released": 20, "merged": 9, "left out": 5}
    assert refs.total() == sum(official.refs.values())
    assert refs == {
        "released": 22,
        "merged": 9,
        "outvoted": 1,
        "overruled": 1,
        "left out with their image": 4,
        "set aside": 2,
    }
    said = [each for each in way.imported["problems"] if each["code"] == "polygon.no_area"]
    assert len(said) == refs["set aside"]
    # As many images are counted as left out as are not in the release.
    images = {record.image_id for record in read_records(way.records)}
    assert len(images - set(released)) == sum(way.manifest["left_out"].values())


def test_defects_are_mended_as_documented(way: Way) -> None:
    by_name = {(row["split"], row["file_name"]): row for row in rows(way)}
    twins = [by_name["train", name] for name in ("twin.png", "twin.jpg")]
    assert len({row["group_id"] for row in twins}) == 1
    votes = {
        name: [each["votes"] for each in by_name["train", name]["artifacts"]]
        for name in ("again.png", "three.png", "one.png")
    }
    assert votes == {"again.png": [2], "three.png": [2, 2], "one.png": [2]}
    # The test annotation of a file that is in both splits counts, the other is kept as an overruled answer.
    both = by_name["test", "both.png"]
    assert ("train", "both.png") not in by_name
    assert [each["polygons"][0][0] for each in both["artifacts"]] == [300.0]
    assert len(both["reviews"]) == 2
    assert "\n" not in by_name["train", "break.png"]["caption"]
    assert json.loads(by_name["train", "break.png"]["extra"])["caption_as_found"].count("\n") == 1
    assert len(by_name["train", "line.png"]["artifacts"]) == 2
    # Rounding is within the tolerance, and not a digit is changed.
    (edge,) = by_name["train", "edge.png"]["artifacts"]
    assert edge["polygons"][0][:3] == [-1e-12, 20.0, 512 + 5e-13]
    for name in ("anew.jpg", "retouched.png"):
        assert ("train", name) not in by_name
