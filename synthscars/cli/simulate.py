"""`synthscars simulate`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from synthscars.cli.common import json_option, output, print_json, progress


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "-n",
    "--count",
    type=click.IntRange(min=0),
    default=24,
    show_default=True,
    help="Generator outputs to draw, about one in five without an artifact.",
)
@click.option(
    "--photographs",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Pictures to draw as a camera would take them (origin real), for detectors.",
)
@click.option(
    "--backgrounds",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of pictures to plant artifacts on, instead of drawn scenes.",
)
@click.option(
    "--background-license",
    default="",
    metavar="NAME",
    help="Licence of backgrounds that SOURCES.csv in or above their folder says nothing about.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the whole series.")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes that draw; the files are the same for any number.",
)
@json_option
def simulate(
    folder: Path,
    count: int,
    photographs: int,
    backgrounds: Path | None,
    background_license: str,
    seed: int,
    workers: int,
    as_json: bool,
) -> None:
    """Draw simulated generator outputs into FOLDER, with artifacts that are known.

    People, objects, animals and scenes as PNG and JPEG files with AUTOMATIC1111-style parameters in
    FOLDER/images, and what is wrong in each of them (polygon, category, phrase, explanation) in
    FOLDER/ground_truth.jsonl. All eleven subtypes of the taxonomy occur in all four content types, one to
    four in a picture. What is odd but possible (a balloon, a torn poster, a clown's nose) is not marked; it
    stands in the record's extra.hard_negatives. The same seed gives the same files, and a run that was
    stopped goes on. They are drawings: for demos, tests, benchmarks and a first training, not a substitute
    for real generations.

    --photographs draws the same kinds of scenes with nothing planted and with the traces of a lens and a
    sensor instead of a generator's, into FOLDER/photographs. They are drawings as well.

    --backgrounds plants the artifacts on your own pictures. Only what is planted is marked, so use
    photographs, or generations that somebody has looked at. Licence and source stay in the record.

    \b
    Examples:
      synthscars simulate generated --count 100 --seed 7
      synthscars ingest generated/images
      synthscars simulate training --count 4000 --photographs 1000 --workers 8
      synthscars simulate planted --backgrounds my-photographs --background-license CC-BY-4.0
    """
    from synthscars.simulate import read_backgrounds, read_truth, write_simulated

    if not count and not photographs:
        raise click.UsageError("nothing to draw: --count and --photographs are both 0")
    found = read_backgrounds(backgrounds, background_license) if backgrounds else ()
    with progress("drawing", count + photographs) as advance:
        before = 0

        def show(done: int) -> None:
            nonlocal before
            advance(done - before)
            before = done

        truth = write_simulated(
            folder, count, seed, photographs=photographs, workers=workers, backgrounds=found, progress=show
        )
    records = read_truth(truth)
    generated = [record for record in records if record.origin == "synthetic"]
    artifacts = [artifact for record in records for artifact in record.artifacts]
    result = {
        "images": len(generated),
        "photographs": len(records) - len(generated),
        "clean": sum(record.status == "clean" for record in generated),
        "artifacts": len(artifacts),
        "hard_negatives": sum(len(record.extra.get("hard_negatives", [])) for record in records),
        "subtypes": dict(sorted(Counter(str(artifact.subtype) for artifact in artifacts).items())),
        "content_types": dict(sorted(Counter(str(record.content_type) for record in records).items())),
        "truth": str(truth),
    }
    if as_json:
        print_json(result)
    else:
        clean = f"{result['clean']} without an artifact"
        screen = output()
        screen.print(f"{len(generated)} simulated images ({clean}) in {folder / 'images'}", markup=False)
        if photographs:
            screen.print(f"{photographs} simulated photographs in {folder / 'photographs'}", markup=False)
        screen.print(f"{len(artifacts)} artifacts, described in {truth}", markup=False)
