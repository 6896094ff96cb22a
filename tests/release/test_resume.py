"""A build that breaks off, however it does, shows nothing half-written, and the next one goes on with it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from folders import folder_bytes
from releasing import changed, filled_workspace, noise_png, replace_records, sample_record

from synthscars.files import BUILDING
from synthscars.problems import Problems, ReleaseError, WorkspaceError
from synthscars.release import ReleaseReport, build_release, filing, plan
from synthscars.release.staging import finished
from synthscars.workspace import Workspace

IMAGES = 30
SMALL = 20_000
"""Bytes of a file of data, so that a few small images fill several."""

_BUILD = """
import sys
from pathlib import Path
import synthscars.release.check.run, synthscars.release.card, synthscars.release.figures, datasets
from synthscars.problems import Problems
from synthscars.release import build_release, plan
from synthscars.workspace import Workspace

plan.SHARD_BYTES = int(sys.argv[3])
print("ready", flush=True)
report = build_release(Workspace.open(Path(sys.argv[1])), sys.argv[2], Problems(), check=False)
print(report.bytes, report.written, flush=True)
"""


@pytest.fixture(autouse=True)
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "SHARD_BYTES", SMALL)


def build(workspace: Workspace, version: str = "1.0.0", **options: object) -> ReleaseReport:
    return build_release(workspace, version, Problems(), check=False, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    workspace = filled_workspace(tmp_path_factory.mktemp("undisturbed") / "w", IMAGES)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(plan, "SHARD_BYTES", SMALL)
        build(workspace)
    return folder_bytes(workspace.release_dir("1.0.0"))


def visible(workspace: Workspace) -> list[str]:
    folder = workspace.releases_dir
    return sorted(path.name for path in folder.iterdir() if path.name[0] != ".") if folder.exists() else []


class _Stop(Exception):  # noqa: N818 - not an error: what stands for any
    pass


def interrupted(
    workspace: Workspace, after: int, *, error: type[BaseException] = _Stop, **options: object
) -> list[str]:
    """Break a build off when so many files are finished; returns the paths of these."""
    write, count = filing.write_shard, 0

    def stopping(*arguments: object, **more: object) -> int:
        nonlocal count
        count += 1
        if count > after:
            raise error
        return write(*arguments, **more)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(filing, "write_shard", stopping)
        with pytest.raises(error):
            build(workspace, workers=1, **options)
    assert visible(workspace) == []
    return sorted(finished(workspace.releases_dir / BUILDING))


def written_by(patched: pytest.MonkeyPatch) -> list[str]:
    """From now on, the paths of the files of data that are written."""
    write, paths = filing.write_shard, []

    def noting(path: Path, *arguments: object, **more: object) -> int:
        paths.append(path.relative_to(path.parents[1]).as_posix())
        return write(path, *arguments, **more)  # type: ignore[arg-type]

    patched.setattr(filing, "write_shard", noting)
    return paths


def test_what_is_finished_is_not_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: dict[str, bytes]
) -> None:
    workspace = filled_workspace(tmp_path / "w", IMAGES)
    kept = interrupted(workspace, 3)
    assert len(kept) == 3
    building = workspace.releases_dir / BUILDING
    before = {path: (building / path).stat() for path in kept}
    written = written_by(monkeypatch)
    report = build(workspace)
    assert folder_bytes(report.path) == undisturbed
    data = [path for path in undisturbed if path.endswith(".parquet")]
    assert sorted([*written, *kept]) == data
    for path, status in before.items():
        now = (report.path / path).stat()
        assert (now.st_ino, now.st_mtime_ns) == (status.st_ino, status.st_mtime_ns)
    assert report.written == sum(len(undisturbed[path]) for path in written)
    assert not building.exists()


@pytest.mark.parametrize("stage", ["write_card", "write_croissant", "settle_version"])
def test_an_error_behind_the_last_file_costs_none_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: dict[str, bytes], stage: str
) -> None:
    workspace = filled_workspace(tmp_path / "w", IMAGES)
    with monkeypatch.context() as patched:
        patched.setattr(f"synthscars.release.write.{stage}", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            build(workspace)
    assert visible(workspace) == []
    written = written_by(monkeypatch)
    assert folder_bytes(build(workspace).path) == undisturbed
    assert written == []


def test_an_error_of_the_check_costs_no_file_that_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: dict[str, bytes]
) -> None:
    workspace = filled_workspace(tmp_path / "w", IMAGES)
    with monkeypatch.context() as patched:
        patched.setattr("synthscars.release.build.check_built", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            build_release(workspace, "1.0.0", Problems())
    written = written_by(monkeypatch)
    report = build_release(workspace, "1.0.0", Problems())
    assert written == []
    assert set(folder_bytes(report.path)) == {*undisturbed, "checks.json"}


def _interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def _flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone", "empty"])
def test_a_kept_file_that_was_damaged_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: dict[str, bytes], damage: str
) -> None:
    workspace = filled_workspace(tmp_path / "w", IMAGES)
    kept = interrupted(workspace, 3)
    path = workspace.releases_dir / BUILDING / kept[1]
    content = path.read_bytes()
    if damage == "flipped":
        _flip(path, len(content) // 2)
    elif damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:-1] if damage == "cut" else b"")
    written = written_by(monkeypatch)
    assert folder_bytes(build(workspace).path) == undisturbed
    assert kept[1] in written
    assert not {kept[0], kept[2]} & set(written)


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"path": "../../x"}'])
def test_a_damaged_note_only_costs_its_file(
    tmp_path: Path, undisturbed: dict[str, bytes], damage: bytes
) -> None:
    workspace = filled_workspace(tmp_path / "w", IMAGES)
    interrupted(workspace, 3)
    for note in sorted((workspace.releases_dir / BUILDING / ".state").iterdir())[:2]:
        note.write_bytes(damage)
    assert folder_bytes(build(workspace).path) == undisturbed


def test_a_note_cannot_bring_in_a_file_from_elsewhere(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    workspace = filled_workspace(tmp_path / "w", IMAGES)
    (path, *_) = interrupted(workspace, 3)
    building = workspace.releases_dir / BUILDING
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    note = building / ".state" / f"{path.replace('/', '-')}.json"
    shard = msgspec.json.decode(note.read_bytes())
    note.write_bytes(msgspec.json.encode({**shard, "path": str(mine)}))
    assert folder_bytes(build(workspace).path) == undisturbed
    assert mine.read_text() == "mine"


def test_kept_files_whose_images_changed_meanwhile_are_written_again(tmp_path: Path) -> None:
    records = [sample_record(seed, noise_png(seed)) for seed in range(IMAGES)]
    corrected = [changed(records[0], caption="corrected"), *records[1:-2]]
    other = filled_workspace(tmp_path / "other", IMAGES)
    expected = folder_bytes(build(other, records=replace_records(other, corrected)).path)

    workspace = filled_workspace(tmp_path / "w", IMAGES)
    assert len(interrupted(workspace, 4)) == 4
    found = folder_bytes(build(workspace, records=replace_records(workspace, corrected)).path)
    assert found == expected


def test_what_another_version_left_is_used_and_what_a_stranger_left_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: dict[str, bytes]
) -> None:
    workspace = filled_workspace(tmp_path / "w", IMAGES)
    kept = interrupted(workspace, 4, version="7.0.0")
    building = workspace.releases_dir / BUILDING
    for name in ("README.md", "data/train-99999.parquet", "figures/old.png", ".state/x.json", ".tmp-x"):
        (building / name).parent.mkdir(exist_ok=True)
        (building / name).write_text("left")
    written = written_by(monkeypatch)
    assert folder_bytes(build(workspace).path) == undisturbed
    assert not set(kept) & set(written)


def test_a_version_that_is_too_low_is_built_with_what_was_written_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = filled_workspace(tmp_path / "w", IMAGES)
    records = [sample_record(seed, noise_png(seed)) for seed in range(IMAGES)]
    build(workspace, records=replace_records(workspace, records[:-5]))
    replace_records(workspace, records)
    with pytest.raises(ReleaseError, match="too low"):
        build(workspace, "1.0.1")
    assert visible(workspace) == ["1.0.0"]
    written = written_by(monkeypatch)
    assert build(workspace, "1.1.0").written == 0
    assert written == []


def test_a_second_build_at_the_same_time_is_refused_and_harms_nothing(
    tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    workspace = filled_workspace(tmp_path / "w", IMAGES)
    first = start(workspace)
    while not (workspace.releases_dir / BUILDING).exists():
        assert first.poll() is None
    first.send_signal(signal.SIGSTOP)  # else it may be done before the second has begun
    second = start(workspace)
    _, error = second.communicate()
    assert (second.returncode, "another synthscars command" in error) == (1, True), error
    first.send_signal(signal.SIGCONT)
    _, error = first.communicate()
    assert first.returncode == 0, error
    assert folder_bytes(workspace.release_dir("1.0.0")) == undisturbed
    with workspace.lock(), pytest.raises(WorkspaceError, match="another synthscars command"):
        build(workspace, "2.0.0")


# Processes


def start(workspace: Workspace, version: str = "1.0.0") -> subprocess.Popen[str]:
    """A process that builds a release; it has come to that when it says `ready`."""
    process = subprocess.Popen(
        [sys.executable, "-c", _BUILD, str(workspace.root), version, str(SMALL)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n", process.communicate()
    return process


class Kills(NamedTuple):
    """What happened to builds that were killed. resumed: how often there were finished files."""

    killed: int
    ended: int
    resumed: int


def kill_at_random_moments(workspace: Workspace, expected: dict[str, bytes], count: int, seed: int) -> Kills:
    """Kill builds, look at what is there, and let the next one complete."""
    moments = random.Random(seed)
    process = start(workspace)
    begin = time.monotonic()
    assert process.stdout
    process.stdout.readline()
    duration = time.monotonic() - begin
    process.communicate()
    killed = ended = resumed = 0
    for _ in range(count):
        shutil.rmtree(workspace.releases_dir)
        process = start(workspace)
        time.sleep(moments.uniform(0, duration))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed += process.returncode != 0
        if visible(workspace):
            ended += 1
            assert folder_bytes(workspace.release_dir("1.0.0")) == expected
            continue
        kept = sum(shard.bytes for shard in finished(workspace.releases_dir / BUILDING).values())
        resumed += kept > 0
        output, error = start(workspace).communicate()
        assert output, error
        size, written = map(int, output.split())
        assert size - written == kept
        assert folder_bytes(workspace.release_dir("1.0.0")) == expected
        assert visible(workspace) == ["1.0.0"]
        assert [path.name for path in workspace.root.iterdir() if path.name.startswith(".tmp-")] == []
    return Kills(killed, ended, resumed)


@pytest.mark.slow
def test_killed_at_random_moments_a_build_shows_nothing_and_the_next_one_completes(
    tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    count = int(os.environ.get("SYNTHSCARS_KILLS", "5"))
    workspace = filled_workspace(tmp_path / "w", IMAGES)
    found = kill_at_random_moments(workspace, undisturbed, count, seed=11)
    assert found.killed > count // 2, f"most builds had ended before they were killed: {found}"


_COMMAND = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a background job of a shell
from synthscars.cli import main
from synthscars.release import filing, plan

plan.SHARD_BYTES = int(sys.argv.pop(1))
number, after = signal.Signals[sys.argv.pop(1)], int(sys.argv.pop(1))
write = filing.write_shard

def stopped(*arguments, **options):
    global after
    after -= 1
    if after < 0:
        os.kill(os.getpid(), number)
    return write(*arguments, **options)

filing.write_shard = stopped
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_build_that_is_interrupted_says_so_and_can_be_gone_on_with(
    tmp_path: Path, undisturbed: dict[str, bytes], name: str, code: int
) -> None:
    workspace = filled_workspace(tmp_path / "w", IMAGES)
    arguments = ["release", "build", "1.0.0", "--no-check", "--workers", "2", "-w", str(workspace.root)]
    ended = subprocess.run(
        [sys.executable, "-c", _COMMAND, str(SMALL), name, "3", *arguments, "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
    if name == "SIGINT":
        assert "interrupted" in ended.stderr
        assert "run the same command again" in ended.stderr
    assert visible(workspace) == []
    kept = finished(workspace.releases_dir / BUILDING)
    assert len(kept) >= 2
    assert f"{len(kept)} finished files are kept in {BUILDING}, and the same command goes on" in ended.stderr
    again = subprocess.run(
        [sys.executable, "-c", _COMMAND, str(SMALL), name, "999", *arguments, "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    report = json.loads(again.stdout)
    assert report["bytes"] - report["bytes_written"] == sum(shard.bytes for shard in kept.values())
    assert folder_bytes(workspace.release_dir("1.0.0")) == undisturbed
