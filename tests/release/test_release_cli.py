import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from releasing import filled_workspace

from synthscars.cli import main
from synthscars.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return filled_workspace(tmp_path / "w", 12)


def run(workspace: Workspace, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["release", *arguments, "--workspace", str(workspace.root)])


def test_build_prints_what_was_built_and_ends_with_0(workspace: Workspace) -> None:
    result = run(workspace, "build", "1.0.0")
    assert result.exit_code == 0, result.output
    assert "artifacts" in result.stdout
    assert "README.md" in result.stderr


def test_build_and_list_speak_json(workspace: Workspace) -> None:
    built = json.loads(run(workspace, "build", "1.0.0", "--json").stdout)
    assert built["images"] == 12
    assert sum(built["splits"].values()) == 12
    assert built["problems"] == []
    (listed,) = json.loads(run(workspace, "list", "--json").stdout)["releases"]
    assert (listed["version"], listed["images"]) == ("1.0.0", 12)
    assert listed["bytes"] == built["bytes"]


def test_list_shows_versions_oldest_first_and_nothing_half_written(workspace: Workspace) -> None:
    assert "no releases yet" in run(workspace, "list").stderr
    for version in ("0.10.0", "0.9.0"):
        assert run(workspace, "build", version).exit_code == 0
    (workspace.releases_dir / ".tmp-abc-1.0.0").mkdir()
    (workspace.releases_dir / "notes").mkdir()
    result = run(workspace, "list")
    assert result.exit_code == 0
    assert result.stdout.index("0.9.0") < result.stdout.index("0.10.0")
    assert "notes" not in result.stdout


def test_a_set_aside_image_is_named_and_ends_with_1(workspace: Workspace) -> None:
    path = next(workspace.images_dir.rglob("*.png"))
    path.write_bytes(b"other")
    result = run(workspace, "build", "1.0.0")
    assert result.exit_code == 1
    assert path.stem[:12] in result.stderr
    assert "image.altered" in result.stderr
    assert "left out: image.altered" in result.stdout


def test_an_existing_release_ends_with_3_and_force_replaces_it(workspace: Workspace) -> None:
    assert run(workspace, "build", "1.0.0").exit_code == 0
    again = run(workspace, "build", "1.0.0")
    assert again.exit_code == 3
    assert "--force" in again.stderr
    assert run(workspace, "build", "1.0.0", "--force").exit_code == 0


def test_a_bad_version_ends_with_2_and_no_usable_image_with_3(workspace: Workspace) -> None:
    assert run(workspace, "build", "one").exit_code == 2
    for path in workspace.images_dir.rglob("*.png"):
        path.unlink()
    result = run(workspace, "build", "1.0.0")
    assert result.exit_code == 3
    assert "image.missing" in result.stderr
    assert "12" in result.stderr


def test_a_damaged_release_does_not_hide_the_others(workspace: Workspace) -> None:
    for version in ("1.0.0", "1.1.0"):
        run(workspace, "build", version)
    (workspace.release_dir("1.1.0") / "manifest.json").write_text("{")
    result = run(workspace, "list")
    assert result.exit_code == 1
    assert "1.0.0" in result.stdout
    assert "releases/1.1.0" in result.stderr


def test_names_with_brackets_are_printed_as_they_are(tmp_path: Path) -> None:
    workspace = filled_workspace(tmp_path / "[bold]w[" / "red]", 3)
    result = run(workspace, "build", "1.0.0")
    assert result.exit_code == 0, result.output
    assert "[bold]w[" in result.stderr


@pytest.mark.parametrize("command", [["release"], ["release", "build"], ["release", "list"], ["stats"]])
def test_help_has_an_example(command: list[str]) -> None:
    result = CliRunner().invoke(main, [*command, "--help"])
    assert result.exit_code == 0
    assert f"synthscars {command[0]}" in result.output.split("Example")[1]


def test_a_full_disk_is_a_message_and_not_a_traceback(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("synthscars.release.write.write_card", full)
    result = run(workspace, "build", "1.0.0")
    assert result.exit_code == 3
    assert "No space left" in result.stderr
    assert [path.name for path in workspace.releases_dir.iterdir()] == [".building"]
