"""A disk that is really full, or cannot be written to, is told in one message, and older releases stay."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from folders import folder_bytes
from releasing import filled_workspace, noise_png, replace_records, sample_record

from synthscars.files import BUILDING
from synthscars.problems import Problems, WorkspaceError
from synthscars.release import build_release, plan, versions
from synthscars.release.staging import finished
from synthscars.workspace import Workspace

IMAGES = 30

_BUILD = [sys.executable, "-m", "synthscars", "release", "build", "1.1.0", "--no-check", "--json"]

_SHELL = """
set -e
mount -t tmpfs -o size="$SIZE" none "$DISK"
cp -a "$SOURCE/." "$DISK/"
if [ "$FILL" -gt 0 ]; then
  free=$(df --output=avail -B 1 "$DISK" | tail -1)
  head -c $((free - FILL)) /dev/zero > "$DISK/ballast"
fi
cd "$DISK"
set +e
"$@" > "$OUT/full.json" 2> "$OUT/full.txt"
echo $? > "$OUT/full.code"
cp -a "$DISK/releases" "$OUT/after"
rm -f ballast
"$@" > "$OUT/again.json" 2> "$OUT/again.txt"
echo $? > "$OUT/again.code"
cp -a "$DISK/releases/." "$OUT/releases"
"""


@cache
def own_disk_is_possible(folder: Path) -> bool:
    """Whether a small disk can be mounted in a namespace of our own."""
    if shutil.which("unshare") is None:
        return False
    (folder / "probe").mkdir()
    tried = ["unshare", "-rm", "mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder / "probe")]
    return subprocess.run(tried, capture_output=True, check=False).returncode == 0


def prepared(root: Path) -> Workspace:
    """A workspace with a release 1.0.0, and more images since."""
    workspace = filled_workspace(root, IMAGES)
    records = [sample_record(seed, noise_png(seed)) for seed in range(IMAGES)]
    source = replace_records(workspace, records[:10])
    build_release(workspace, "1.0.0", Problems(), records=source, check=False)
    source.unlink()
    return workspace


@pytest.mark.slow
@pytest.mark.parametrize("room", [0, 4_096, 40_000, 120_000, 220_000])
def test_on_a_disk_that_is_full_the_older_release_stays_and_the_next_build_completes(
    tmp_path: Path, room: int
) -> None:
    """room: bytes that are left when the build begins. How far it comes depends on them."""
    if not own_disk_is_possible(tmp_path):
        pytest.skip("no disk of our own can be mounted here (`unshare -rm mount -t tmpfs` is refused)")
    workspace = prepared(tmp_path / "w")
    older = folder_bytes(workspace.release_dir("1.0.0"))
    disk, out = tmp_path / "disk", tmp_path / "out"
    disk.mkdir()
    (out / "releases").mkdir(parents=True)
    environment = {
        **os.environ,
        "SIZE": "8m",
        "DISK": str(disk),
        "SOURCE": str(workspace.root),
        "OUT": str(out),
        "FILL": str(room or 1),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    subprocess.run(["unshare", "-rm", "bash", "-c", _SHELL, "bash", *_BUILD], check=True, env=environment)
    told = (out / "full.txt").read_text()
    assert (out / "full.code").read_text().strip() == "3", told
    assert "Traceback" not in told
    assert told.count("error:") == 1
    assert "full" in told
    assert "free some space" in told
    assert (out / "full.json").read_text() == ""
    assert [path.name for path in (out / "after").iterdir() if path.name != BUILDING] == ["1.0.0"]
    assert folder_bytes(out / "after" / "1.0.0") == older
    assert (out / "again.code").read_text().strip() == "0", (out / "again.txt").read_text()
    assert json.loads((out / "again.json").read_text())["version"] == "1.1.0"

    build_release(workspace, "1.1.0", Problems(), check=False)
    assert folder_bytes(out / "releases") == folder_bytes(workspace.releases_dir)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("after", range(0, 22, 3))
def test_a_full_disk_or_quota_at_any_moment_is_the_same_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, after: int
) -> None:
    monkeypatch.setattr(plan, "SHARD_BYTES", 20_000)
    workspace = filled_workspace(tmp_path / "w", IMAGES)
    fsync, count = os.fsync, 0

    def full(descriptor: int) -> None:
        nonlocal count
        count += 1
        if count > after:
            raise OSError(code, os.strerror(code))
        fsync(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(WorkspaceError, match="disk is full") as told:
            build_release(workspace, "1.0.0", Problems(), check=False, workers=1)
    assert "free some space" in told.value.fix
    assert list(versions(workspace.releases_dir)) == []
    kept = {shard.path for shard in finished(workspace.releases_dir / BUILDING).values()}
    report = build_release(workspace, "1.0.0", Problems(), check=False)
    sizes = {path: (report.path / path).stat().st_size for path in kept}
    assert report.bytes - report.written == sum(sizes.values())


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_may_not_be_written_to_is_named(tmp_path: Path) -> None:
    workspace = prepared(tmp_path / "w")
    workspace.releases_dir.chmod(0o555)
    try:
        with pytest.raises(PermissionError, match="releases"):
            build_release(workspace, "1.1.0", Problems(), check=False)
    finally:
        workspace.releases_dir.chmod(0o755)
    assert list(versions(workspace.releases_dir)) == ["1.0.0"]


@pytest.mark.slow
def test_a_disk_that_is_read_only_is_told_and_ends_with_3(tmp_path: Path) -> None:
    if not own_disk_is_possible(tmp_path):
        pytest.skip("no disk of our own can be mounted here (`unshare -rm mount -t tmpfs` is refused)")
    workspace = prepared(tmp_path / "w")
    older = folder_bytes(workspace.releases_dir)
    folder = str(workspace.releases_dir)
    command = f'mount --bind "{folder}" "{folder}" && mount -o remount,ro,bind "{folder}" && exec "$@"'
    ended = subprocess.run(
        ["unshare", "-rm", "bash", "-c", command, "bash", *_BUILD, "-w", str(workspace.root)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert ended.returncode == 3, ended.stderr
    assert "Read-only file system" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert folder_bytes(workspace.releases_dir) == older
