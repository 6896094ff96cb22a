from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pictures import png, tree, write

from synthscars.ingest import ingest
from synthscars.problems import Problems
from synthscars.workspace import Workspace

_BATCH = 16
# Kills itself at the n-th time that it makes a folder, syncs or renames a file: between two of these, what is
# on disk is the same.
_RUN = f"""
import os, signal, sys, threading
from pathlib import Path
from synthscars.ingest import ingest
from synthscars.problems import Problems
from synthscars.workspace import Workspace

left, lock = int(sys.argv[1]), threading.Lock()

def counted(function):
    def call(*args, **options):
        global left
        with lock:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **options)
    return call

os.fsync, Path.replace, Path.mkdir = counted(os.fsync), counted(Path.replace), counted(Path.mkdir)
ingest(Workspace.open(Path(sys.argv[2])), sys.argv[3:], Problems(), batch_size={_BATCH})
"""


@pytest.mark.slow
def test_killed_at_any_moment_and_run_again_it_ends_as_if_undisturbed(tmp_path: Path) -> None:
    files = {f"{seed % 7}/{seed:03}.png": png(seed, 48, 48, parameters="x" * seed) for seed in range(300)}
    files |= {f"bad/{seed}.png": png(seed, 48, 48)[: 100 * seed] for seed in range(12)}
    files |= {f"copies/{seed}.png": png(seed, 48, 48, parameters="x" * seed) for seed in range(20, 40)}
    outputs = write(tmp_path / "outputs", files)
    undisturbed = Workspace.create(tmp_path / "undisturbed", name="w")
    ingest(undisturbed, [outputs], Problems(), batch_size=_BATCH)
    expected = tree(undisturbed.root)

    killed = Workspace.create(tmp_path / "killed", name="w")
    chance = random.Random(11)
    kills, states = 0, set()
    while kills < 100:
        # Many short lives: a life may also end before its first batch is committed.
        life = chance.choice((4, 60, 300))
        command = [sys.executable, "-c", _RUN, str(chance.randint(1, life)), str(killed.root), str(outputs)]
        ended = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        kills += 1
        states.add(len(killed.index_batches()))
        assert expected.keys() >= {name for name in tree(killed.root) if ".tmp-" not in name}
        assert all(killed.find_image(image_id) for image_id, _ in killed.index_names())
    assert kills >= 10
    assert len(states) >= 5, "the kills should have met the work at different points"
    assert tree(killed.root) == expected
