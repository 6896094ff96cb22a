import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from releasing import filled_workspace, without_figures

from synthscars.cli import main
from synthscars.problems import Problems
from synthscars.release import build_release
from synthscars.workspace import Workspace

SAVED = ["artifacts_by_subtype.png", "region_sizes.png", "stats.json"]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = without_figures(filled_workspace(tmp_path_factory.mktemp("stats") / "w", 12))
    for version in ("0.9.0", "0.10.0"):
        build_release(workspace, version, Problems())
    return workspace


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["stats", *map(str, arguments)])


def test_the_newest_release_is_counted_and_saved(workspace: Workspace) -> None:
    result = run("--workspace", workspace.root)
    assert result.exit_code == 0, result.output
    assert "noise 0.10.0" in result.stdout
    assert "explanation words" in result.stdout
    assert sorted(path.name for path in (workspace.reports_dir / "0.10.0").iterdir()) == SAVED


def test_json_on_stdout_is_what_is_saved(workspace: Workspace) -> None:
    result = run("0.9.0", "-w", workspace.root, "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert (found["version"], found["images"]["all"]) == ("0.9.0", 12)
    assert json.loads((workspace.reports_dir / "0.9.0" / "stats.json").read_text()) == found


def test_a_folder_outside_any_workspace_is_counted_and_saved_where_one_says(
    workspace: Workspace, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(workspace.release_dir("0.9.0"), folder)
    result = run(folder)
    assert result.exit_code == 0, result.output
    assert "nothing saved" in result.stderr
    assert run(folder, "--output", tmp_path / "out").exit_code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == SAVED


def test_what_cannot_be_counted_says_why(workspace: Workspace, tmp_path: Path) -> None:
    missing = run("3.0.0", "-w", workspace.root)
    assert missing.exit_code == 3
    assert "there are 0.9.0, 0.10.0" in missing.stderr
    assert run("nonsense", "-w", workspace.root).exit_code == 2
    empty = run("-w", Workspace.create(tmp_path / "w").root)
    assert empty.exit_code == 3
    assert "release build" in empty.stderr
