"""Signs that the test split knows the train split, or the other way round.

Three of them: what the release says of its own splits, what `synthscars release check` finds when it looks at
the pictures anew, and how well copying works. Copying what is said of the most similar image must not work
better from train to test than from one group of train to another: if it does, test images have relatives in
train that no group knows of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from synthscars.metrics import STATISTICS, ImageScore, bootstrap, value_of
from synthscars.metrics.overlap import Array
from synthscars.metrics.statistics import Statistic, Weighted
from synthscars.problems import Problem, Problems
from synthscars.release.check import check
from synthscars.release.leaks import LeakReport
from synthscars.settings import VerifySettings
from synthscars.verify.gate import METRICS, unanswerable
from synthscars.verify.result import Criterion
from synthscars.verify.trivial import MASKS, TEXTS

SPLITS_NAME = "splits.json"


def split_report(folder: Path) -> Criterion:
    """What the release says of its own splits: groups and ties across them."""
    name, what = "leaks.splits", "the release's own report knows of no group in two splits"
    try:
        report = msgspec.json.decode((folder / SPLITS_NAME).read_bytes(), type=LeakReport)
    except FileNotFoundError:
        return _count(name, what, None, f"there is no {SPLITS_NAME}")
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        return _count(name, what, 1, f"{SPLITS_NAME} cannot be read: {error}")
    return _count(name, what, report.leaks)


def checked_leaks(
    folder: Path, *, workers: int | None = None, progress: Callable[[int], None] | None = None
) -> Criterion:
    """What a check finds that looks at all pictures: the same image, prompt or picture in two splits."""
    problems = Problems()
    check(folder, problems, format="release", workers=workers, progress=progress)
    leaks = [problem for problem in problems if problem.code.startswith("leak.")]
    errors = [problem for problem in leaks if problem.severity == "error"]
    why = "; ".join(_told(problem) for problem in errors[:3])
    if not errors and leaks:
        why = f"{len(leaks)} look alike without being one picture, for instance: {_told(leaks[0])}"
    name, what = "leaks.pictures", "no picture, group or prompt is in two splits"
    return _count(name, what, len(errors), why)


def _told(problem: Problem) -> str:
    return f"{problem.code} {problem.image[:12]}: {problem.what}"


def _count(name: str, what: str, value: int | None, why: str = "") -> Criterion:
    return Criterion(
        name=name,
        group="leaks",
        what=what,
        value=value,
        rule="<=",
        threshold=0,
        verdict="not_applicable" if value is None else "passed" if value == 0 else "failed",
        why=why,
    )


def copying_gap(
    within_train: Sequence[ImageScore], to_test: Sequence[ImageScore], settings: VerifySettings, seed: int
) -> list[Criterion]:
    """How much better copying works from train to test than within train.

    within_train: of train images answered by the most similar one of another group. to_test: of test images.
    A sign of a leak is a gap that is larger than `nearest_slack` with confidence: its lower end.
    """
    found = []
    for metric in (*MASKS, *TEXTS):
        both = [*_marked(within_train, "train"), *_marked(to_test, "test")]
        gap = _gap(metric)
        reason = unanswerable(metric, to_test) or unanswerable(metric, within_train)
        value = None if reason else value_of(gap, both)
        ends = (
            bootstrap(both, gap, seed, settings.rounds, level=settings.confidence)
            if value is not None
            else None
        )
        low, high = ends or (None, None)
        passed = low is not None and low <= settings.nearest_slack
        found.append(
            Criterion(
                name=f"leaks.nearest.{metric}",
                group="leaks",
                what=f"{METRICS[metric]}: copying from the most similar image works no better from train to "
                "test than within train",
                metric=metric,
                value=value,
                low=low,
                high=high,
                rule="<=",
                decisive="low",
                threshold=settings.nearest_slack,
                confidence=settings.confidence,
                verdict="not_applicable" if low is None else "passed" if passed else "failed",
                why=reason if value is None else _values(metric, within_train, to_test),
            )
        )
    return found


def _values(metric: str, within_train: Sequence[ImageScore], to_test: Sequence[ImageScore]) -> str:
    first, second = (value_of(metric, scores) or 0.0 for scores in (to_test, within_train))
    return f"{first:.3f} to test, {second:.3f} within train"


def _marked(scores: Sequence[ImageScore], split: str) -> list[ImageScore]:
    return [msgspec.structs.replace(score, split=split) for score in scores]


def _gap(metric: str) -> Statistic:
    """A figure on the images of `test` less that on those of `train`."""

    def prepare(scores: Sequence[ImageScore]) -> Weighted:
        figure = STATISTICS[metric](scores)
        test = np.array([score.split == "test" for score in scores], dtype=np.float64)

        def gap(weights: Array) -> Array:
            return figure(weights * test) - figure(weights * (1 - test))

        return gap

    return prepare
