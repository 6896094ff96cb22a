"""The demo for real: a Label Studio server, three accounts, a release, `datasets`."""

import json

import pytest
from click.testing import CliRunner

from synthscars.cli import main
from synthscars.demo.run import (
    VERSION,
    _workspace,
    agreed_images,
    drawn_artifacts,
    known_artifacts,
    simulated_answers,
)
from synthscars.problems import WorkspaceError
from synthscars.records import Artifact, Review
from synthscars.simulate import simulate_image, write_simulated
from synthscars.workspace import Workspace


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


def test_the_images_that_must_be_in_the_release_are_those_that_a_majority_agrees_about():
    def answer(*names):
        review = Review(rater_id="", status="annotated" if names else "clean")
        return review, tuple(Artifact(artifact_id=name) for name in names)

    raters = [
        {"same": answer("x"), "clean": answer(), "disputed": answer("x")},
        {"same": answer("x", "y"), "clean": answer("z"), "disputed": answer("y")},
        {"same": answer(), "clean": answer(), "disputed": answer()},
    ]
    assert agreed_images(raters) == {"same", "clean"}


def test_a_demo_killed_while_it_made_its_workspace_goes_on(tmp_path):
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / ".tmp-0123456789ab-synthscars.toml").write_bytes(b"name")
    assert _workspace(tmp_path / "workspace", {}).name == "simulated-scars"


def test_a_folder_whose_release_was_built_from_other_images_is_refused(tmp_path):
    workspace = Workspace.create(tmp_path / "workspace")
    truth = truth_of(1, 0)
    assert _workspace(workspace.root, truth).root == workspace.root  # killed before it ingested
    workspace.release_dir(VERSION).mkdir(parents=True)
    with pytest.raises(WorkspaceError, match="other images"):
        _workspace(workspace.root, truth)


@pytest.mark.platform
@pytest.mark.slow
def test_the_whole_way_ends_where_it_must_and_a_second_run_changes_nothing(tmp_path):
    folder = tmp_path / "demo"
    write_simulated(folder / "generated", 2, 3)  # a demo that ended early
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
