"""What must hold, as named criteria: the figures of one model against those of all trivial answers.

A criterion of figures is decided by an end of a bootstrap interval, not by the figure itself: the model is
better by the margin only if that cannot be put down to the choice of test images. The intervals are paired:
both answers are drawn on the same images. All must hold, so trying many criteria makes passing harder, never
easier, and no correction for their number is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from synthscars.metrics import STATISTICS, Figure, ImageScore, bootstrap, bootstrap_gain, value_of
from synthscars.metrics.statistics import with_artifacts
from synthscars.settings import VerifySettings
from synthscars.verify.result import Criterion, Scored
from synthscars.verify.trivial import BLIND, DETECTION, MASKS, TEXTS

METRICS: Mapping[str, str] = {
    "fg_iou": "foreground IoU",
    "pooled_f1": "foreground F1",
    "miou": "mIoU",
    "rouge_l": "ROUGE-L",
    "category_accuracy": "category accuracy",
    "detection_auroc": "detection AUROC",
}
"""Figures of the table, with their names for people; the gate looks at `GATED`."""

GATED = MASKS + TEXTS + DETECTION

Scores = Sequence[ImageScore]


def margin_of(metric: str, settings: VerifySettings) -> float:
    """By how much the model must be better in this figure."""
    if metric in MASKS:
        return settings.mask_margin
    return settings.text_margin if metric in TEXTS else settings.detection_margin


def figures_of(
    scores: Scores, metrics: Sequence[str], settings: VerifySettings, seed: int
) -> dict[str, Figure]:
    """Figures with their intervals; those that have no value are left out."""
    found = {}
    for metric in metrics:
        value = _value(metric, scores)
        if value is not None:
            ends = bootstrap(scores, metric, seed, settings.rounds, level=settings.confidence)
            found[metric] = Figure(value, *(ends or (None, None)))
    return found


def _value(metric: str, scores: Scores) -> float | None:
    """The figure, if these images can tell it."""
    if metric in DETECTION and len({score.origin for score in scores}) < 2:
        return None
    return value_of(metric, scores)


def unanswerable(metric: str, scores: Scores) -> str:
    """Why a figure says nothing about these images, `""` if it does."""
    if metric in DETECTION:
        return (
            ""
            if len({each.origin for each in scores}) > 1
            else "the test split has images of one origin only"
        )
    if not any(map(with_artifacts, scores)):
        return "no test image has an artifact"
    if metric in TEXTS and not any(with_artifacts(each) and each.rouge_l is not None for each in scores):
        return "no test image with artifacts has a caption"
    return ""


def enough_images(scores: Scores, settings: VerifySettings) -> Criterion:
    """Whether the test split is large enough for an interval to mean anything."""
    count = sum(map(with_artifacts, scores))
    return Criterion(
        name="data.test_images",
        group="data",
        what="there are enough test images with artifacts",
        value=count,
        threshold=settings.test_images,
        verdict="passed" if count >= settings.test_images else "failed",
        why="" if count >= settings.test_images else f"{count} test images have artifacts",
    )


def better_than(
    model: Scores, others: Sequence[tuple[Scored, Scores]], settings: VerifySettings, seed: int
) -> list[Criterion]:
    """The model against every trivial answer, in each figure that the answer speaks for."""
    return [
        _gain(
            name=f"trivial.{answer.name}.{metric}",
            group="trivial",
            what=f"{METRICS[metric]}: the model is better than “{answer.title}”",
            metric=metric,
            ours=model,
            theirs=scores,
            least=margin_of(metric, settings),
            settings=settings,
            seed=seed,
        )
        for answer, scores in others
        for metric in answer.metrics
    ]


def collapsed(
    model: Scores,
    shuffled: Scores | None,
    others: Sequence[tuple[Scored, Scores]],
    settings: VerifySettings,
    seed: int,
    left_out: str = "",
) -> list[Criterion]:
    """What a model that was trained on shuffled labels must not be able to do.

    Labels that were dealt out anew tell nothing about an image, so such a model must be near the best trivial
    answer at most that does not look at it (the upper end of its gain is at most `shuffled_slack`), and the
    model that is judged must be better than it by the margin. left_out: why there is no such model.
    """
    found = []
    for metric in MASKS + TEXTS:
        rival = max(
            (each for each in others if metric in each[0].figures and each[0].name in BLIND),
            key=lambda each: each[0].figures[metric].value or 0.0,
            default=None,
        )
        beaten = f"{METRICS[metric]}: the model is better than itself on shuffled labels"
        what = (
            f"{METRICS[metric]}: trained on shuffled labels it is hardly better than the best trivial answer"
        )
        reason = unanswerable(metric, model)
        if shuffled is None or reason or rival is None:
            missing = settings.shuffled and not reason
            why = reason or left_out or "no model was trained on shuffled labels"
            for name, claim, rule, threshold in (
                ("beaten", beaten, ">=", margin_of(metric, settings)),
                ("collapsed", what, "<=", settings.shuffled_slack),
            ):
                found.append(
                    Criterion(
                        name=f"shuffled.{name}.{metric}",
                        group="shuffled",
                        what=claim,
                        metric=metric,
                        rule=">=" if rule == ">=" else "<=",
                        threshold=threshold,
                        verdict="failed" if missing else "not_applicable",
                        why=why,
                    )
                )
            continue
        found.append(
            _gain(
                name=f"shuffled.beaten.{metric}",
                group="shuffled",
                what=beaten,
                metric=metric,
                ours=model,
                theirs=shuffled,
                least=margin_of(metric, settings),
                settings=settings,
                seed=seed,
            )
        )
        found.append(
            _gain(
                name=f"shuffled.collapsed.{metric}",
                group="shuffled",
                what=what,
                metric=metric,
                ours=shuffled,
                theirs=rival[1],
                most=settings.shuffled_slack,
                settings=settings,
                seed=seed,
                note=f"against “{rival[0].title}”",
            )
        )
    return found


def _gain(
    *,
    name: str,
    group: str,
    what: str,
    metric: str,
    ours: Scores,
    theirs: Scores,
    settings: VerifySettings,
    seed: int,
    least: float | None = None,
    most: float | None = None,
    note: str = "",
) -> Criterion:
    """How much higher a figure is: the lower end must be at least `least`, or the upper at most `most`."""
    fixed = Criterion(
        name=name,
        group="trivial" if group == "trivial" else "shuffled",
        what=what,
        metric=metric,
        rule=">=" if least is not None else "<=",
        decisive="low" if least is not None else "high",
        threshold=least if least is not None else most or 0.0,
        confidence=settings.confidence,
        verdict="not_applicable",
        why=unanswerable(metric, ours),
    )
    first, second = value_of(STATISTICS[metric], ours), value_of(STATISTICS[metric], theirs)
    if fixed.why or first is None or second is None:
        return _replaced(fixed, why=fixed.why or "the figure has no value here")
    ends = bootstrap_gain(ours, theirs, metric, seed, settings.rounds, level=settings.confidence)
    low, high = ends if ends is not None else (None, None)
    decisive = low if least is not None else high
    if decisive is None:
        return _replaced(fixed, verdict="failed", value=first - second, why="there is no interval")
    passed = decisive >= fixed.threshold if least is not None else decisive <= fixed.threshold
    why = f"{first:.3f} against {second:.3f}"
    return _replaced(
        fixed,
        value=first - second,
        low=low,
        high=high,
        verdict="passed" if passed else "failed",
        why=f"{why}, {note}" if note else why,
    )


def _replaced(criterion: Criterion, **fields: object) -> Criterion:
    import msgspec

    return msgspec.structs.replace(criterion, **fields)


def reasons_of(criteria: Sequence[Criterion]) -> tuple[str, ...]:
    """Why a release is not verified; empty if it is."""
    return tuple(f"{each.what}: {shown(each)}" for each in criteria if each.verdict == "failed")


def shown(criterion: Criterion) -> str:
    """The figures of a criterion and what decides, in words."""
    if criterion.value is None:
        return criterion.why or "not applicable"
    return f"{found(criterion)}, {needed(criterion)}"


def found(criterion: Criterion) -> str:
    """The value and its interval; `""` if there is none."""
    if criterion.value is None:
        return ""
    if criterion.decisive == "value":
        return f"{criterion.value:g}"
    ends = f" ({criterion.low:+.3f} to {criterion.high:+.3f})" if criterion.low is not None else ""
    return f"{criterion.value:+.3f}{ends}"


def needed(criterion: Criterion) -> str:
    """What decides, in words."""
    ends = {"low": "lower end ", "high": "upper end ", "value": ""}
    limit = "at least" if criterion.rule == ">=" else "at most"
    return f"{ends[criterion.decisive]}{limit} {criterion.threshold:g}"
