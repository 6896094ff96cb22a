import shutil
from pathlib import Path

import pytest
from folders import folder_bytes
from killing import killed_at
from releasing import filled_workspace

from synthscars.files import BUILDING
from synthscars.problems import Problems
from synthscars.release import build_release, versions
from synthscars.release.staging import finished
from synthscars.workspace import Workspace

_BUILD = """
from synthscars.problems import Problems
from synthscars.release import build_release
from synthscars.workspace import Workspace

build_release(Workspace.open(Path(sys.argv[1])), "1.0.0", Problems(), check=False)
"""

STRIDE = 7
"""Not every step, as each takes seconds; a prime, so that the steps of every file are met in turn."""


def visible(workspace: Workspace) -> list[str]:
    if not workspace.releases_dir.exists():
        return []
    return sorted(path.name for path in workspace.releases_dir.iterdir() if path.name != ".building")


@pytest.mark.slow
def test_killed_at_any_step_a_build_shows_nothing_and_the_next_one_equals_an_undisturbed_one(
    tmp_path: Path,
) -> None:
    undisturbed = filled_workspace(tmp_path / "undisturbed", 30)
    build_release(undisturbed, "1.0.0", Problems(), check=False)
    expected = folder_bytes(undisturbed.release_dir("1.0.0"))

    workspace = filled_workspace(tmp_path / "killed", 30)
    step = 1
    kept = 0
    while killed_at(step := step + STRIDE, _BUILD, workspace.root):
        if visible(workspace):
            # Killed after the folder had taken its name: it is whole.
            assert folder_bytes(workspace.release_dir("1.0.0")) == expected
            break
        assert list(versions(workspace.releases_dir)) == []
        kept = max(kept, len(finished(workspace.releases_dir / BUILDING)))
        if kept < 3:
            shutil.rmtree(workspace.releases_dir, ignore_errors=True)
    assert kept == 3, "it was never killed after all files of data were finished: the test shows too little"
    assert folder_bytes(workspace.release_dir("1.0.0")) == expected
    assert visible(workspace) == ["1.0.0"]


def test_two_builds_at_the_same_time_do_not_mix(tmp_path: Path) -> None:
    workspace = filled_workspace(tmp_path / "w", 6)
    with workspace.lock(), pytest.raises(Exception, match="another synthscars command"):
        build_release(workspace, "1.0.0", Problems())
