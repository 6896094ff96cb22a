"""`synthscars release list`: what there is, what it takes on the disk, what was found, what not to use."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from releasing import filled_workspace

from synthscars.cli import main
from synthscars.problems import Problems
from synthscars.release import build_release
from synthscars.release.deprecate import deprecate
from synthscars.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = filled_workspace(tmp_path / "w", 6)
    for version in ("1.0.0", "1.1.0"):
        build_release(workspace, version, Problems())
    return workspace


def run(workspace: Workspace, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["release", *arguments, "--workspace", str(workspace.root)])


def listed(workspace: Workspace, code: int = 0) -> dict[str, Any]:
    result = run(workspace, "list", "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def measured(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_files_that_versions_share_are_counted_once(workspace: Workspace) -> None:
    shared = sorted((workspace.release_dir("1.0.0") / "data").glob("*.parquet"))[0]
    other = workspace.release_dir("1.1.0") / "data" / shared.name
    other.unlink(missing_ok=True)
    os.link(shared, other)
    whole = {version: measured(workspace.release_dir(version)) for version in ("1.0.0", "1.1.0")}
    found = listed(workspace)
    sizes = {each["version"]: each["on_disk"] for each in found["releases"]}
    shared_bytes = sum(
        path.stat().st_size
        for path in workspace.release_dir("1.1.0").rglob("*")
        if path.is_file() and path.stat().st_nlink > 1
    )
    assert shared_bytes >= shared.stat().st_size > 0
    assert sizes == {"1.0.0": whole["1.0.0"], "1.1.0": whole["1.1.0"] - shared_bytes}
    assert found["on_disk"] == sum(sizes.values())


def test_a_link_does_not_lead_out_of_the_releases(workspace: Workspace, tmp_path: Path) -> None:
    before = listed(workspace)["on_disk"]
    (tmp_path / "large").write_bytes(b"x" * 1_000_000)
    (workspace.release_dir("1.0.0") / "link").symlink_to(tmp_path / "large")
    assert listed(workspace)["on_disk"] < before + 10_000


def test_checks_are_told_from_the_file_that_was_saved(workspace: Workspace) -> None:
    for version in ("1.0.0", "1.1.0"):
        (workspace.release_dir(version) / "checks.json").unlink(missing_ok=True)
    first, second = listed(workspace)["releases"]
    assert first["checks"] is second["checks"] is None
    assert run(workspace, "check", "1.1.0", "--save").exit_code == 0
    saved = json.loads((workspace.release_dir("1.1.0") / "checks.json").read_text())
    first, second = listed(workspace)["releases"]
    assert (first["checks"], second["checks"]) == (None, saved["severities"])
    (workspace.release_dir("1.1.0") / "checks.json").write_text('{"severities": {"error": 2, "warning": 1}}')
    assert "2 errors, 1 warning" in run(workspace, "list").stdout
    (workspace.release_dir("1.1.0") / "checks.json").write_text('{"severities": {}}')
    assert "nothing is wrong" in run(workspace, "list").stdout


def test_checks_that_cannot_be_read_are_a_warning_and_hide_nothing(workspace: Workspace) -> None:
    (workspace.release_dir("1.0.0") / "checks.json").write_text("{")
    found = listed(workspace)
    assert [each["version"] for each in found["releases"]] == ["1.0.0", "1.1.0"]
    (problem,) = found["problems"]
    assert (problem["code"], problem["file"]) == ("checks.unreadable", "releases/1.0.0/checks.json")


def test_deprecated_versions_are_marked_with_reason_and_successor(workspace: Workspace) -> None:
    deprecate(workspace, "1.0.0", reason="No [bold]licence[/bold]\x1b[31m.", use="1.1.0", since="2027-03-01")
    first, second = listed(workspace)["releases"]
    assert first["deprecated"] == {
        "reason": "No [bold]licence[/bold]\x1b[31m.",
        "use": "1.1.0",
        "since": "2027-03-01",
    }
    assert second["deprecated"] is None
    shown = run(workspace, "list").stdout
    assert shown.splitlines()[2].lstrip().startswith("deprecated")
    wanted = "1.0.0 is deprecated since 2027-03-01: No [bold]licence[/bold]␛[31m. (use 1.1.0 instead)"
    assert wanted in shown.splitlines()


def test_a_deprecated_version_that_is_gone_is_still_told_of(workspace: Workspace, tmp_path: Path) -> None:
    deprecate(workspace, "1.0.0", reason="Bad.", use="1.1.0")
    workspace.release_dir("1.0.0").rename(tmp_path / "elsewhere")
    found = listed(workspace)
    assert [each["version"] for each in found["releases"]] == ["1.1.0"]
    assert found["gone"] == {"1.0.0": {"reason": "Bad.", "use": "1.1.0", "since": ""}}
    assert (
        "1.0.0 is deprecated, and not here any more: Bad. (use 1.1.0 instead)"
        in run(workspace, "list").stdout
    )


def test_deprecations_that_cannot_be_read_end_with_1_and_hide_no_release(workspace: Workspace) -> None:
    (workspace.releases_dir / "deprecated.json").write_text("{")
    found = listed(workspace, code=1)
    assert [each["deprecated"] for each in found["releases"]] == [None, None]
    assert [each["code"] for each in found["problems"]] == ["deprecations.unreadable"]


def test_a_damaged_release_counts_on_the_disk_and_is_told(workspace: Workspace) -> None:
    (workspace.release_dir("1.0.0") / "manifest.json").write_text("{")
    found = listed(workspace, code=1)
    assert [each["version"] for each in found["releases"]] == ["1.1.0"]
    assert found["on_disk"] > found["releases"][0]["on_disk"] > 0
    assert [each["code"] for each in found["problems"]] == ["release.damaged"]


def test_nothing_that_is_listed_depends_on_the_day(workspace: Workspace) -> None:
    first = run(workspace, "list", "--json").stdout
    for path in workspace.releases_dir.rglob("*"):
        os.utime(path, (0, 0))
    assert run(workspace, "list", "--json").stdout == first
