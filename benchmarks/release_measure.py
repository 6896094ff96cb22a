"""What the benchmarks of releases share: one peer a process, in turn, and a table of the medians.

A benchmark names its peers in a dictionary: each takes its arguments, imports and prepares what it needs, and
returns the work that is measured. `compare` starts the script again for every run of every peer, so that none
profits from what another left in memory, and syncs the disk before, so that none pays for what another wrote.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Figures = dict[str, float]
Peer = Callable[[dict[str, Any]], Callable[[], Figures | None]]
"""Prepares the work of one peer; the work may return figures of its own."""

_PEER = "--peer"
_PAGE_OUT = "POSIX_FADV_DONTNEED"


def answered_as_peer(peers: Mapping[str, Peer]) -> bool:
    """If this process was started to be one of the peers, do its work, print its figures, return true."""
    if sys.argv[1:2] != [_PEER]:
        return False
    name, arguments = sys.argv[2], json.loads(sys.argv[3])
    work = peers[name](arguments)
    bare, written, cpu, start = peak_mb(), _written_mb(), _cpu(), time.perf_counter()
    own = work() or {}
    figures = {
        "seconds": time.perf_counter() - start,
        "cpu": _cpu() - cpu,
        "peak_mb": peak_mb(),
        "bare_mb": bare,
        "written_mb": _written_mb() - written,
    }
    print(json.dumps(figures | own))
    return True


def compare(
    script: str,
    peers: Sequence[str],
    arguments: Callable[[str, int], dict[str, Any]],
    *,
    runs: int,
    before: Callable[[], None],
    after: Callable[[str, int], Figures] | None = None,
) -> dict[str, Figures]:
    """Medians of so many runs of each peer, which take turns; every other round goes backwards.

    script: the file that calls `answered_as_peer`. arguments: of a peer in a round. before: called ahead of
    each run, to warm or cool the page cache. after: may look at what was written and remove it; gives more
    figures.
    """
    taken: dict[str, list[Figures]] = {name: [] for name in peers}
    for number in range(runs):
        for name in reversed(peers) if number % 2 else peers:
            os.sync()
            before()
            figures = run_peer(script, name, arguments(name, number))
            figures |= after(name, number) if after else {}
            taken[name].append(figures)
            print(f"run {number + 1} of {runs}: {name} {figures['seconds']:.2f} s", file=sys.stderr)
    return {
        name: {key: statistics.median(one[key] for one in found) for key in found[0]}
        for name, found in taken.items()
    }


def run_peer(script: str, name: str, arguments: Mapping[str, Any]) -> Figures:
    """The figures of one run of one peer, in a process of its own that asks no network for anything."""
    quiet = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "TQDM_DISABLE": "1"}
    command = [sys.executable, script, _PEER, name, json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | quiet)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-4000:]}")
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def peak_mb() -> float:
    """The most memory that this process had at any time, MB, files that it maps included."""
    # Not ru_maxrss: a child starts with that of its parent.
    return _status("VmHWM:") / 1024


def _status(field: str) -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition(field)[2].split()[0])


def _written_mb() -> float:
    # What was handed to a disk, temporary files included, whether or not it has reached it.
    written = Path("/proc/self/io").read_text().partition("write_bytes:")[2].split()[0]
    return int(written) / 1e6


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


# The page cache


def warm(paths: Iterable[Path]) -> None:
    """Have the content of files in memory, as it is after they were made."""
    for path in paths:
        path.read_bytes()


def cool(paths: Iterable[Path]) -> None:
    """Have the content of files out of memory, as after a restart; they must be synced."""
    advice = getattr(os, _PAGE_OUT)
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, advice)
        finally:
            os.close(descriptor)


# What is printed


def table(title: str, heads: Mapping[str, str], rows: Mapping[str, Mapping[str, float]]) -> None:
    """Print figures. heads: field → `head|format`, such as `wall s|.2f`; what a row lacks stays empty."""
    cells = {key: head.rsplit("|", 1) for key, head in heads.items()}
    name_width = max(map(len, rows)) + 2
    widths = {key: max(len(head), 8) + 2 for key, (head, _) in cells.items()}
    print(f"\n{title}")
    print(" " * name_width + "".join(f"{head:>{widths[key]}}" for key, (head, _) in cells.items()))
    for name, row in rows.items():
        texts = {key: f"{row[key]:{form}}" if key in row else "" for key, (_, form) in cells.items()}
        print(f"{name:<{name_width}}" + "".join(f"{text:>{widths[key]}}" for key, text in texts.items()))


def as_json(figures: Mapping[str, Any]) -> None:
    """Print the same figures once more as the last line, for programs."""
    print(json.dumps(figures))


def folder_bytes(folder: Path) -> int:
    """Bytes of all files in a folder; a file with several names counts once."""
    found = {path.stat().st_ino: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    return sum(found.values())


def need_space(folder: Path, wanted: float) -> None:
    """Stop with a clear message if fewer than `wanted` bytes are free for `folder`."""
    import shutil

    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise SystemExit(
            f"{folder}: {free / 1e9:.1f} GB are free, {wanted / 1e9:.1f} GB are needed; "
            "name another folder with --folder, or a smaller --count"
        )
