"""`synthscars consensus`, and that what it writes is what a release is made of."""

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from releasing import filled_workspace, replace_records

from synthscars.cli import main
from synthscars.jsonl import read_records
from synthscars.problems import Problems
from synthscars.records import ImageRecord, Review
from synthscars.release.as_format import read
from synthscars.workspace import Workspace


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def by_three(record: ImageRecord) -> ImageRecord:
    """The same answers from three raters, but the first one misses the last artifact."""
    names = ("rater-1", "rater-2", "rater-3")
    artifacts = tuple(
        msgspec.structs.replace(artifact, rater_id=name)
        for name in names
        for artifact in record.artifacts[: -1 if name == "rater-1" else None]
    )
    reviews = tuple(Review(rater_id=name, status=record.reviews[0].status, scene="A scene") for name in names)
    return msgspec.structs.replace(record, artifacts=artifacts, reviews=reviews)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = filled_workspace(tmp_path / "scars", 8)
    records = [by_three(record) for record in read_records(workspace.latest_records())]
    replace_records(workspace, records)
    return workspace


def test_it_counts_what_stands(workspace: Workspace) -> None:
    result = run("consensus", "-w", workspace.root, "--json")
    assert result.exit_code == 0, result.stderr
    counts = json.loads(result.stdout)
    # Eight images with 0, 1, 2, 3, 0, 1, 2, 3 artifacts, each drawn by two or three.
    assert counts["artifacts"] == 12
    assert counts["votes"] == {"2": 6, "3": 6}
    assert counts["images"] == {"annotated": 6, "clean": 2}
    assert counts["unconfirmed_regions"] == 0
    assert counts["mean_agreement"] == pytest.approx(1)


def test_a_release_of_merged_records_holds_what_a_release_of_the_raters_records_holds(
    workspace: Workspace, tmp_path: Path
) -> None:
    merged = tmp_path / "merged.jsonl.zst"
    assert run("release", "build", "1.0.0", "-w", workspace.root).exit_code == 0
    direct = list(read(workspace.release_dir("1.0.0"), Problems()))
    saved = run("consensus", "-w", workspace.root, "--output", merged)
    assert saved.exit_code == 0
    assert f"saved {merged}" in saved.stderr
    built = run("release", "build", "1.0.0", "--force", "-w", workspace.root, "--records", merged)
    assert built.exit_code == 0, built.stderr
    # Only what each rater drew is not there: merged records do not have it any more.
    assert list(read(workspace.release_dir("1.0.0"), Problems())) == direct


def test_it_does_not_overwrite_and_writes_only_what_can_be_read_back(
    workspace: Workspace, tmp_path: Path
) -> None:
    taken = tmp_path / "taken.jsonl"
    taken.write_text("mine")
    for target, said in ((taken, "exists already"), (tmp_path / "merged.txt", "no name for records")):
        result = run("consensus", "-w", workspace.root, "--output", target)
        assert result.exit_code == 2
        assert said in result.stderr
    assert taken.read_text() == "mine"
    result = run("consensus", "-w", workspace.root, "--output", tmp_path / "x.jsonl", "--min-iou", "0.3")
    assert result.exit_code == 2
    assert "synthscars.toml" in result.stderr
