import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from releasing import filled_workspace

from synthscars.cli import main
from synthscars.problems import Problems
from synthscars.release import build_release
from synthscars.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = filled_workspace(tmp_path / "w", 12)
    build_release(workspace, "1.0.0", Problems())
    return workspace


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["release", "check", *arguments])


def test_the_newest_release_is_checked_and_a_sound_one_ends_with_0(workspace: Workspace) -> None:
    result = run("-w", str(workspace.root), "--fail-on", "warning")
    assert result.exit_code == 0, result.output
    assert "1.0.0 (release): 12 images" in result.stdout
    assert "nothing is wrong" in result.stdout


def test_an_error_ends_with_1_and_names_its_code(workspace: Workspace) -> None:
    folder = workspace.release_dir("1.0.0")
    next(folder.glob("data/train*")).write_bytes(b"no Parquet")
    result = run("1.0.0", "-w", str(workspace.root))
    assert result.exit_code == 1
    assert "file.unreadable" in result.stdout
    assert "data/train-00000.parquet" in result.stderr


def test_warnings_end_with_1_only_if_they_are_to(workspace: Workspace, tmp_path: Path) -> None:
    published = Path(__file__).parents[1] / "data/synthscars"
    assert run(str(published)).exit_code == 0
    assert run(str(published), "--fail-on", "warning").exit_code == 1


def test_what_is_saved_is_what_json_prints_and_changes_nothing(workspace: Workspace) -> None:
    folder = workspace.release_dir("1.0.0")
    (folder / "checks.json").unlink(missing_ok=True)  # the build may have written one
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    first = run(str(folder), "--json", "--save")
    saved = folder / "checks.json"
    assert saved.read_text() == first.stdout
    assert json.loads(first.stdout)["images"] == 12
    assert str(workspace.root) not in first.stdout
    assert run(str(folder), "--json", "--save").stdout == first.stdout
    saved.unlink()
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_the_report_about_a_file_is_saved_beside_it(workspace: Workspace) -> None:
    file = next(workspace.release_dir("1.0.0").glob("data/test*"))
    assert run(str(file), "--save").exit_code == 0
    assert file.with_name(f"{file.name}.checks.json").is_file()


def test_what_is_not_there_ends_with_2_or_3(workspace: Workspace, tmp_path: Path) -> None:
    assert run(str(tmp_path / "nothing")).exit_code == 2
    assert run("9.0.0", "-w", str(workspace.root)).exit_code == 3
    Workspace.create(tmp_path / "empty", "empty")
    assert run("-w", str(tmp_path / "empty")).exit_code == 3


def test_help_has_an_example() -> None:
    assert "synthscars release check 1.0.0" in run("--help").output.split("Examples")[1]
