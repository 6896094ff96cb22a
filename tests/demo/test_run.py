"""The demo for real: a Label Studio server, three accounts, a release, `datasets`."""

import json

import pytest
from click.testing import CliRunner

from synthscars.cli import main
from synthscars.demo.run import drawn_artifacts, known_artifacts, simulated_answers
from synthscars.simulate import simulate_image


def truth_of(count, seed):
    records = (simulate_image(seed, index).record for index in range(count))
    return {record.image_id: record for record in records}


def test_the_simulated_answers_are_reproducible_and_imperfect():
    truth = truth_of(12, 0)
    answers = simulated_answers(truth, 0)
    assert answers == simulated_answers(dict(reversed(truth.items())), 0)
    known = known_artifacts(truth)
    for rater in answers:
        drawn = drawn_artifacts(rater)
        assert set(drawn) != known, "a rater without any mistake on 12 images: the seed says nothing"
        assert len(set(drawn) & known) > len(known) / 2


@pytest.mark.platform
@pytest.mark.slow
def test_the_whole_way_ends_where_it_must_and_a_second_run_changes_nothing(tmp_path):
    folder = tmp_path / "demo"
    arguments = ["demo", str(folder), "--images", "4", "--seed", "3", "--json"]
    try:
        first = CliRunner().invoke(main, arguments)
        assert first.exit_code == 0, first.stderr
        report = json.loads(first.stdout)
        assert report["passed"] is True
        assert (report["images"], report["annotations"]) == (4, 12)
        assert report["score"]["matched"] == report["standing"] > 0
        assert report["score"]["texts_equal"] == report["score"]["matched"]
        assert report["score"]["mean_iou"] > 0.85
        before = contents(folder)

        second = CliRunner().invoke(main, arguments)
        assert second.exit_code == 0, second.stderr
        assert json.loads(second.stdout)["score"] == report["score"]
        assert contents(folder) == before
    finally:
        stopped = CliRunner().invoke(
            main, ["platform", "down", "--workspace", str(folder / "workspace"), "--json"]
        )
    assert json.loads(stopped.stdout) == {"stopped": True}


def contents(folder):
    """Every file but the running server's own."""
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "platform" not in path.parts
    }
