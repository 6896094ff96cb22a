from __future__ import annotations

import random
from pathlib import Path

import pytest
from folders import folder_bytes
from killing import killed_at
from pictures import png, write

from synthscars.ingest import ingest
from synthscars.problems import Problems
from synthscars.workspace import Workspace

_BATCH = 16
_INGEST = f"""
from synthscars.ingest import ingest
from synthscars.problems import Problems
from synthscars.workspace import Workspace

ingest(Workspace.open(Path(sys.argv[1])), sys.argv[2:], Problems(), batch_size={_BATCH})
"""


@pytest.mark.slow
def test_killed_at_any_moment_and_run_again_it_ends_as_if_undisturbed(tmp_path: Path) -> None:
    files = {f"{seed % 7}/{seed:03}.png": png(seed, 48, 48, parameters="x" * seed) for seed in range(300)}
    files |= {f"bad/{seed}.png": png(seed, 48, 48)[: 100 * seed] for seed in range(12)}
    files |= {f"copies/{seed}.png": png(seed, 48, 48, parameters="x" * seed) for seed in range(20, 40)}
    outputs = write(tmp_path / "outputs", files)
    undisturbed = Workspace.create(tmp_path / "undisturbed", name="w")
    ingest(undisturbed, [outputs], Problems(), batch_size=_BATCH)
    expected = folder_bytes(undisturbed.root)

    killed = Workspace.create(tmp_path / "killed", name="w")
    chance = random.Random(11)
    kills, states = 0, set()
    while kills < 100:
        # Many short lives: a life may also end before its first batch is committed.
        life = chance.choice((4, 60, 300))
        if not killed_at(chance.randint(1, life), _INGEST, killed.root, outputs):
            break
        kills += 1
        states.add(len(killed.index_batches()))
        assert expected.keys() >= {name for name in folder_bytes(killed.root) if ".tmp-" not in name}
        assert all(killed.find_image(image_id) for image_id, _ in killed.index_names())
    assert kills >= 10
    assert len(states) >= 5, "the kills should have met the work at different points"
    assert folder_bytes(killed.root) == expected
