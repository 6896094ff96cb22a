"""A release says in `CHANGES.md` what changed since the version before it."""

from pathlib import Path

import pytest
from folders import folder_bytes
from releasing import add_records, changed, replace_records

from synthscars.problems import Problems, ReleaseError
from synthscars.release import build_release, read_manifest, versions
from synthscars.release.diff import diff_releases
from synthscars.release.diff_text import CHANGES_NAME, to_markdown
from synthscars.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """With 1.0.0, and newer records in which one source was corrected."""
    workspace = Workspace.create(tmp_path / "w", "n")
    records = add_records(workspace, range(6))
    build_release(workspace, "1.0.0", Problems())
    replace_records(workspace, [changed(records[0], source="corrected"), *records[1:]])
    return workspace


def build(workspace: Workspace, version: str | None, **options: bool) -> list[tuple[str, str]]:
    problems = Problems()
    build_release(workspace, version, problems, **options)
    return [(problem.code, problem.severity) for problem in problems if problem.code != "split.empty"]


def test_it_is_what_diff_says_and_the_first_release_has_none(workspace: Workspace) -> None:
    assert build(workspace, "1.0.1") == []
    before, after = (workspace.release_dir(version) for version in ("1.0.0", "1.0.1"))
    text = (after / CHANGES_NAME).read_text(encoding="utf-8")
    assert text == to_markdown(diff_releases(before, after, Problems()))
    assert "ask for a new patch version: images corrected: 1." in text
    assert "source none → “corrected”" in text
    assert not (before / CHANGES_NAME).exists()


def test_building_again_gives_the_same_bytes(workspace: Workspace) -> None:
    build(workspace, "1.0.1")
    first = folder_bytes(workspace.release_dir("1.0.1"))
    assert CHANGES_NAME in {Path(name).name for name in first}
    build(workspace, "1.0.1", force=True)
    assert folder_bytes(workspace.release_dir("1.0.1")) == first


def test_a_version_that_is_too_low_is_refused_and_none_gives_the_lowest_that_fits(
    workspace: Workspace,
) -> None:
    add_records(workspace, range(3))
    with pytest.raises(ReleaseError, match=r"1\.0\.1 is too low after 1\.0\.0: .*images removed: 3") as low:
        build(workspace, "1.0.1")
    assert low.value.fix.startswith("build 1.1.0")
    assert build(workspace, None) == []
    assert list(versions(workspace.releases_dir)) == ["1.0.0", "1.1.0"]
    assert read_manifest(workspace.release_dir("1.1.0")).version == "1.1.0"
    text = (workspace.release_dir("1.1.0") / CHANGES_NAME).read_text()
    before, after = (workspace.release_dir(version) for version in ("1.0.0", "1.1.0"))
    assert text == to_markdown(diff_releases(before, after, Problems()))


def test_without_a_version_corrections_make_a_patch_and_nothing_makes_none(workspace: Workspace) -> None:
    assert build(workspace, None) == []
    assert list(versions(workspace.releases_dir)) == ["1.0.0", "1.0.1"]
    with pytest.raises(ReleaseError, match=r"nothing changed since release 1\.0\.1"):
        build(workspace, None)
    assert build(workspace, "1.0.2") == []


def test_a_damaged_release_before_it_keeps_nothing_from_being_built(workspace: Workspace) -> None:
    for path in (workspace.release_dir("1.0.0") / "data").iterdir():
        path.write_bytes(b"nothing")
    assert ("changes.not_written", "warning") in build(workspace, "1.0.1")
    assert not (workspace.release_dir("1.0.1") / CHANGES_NAME).exists()


def test_without_a_version_a_release_that_cannot_be_read_whole_is_not_followed(workspace: Workspace) -> None:
    assert build(workspace, "1.0.1") == []
    sorted((workspace.release_dir("1.0.1") / "data").iterdir())[0].write_bytes(b"nothing")
    with pytest.raises(ReleaseError, match=r"release 1\.0\.1 cannot be read whole"):
        build(workspace, None)
    assert list(versions(workspace.releases_dir)) == ["1.0.0", "1.0.1"]
