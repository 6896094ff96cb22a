"""`synthscars simulate`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from synthscars.cli.common import json_option, output, print_json, progress


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "-n", "--count", type=click.IntRange(min=1), default=24, show_default=True, help="Images to draw."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the whole series.")
@json_option
def simulate(folder: Path, count: int, seed: int, as_json: bool) -> None:
    """Draw simulated generator outputs into FOLDER, with artifacts that are known.

    People, objects, animals and scenes as PNG and JPEG files with AUTOMATIC1111-style parameters in
    FOLDER/images, and what is wrong in each of them (polygon, category, phrase, explanation) in
    FOLDER/ground_truth.jsonl. The same seed gives the same files. They are drawings: for demos, tests and
    benchmarks, not a substitute for real generations.

    \b
    Example:
      synthscars simulate generated --count 100 --seed 7
      synthscars ingest generated/images
    """
    from synthscars.simulate import read_truth, write_simulated

    with progress("drawing", count) as advance:
        truth = write_simulated(folder, count, seed, progress=lambda _done: advance(1))
    records = read_truth(truth)
    artifacts = [artifact for record in records for artifact in record.artifacts]
    result = {
        "images": len(records),
        "clean": sum(record.status == "clean" for record in records),
        "artifacts": len(artifacts),
        "subtypes": dict(sorted(Counter(str(artifact.subtype) for artifact in artifacts).items())),
        "content_types": dict(sorted(Counter(str(record.content_type) for record in records).items())),
        "truth": str(truth),
    }
    if as_json:
        print_json(result)
    else:
        clean = f"{result['clean']} without an artifact"
        screen = output()
        screen.print(f"{len(records)} simulated images ({clean}) in {folder / 'images'}", markup=False)
        screen.print(f"{len(artifacts)} artifacts, described in {truth}", markup=False)
