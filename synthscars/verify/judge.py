"""Holds a model's predictions against everything that it must be better than. Nothing is trained here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import numpy as np

from synthscars.metrics import ImageScore, score_images
from synthscars.predictions import Prediction, read_predictions
from synthscars.problems import Problems
from synthscars.records import ImageRecord
from synthscars.release.filing import Stages
from synthscars.release.manifest import read_manifest
from synthscars.release.verified import manifest_digest
from synthscars.settings import VerifySettings
from synthscars.verify import gate, humans, leaks
from synthscars.verify.inputs import Inputs, Looks, read_looks
from synthscars.verify.result import (
    Ceiling,
    LabelErrors,
    Model,
    Release,
    Scored,
    Verification,
)
from synthscars.verify.suspects import (
    METHODS,
    Key,
    LabelError,
    Signal,
    disagreement_signals,
    rank_errors,
)
from synthscars.verify.trivial import Answer, nearest_answer, nearest_within, trivial_answers

WITHIN = 1000
"""Train images that are answered by the most similar other one, at most."""

_TOOLS = ("synthscars", "numpy", "pillow", "pycocotools", "rouge-score", "torch", "transformers")

Predictions = Mapping[str, Prediction]


class Judged(NamedTuple):
    """A model and what it says. predictions: image id → prediction, of the test split at least; of train
    images they count only if the model has not learned from them, see `out_of_fold`. misfits: how little the
    words of each artifact fit its place (`matches.misfits_of`), `None` without the model itself. curves: what
    its training wrote down, `None` if it is not known."""

    model: Model
    predictions: Predictions
    misfits: Mapping[Key, float] | None = None
    curves: Path | None = None
    out_of_fold: bool = False


class Shown(NamedTuple):
    """What the page shows beside the verification. scores: of the model on the test split, in its order."""

    verification: Verification
    inputs: Inputs
    scores: list[ImageScore]
    errors: list[LabelError]


def predictions_in(path: Path, records: Iterable[ImageRecord], problems: Problems) -> dict[str, Prediction]:
    """The predictions of these images in a file; others are passed over."""
    wanted = {record.image_id for record in records}
    return {each.image_id: each for each in read_predictions(path, problems) if each.image_id in wanted}


def judge(
    folder: Path,
    inputs: Inputs,
    judged: Judged,
    shuffled: Judged | None,
    problems: Problems,
    *,
    settings: VerifySettings,
    seed: int = 0,
    left_out: str = "",
    workers: int | None = None,
    stages: Stages,
) -> Shown:
    """Everything that `verification.json` says. left_out: why there is no model on shuffled labels.

    Nothing is written. The same release, predictions, settings and seed give the same result.
    """
    tested = [*inputs.test, *inputs.photographs]
    advance = stages("looking at pictures", len(inputs.train) + len(inputs.test) + len(inputs.photographs))
    looks = read_looks(folder, inputs.train, problems, workers=workers, progress=advance)
    test_looks = read_looks(folder, tested, problems, workers=workers, progress=advance)

    answers = [*trivial_answers(inputs.train, seed), nearest_answer(inputs.train, looks, tested, test_looks)]
    advance = stages("scoring", (len(answers) + 1 + (shuffled is not None)) * len(tested))
    scores = _scores(judged.predictions, tested, problems, advance)
    missing = sum(not score.predicted for score in scores)
    if missing:
        problems.add(
            "verify.no_prediction",
            f"{missing} of {len(scores)} test images have no usable prediction; they count as empty answers",
            severity="warning",
            fix="predict the whole test split, also the photographs of the config detection",
            count=missing,
        )
    others = [_trivial(answer, tested, settings, seed, advance) for answer in answers]
    by_shuffled = None
    if shuffled is not None:
        by_shuffled = _scores(shuffled.predictions, tested, problems, advance)
    raters = humans.rater_scores(folder)
    within = _within(inputs.train, looks, seed)
    (copied,) = (found for answer, found in others if answer.name == "nearest_image")

    criteria = [
        gate.enough_images(scores, settings),
        *gate.better_than(scores, others, settings, seed),
        *gate.collapsed(scores, by_shuffled, others, settings, seed, left_out),
        leaks.split_report(folder),
        leaks.checked_leaks(
            folder, workers=workers, progress=stages("looking for leaks", _all_images(inputs))
        ),
        *leaks.copying_gap(within, copied, settings, seed),
    ]
    model = _scored("model", "model", judged.model.name or "the model", scores, settings, seed)
    table = [model]
    if by_shuffled is not None:
        title = "the same on shuffled labels"
        table.append(_scored("shuffled", "shuffled", title, by_shuffled, settings, seed))
    if raters:
        title = "one rater against the others"
        table.append(_scored("raters", "human", title, raters, settings, seed, gate.GATED[:-1]))
    ranked = rank_label_errors(inputs, judged)
    reasons = gate.reasons_of(criteria)
    verification = Verification(
        verified=not reasons,
        reasons=reasons,
        release=_release(folder, inputs),
        model=judged.model,
        shuffled=shuffled.model if shuffled is not None else None,
        seed=seed,
        thresholds=settings,
        criteria=tuple(criteria),
        answers=(*table, *(answer for answer, _ in others)),
        ceiling=_ceiling(raters, table),
        label_errors=LabelErrors(
            artifacts=len(ranked),
            listed=len(_listed(ranked, settings)),
            methods={
                method: count
                for method in METHODS
                if (count := sum(each.method == method for each in ranked))
            },
        ),
        tools=_tools(),
    )
    return Shown(verification, inputs, scores, _listed(ranked, settings))


def _all_images(inputs: Inputs) -> int:
    return sum(map(len, inputs))


def _scores(
    predictions: Predictions,
    records: Sequence[ImageRecord],
    problems: Problems,
    advance: Callable[[int], None],
) -> list[ImageScore]:
    pairs = ((predictions.get(record.image_id), record) for record in records)
    found = []
    for score in score_images(pairs, problems=problems):
        found.append(score)
        advance(1)
    return found


def _trivial(
    answer: Answer,
    records: Sequence[ImageRecord],
    settings: VerifySettings,
    seed: int,
    advance: Callable[[int], None],
) -> tuple[Scored, list[ImageScore]]:
    scores = []
    for score in score_images((answer.say(record), record) for record in records):
        scores.append(score)
        advance(1)
    shown = [*answer.metrics, *(["miou"] if "fg_iou" in answer.metrics else [])]
    scored = Scored(
        name=answer.name,
        kind="trivial",
        title=answer.title,
        metrics=answer.metrics,
        figures=gate.figures_of(scores, shown, settings, seed),
    )
    return scored, scores


def _scored(
    name: str,
    kind: str,
    title: str,
    scores: Sequence[ImageScore],
    settings: VerifySettings,
    seed: int,
    metrics: Sequence[str] = tuple(gate.METRICS),
) -> Scored:
    return Scored(
        name=name,
        kind="model" if kind == "model" else "shuffled" if kind == "shuffled" else "human",
        title=title,
        metrics=tuple(metrics),
        figures=gate.figures_of(scores, metrics, settings, seed),
    )


def _within(train: Sequence[ImageRecord], looks: Looks, seed: int) -> list[ImageScore]:
    """Copying within train, for some of its images."""
    chosen: Sequence[int] = range(len(train))
    if len(train) > WITHIN:
        rng = np.random.default_rng(seed)
        chosen = sorted(rng.choice(len(train), WITHIN, replace=False).tolist())
    pairs = ((prediction, record) for record, prediction in nearest_within(train, looks, chosen))
    return list(score_images(pairs))


def _ceiling(raters: Sequence[ImageScore], table: Sequence[Scored]) -> Ceiling:
    if not raters:
        return Ceiling(why="no test image has the regions of several raters, each for itself")
    (model,) = (each for each in table if each.kind == "model")
    (human,) = (each for each in table if each.kind == "human")
    reached = {}
    for metric, figure in human.figures.items():
        ours = model.figures.get(metric)
        if figure.value and ours is not None and ours.value is not None:
            reached[metric] = ours.value / figure.value
    return Ceiling(images=len({score.group_id for score in raters}), answers=len(raters), reached=reached)


def _release(folder: Path, inputs: Inputs) -> Release:
    manifest = read_manifest(folder)
    groups = {
        "train": inputs.train,
        "validation": inputs.validation,
        "test": inputs.test,
        "test_photographs": inputs.photographs,
    }
    return Release(
        name=manifest.name,
        version=manifest.version,
        manifest_sha256=manifest_digest(folder),
        images={name: len(records) for name, records in groups.items()},
        artifacts={
            name: sum(len(record.artifacts) for record in records) for name, records in groups.items()
        },
    )


def _tools() -> dict[str, str]:
    found = {}
    for name in _TOOLS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


# Label errors


def rank_label_errors(inputs: Inputs, judged: Judged) -> list[LabelError]:
    """All artifacts of which there is evidence: with the model, of every split; else those of images that it
    has not learned from."""
    unseen = [*inputs.validation, *inputs.test]
    if judged.misfits is not None:
        signals = {key: Signal(match=misfit) for key, misfit in judged.misfits.items()}
        return rank_errors([*inputs.train, *unseen], signals, "matching")
    if judged.out_of_fold:
        unseen = [*inputs.train, *unseen]
    return rank_errors(unseen, disagreement_signals(unseen, judged.predictions), "disagreement")


def _listed(ranked: Sequence[LabelError], settings: VerifySettings) -> list[LabelError]:
    """The first ones; not those that are no harder than most, as all are to a model that says nothing."""
    first = ranked[: round(settings.review * len(ranked))]
    return [each for each in first if max(z or 0.0 for z in (each.mask_z, each.text_z, each.match_z)) > 0]
