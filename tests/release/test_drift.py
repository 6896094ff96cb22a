"""A release is compared with the version before it: what differs is told by how much it does."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from releasing import add_records, filled_workspace, replace_records

from synthscars.problems import Problems
from synthscars.records import Artifact, ImageRecord, Review
from synthscars.release import build_release
from synthscars.release.check import check
from synthscars.release.check.drift import Drift, Profile, numbers_differ, previous_of, shares_differ


def record(number: int, **fields: object) -> ImageRecord:
    artifact = Artifact(
        artifact_id="a",
        category=str(fields.pop("category", "structure")),
        phrase="the hand",
        explanation="x" * int(str(fields.pop("length", 40 + number % 9))),
        polygons=((0.0, 0.0, 9.0, 0.0, 9.0, 9.0),),
    )
    return ImageRecord(
        image_id=f"{number:032x}" * 2,
        file_name="x.png",
        width=100,
        height=100,
        status="annotated",
        artifacts=(artifact,),
        reviews=(Review(rater_id=str(fields.pop("rater", "ann")), status="annotated"),),
    )


def compared(before: list[ImageRecord], now: list[ImageRecord]) -> dict[str, tuple[str, str]]:
    profile = Profile()
    for each in before:
        profile.add(each)
    drift = Drift(profile, frozenset(each.image_id[:32].encode() for each in before))
    for each in now:
        drift.add(each)
    return {each.code: (each.severity, each.what) for each in drift.finish("1.0.0")[1]}


OLD = [record(number) for number in range(200)]


def test_more_of_the_same_is_no_drift() -> None:
    assert compared(OLD, OLD) == {}
    assert compared(OLD, OLD + [record(number) for number in range(200, 300)]) == {}


def test_shares_that_moved_are_told_with_numbers() -> None:
    new = [record(number, category="physics") for number in range(200, 400)]
    severity, what = compared(OLD, OLD + new)["drift.category"]
    assert severity == "warning"
    assert "'physics' went from 0 % to 50 %" in what or "'structure' went from 100 % to 50 %" in what
    assert "200 in 1.0.0, 400 now" in what


def test_few_new_images_that_are_others_are_told_of_themselves() -> None:
    found = compared(OLD, OLD + [record(number, length=9) for number in range(200, 230)])
    severity, what = found["drift.explanation_length"]
    assert severity == "warning"
    assert "of the new images" in what
    assert "to 9 characters" in what


def test_a_category_that_is_gone_and_a_new_rater_of_most_new_images_are_told() -> None:
    mixed = [record(number, category=("structure", "physics")[number % 2]) for number in range(200)]
    assert "drift.vanished" in compared(mixed, OLD)
    new = [record(number, rater="zed") for number in range(200, 240)]
    assert "zed" not in compared(OLD, OLD + new)["drift.new_rater"][1]


def test_few_images_are_not_compared() -> None:
    assert compared(OLD[:15], [record(number, category="physics") for number in range(900, 915)]) == {}


def test_the_distance_of_numbers_is_that_of_their_distribution_functions() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.poisson(4, 300), rng.poisson(5, 200)
    points = np.arange(30)
    expected = max(abs((one <= point).mean() - (other <= point).mean()) for point in points)
    found, _ = numbers_differ(np.bincount(one, minlength=30), np.bincount(other, minlength=30))
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["numbers", "shares"])
def test_p_values_are_as_rare_as_they_say(kind: str) -> None:
    rng = np.random.default_rng(5)
    found = []
    for _ in range(1500):
        one, other = (rng.integers(0, 400 if kind == "numbers" else 6, 250) for _ in range(2))
        counts = [np.bincount(each, minlength=400) for each in (one, other)]
        if kind == "numbers":
            found.append(numbers_differ(*counts)[1])
        else:
            found.append(shares_differ(*({str(k): int(n) for k, n in enumerate(c) if n} for c in counts))[1])
    for level in (0.05, 0.2):
        share = float(np.mean(np.array(found) <= level))
        assert share == pytest.approx(level, abs=5 * math.sqrt(level / 1500))


def test_p_values_are_those_of_tables() -> None:
    # 1.358 and 1.628 are the critical values at 5 % and 1 % of large samples.
    size = 10**6
    for critical, level in ((1.3581, 0.05), (1.6276, 0.01)):
        shift = int(critical * math.sqrt(2 * size))
        counts = np.array([size, 0]), np.array([size - shift, shift])
        assert numbers_differ(*counts)[1] == pytest.approx(level, rel=0.01)
    # 18.307 is the critical value at 5 % of chi-square with 10 degrees of freedom.
    from synthscars.release.check.drift import _chi_square_tail

    assert _chi_square_tail(18.307, 10) == pytest.approx(0.05, rel=0.01)


def test_distances_go_from_0_to_1() -> None:
    assert shares_differ({"a": 3, "b": 9}, {"a": 1, "b": 3})[0] == pytest.approx(0, abs=1e-7)
    assert shares_differ({"a": 3}, {"b": 9})[0] == pytest.approx(1)


def test_the_newest_lower_version_is_the_one_before(tmp_path: Path) -> None:
    for name in ("0.9.0", "0.10.0", "1.0.0", "draft"):
        (tmp_path / name).mkdir()
    assert previous_of(tmp_path / "1.0.0") == tmp_path.resolve() / "0.10.0"
    assert previous_of(tmp_path / "0.9.0") is None
    assert previous_of(tmp_path / "draft") is None


def test_releases_are_compared_and_the_report_has_every_measure(tmp_path: Path) -> None:
    workspace = filled_workspace(tmp_path / "w", 40)
    build_release(workspace, "1.0.0", Problems())
    records = add_records(workspace, range(40, 80))
    replace_records(workspace, records)
    build_release(workspace, "1.1.0", Problems())
    problems = Problems()
    report = check(workspace.release_dir("1.1.0"), problems, previous=workspace.release_dir("1.0.0"))
    assert report.previous == "1.0.0"
    assert {each.name for each in report.drift} >= {"category", "artifacts_per_image", "rater"}
    assert not [each for each in problems if each.severity == "error"]
    (workspace.release_dir("1.0.0") / "data").rename(tmp_path / "gone")
    problems = Problems()
    report = check(workspace.release_dir("1.1.0"), problems, previous=workspace.release_dir("1.0.0"))
    assert (report.previous, report.codes) == ("", {"drift.not_compared": 1})
