import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from releasing import filled_workspace, folder_bytes

from synthscars.problems import Problems
from synthscars.release import build_release, versions
from synthscars.workspace import Workspace

KILLS = 8
# The build is slowed down by small row groups, so that kills hit all of its steps.
_BUILD = """
import sys
from pathlib import Path
from synthscars.problems import Problems
from synthscars.release import build_release, shards
from synthscars.workspace import Workspace
import datasets, pandas, pyarrow.parquet
shards.ROW_GROUP_ROWS = 1
print("started", flush=True)
build_release(Workspace.open(Path(sys.argv[1])), "1.0.0", Problems())
"""


def start(workspace: Workspace) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _BUILD, str(workspace.root)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert process.stdout
    assert process.stdout.readline() == "started\n"
    return process


def visible(workspace: Workspace) -> list[str]:
    if not workspace.releases_dir.exists():
        return []
    return sorted(path.name for path in workspace.releases_dir.iterdir() if not path.name.startswith(".tmp-"))


@pytest.mark.slow
def test_a_killed_build_shows_nothing_and_the_next_one_equals_an_undisturbed_one(tmp_path: Path) -> None:
    undisturbed = filled_workspace(tmp_path / "undisturbed", 60)
    process = start(undisturbed)
    before = time.perf_counter()
    assert process.wait() == 0
    expected = folder_bytes(undisturbed.release_dir("1.0.0"))
    longest = time.perf_counter() - before

    workspace = filled_workspace(tmp_path / "killed", 60)
    rng = random.Random(0)
    left_over = 0
    for number in range(KILLS):
        process = start(workspace)
        # Evenly spread over the time a build takes, with some chance.
        time.sleep(longest * (number + rng.random()) / KILLS)
        process.send_signal(signal.SIGKILL)
        ended = process.wait()
        if ended == 0 or visible(workspace):
            # It was faster than the kill: whole, or not there at all.
            assert folder_bytes(workspace.release_dir("1.0.0")) == expected
            workspace.release_dir("1.0.0").rename(tmp_path / f"done-{number}")
        elif workspace.releases_dir.exists():
            left_over += any(workspace.releases_dir.iterdir())
        assert visible(workspace) == []
        assert list(versions(workspace.releases_dir)) == []
    assert left_over >= 1, "no kill hit a build while it was writing: the test shows nothing"

    assert start(workspace).wait() == 0
    assert folder_bytes(workspace.release_dir("1.0.0")) == expected
    assert [path.name for path in workspace.releases_dir.iterdir()] == ["1.0.0"]


def test_two_builds_at_the_same_time_do_not_mix(tmp_path: Path) -> None:
    workspace = filled_workspace(tmp_path / "w", 6)
    with workspace.lock(), pytest.raises(Exception, match="another synthscars command"):
        build_release(workspace, "1.0.0", Problems())
