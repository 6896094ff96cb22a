"""Raw Label Studio JSON to COCO: synthscars beside the converter that comes with label-studio-sdk.

Each conversion runs in a process of its own, the peers in turn, so that both see the same machine. Reported
are medians of the wall-clock time without imports, the time of the whole process, and the peak of resident
memory. `--linear` converts growing exports with synthscars alone.

    python benchmarks/label_studio_to_coco.py
    python benchmarks/label_studio_to_coco.py --tasks 5000 --runs 3
    python benchmarks/label_studio_to_coco.py --linear
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from label_studio_export import write_export

PAPER_TASKS, PAPER_POLYGONS = 12_236, 26_566

_MEASURED = """
import json, sys, time
from pathlib import Path

def peak():
    # Not ru_maxrss: a child starts with that of its parent.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024

source, target = Path(sys.argv[1]), Path(sys.argv[2])
{imports}
bare = peak()
start = time.perf_counter()
{work}
seconds = time.perf_counter() - start
print(json.dumps({{"seconds": seconds, "peak_mb": peak(), "bare_mb": bare}}))
"""

_PEERS = {
    "synthscars": _MEASURED.format(
        imports="""
from synthscars.converters import formats, coco, labelstudio
from synthscars.problems import Problems
""",
        work="""
problems = Problems()
formats.convert(source, target, problems, from_="labelstudio", to="coco", how="none")
assert not problems.failed, problems.counts()
""",
    ),
    "label_studio_sdk": _MEASURED.format(
        imports="""
from label_studio_sdk.converter import Converter
from synthscars.labelstudio.interface import label_config
from synthscars.taxonomy import load_taxonomy
""",
        work="""
folder = target.with_suffix("")
converter = Converter(label_config(load_taxonomy()), str(folder), download_resources=False)
converter.convert_to_coco(str(source), str(folder), is_dir=False)
(folder / "result.json").rename(target)
""",
    ),
}


def main() -> None:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tasks", type=int, default=PAPER_TASKS)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "--linear", action="store_true", help="growing exports up to 100,000 tasks, ours alone"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.linear:
            for tasks in (12_500, 25_000, 50_000, 100_000):
                _compare(Path(folder), tasks, options.runs, ["synthscars"])
        else:
            found = _compare(Path(folder), options.tasks, options.runs, list(_PEERS))
            ours, stock = (found[name] for name in _PEERS)
            print(f"label_studio_sdk / synthscars: {stock['seconds'] / ours['seconds']:.1f} times the time")


def _compare(folder: Path, tasks: int, runs: int, peers: list[str]) -> dict[str, dict[str, float]]:
    source = folder / f"export-{tasks}.json"
    write_export(source, tasks=tasks, polygons=round(tasks * PAPER_POLYGONS / PAPER_TASKS), seed=1)
    size = source.stat().st_size / 2**20
    print(f"\n{tasks:,} tasks, {size:.0f} MB, median of {runs}")
    heads = ("convert s", "process s", "peak MB", "peak/input", "imports MB", "images", "regions")
    print(" " * 18 + "".join(f"{head:>11}" for head in heads))
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in peers}
    for run in range(runs):
        for name in peers:
            taken[name].append(_one(name, source, folder / f"{name}-{tasks}-{run}.json"))
    medians = {
        name: {key: statistics.median(one[key] for one in runs) for key in runs[0]}
        for name, runs in taken.items()
    }
    for name, each in medians.items():
        peak = each["peak_mb"]
        cells = [
            *(f"{value:.2f}" for value in (each["seconds"], each["process"])),
            *(f"{peak:.0f}", f"{peak / size:.2f}", f"{each['bare_mb']:.0f}"),
            *(f"{value:.0f}" for value in (each["images"], each["regions"])),
        ]
        print(f"{name:<18}" + "".join(f"{cell:>11}" for cell in cells))
    return medians


def _one(name: str, source: Path, target: Path) -> dict[str, float]:
    started = time.perf_counter()
    command = [sys.executable, "-c", _PEERS[name], str(source), str(target)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    found["process"] = time.perf_counter() - started
    written = json.loads(target.read_bytes())
    found |= {"images": len(written["images"]), "regions": len(written["annotations"])}
    target.unlink()
    return found


if __name__ == "__main__":
    main()
