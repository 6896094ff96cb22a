"""How a release differs statistically from the one before it: shares of labels, sizes, counts and lengths.

Shares are compared by the Jensen-Shannon distance (base 2; 0: the same, 1: nothing in common) with a G-test,
numbers by the two-sample Kolmogorov-Smirnov distance; its p value is the asymptotic one with Stephens'
correction for small samples (doi.org/10.1111/j.2517-6161.1970.tb00821.x). p values are corrected by Holm for
the number of measures. The p value says whether a difference may be chance, the distance how large it is;
only what is both is told, and by its size. Most images of a new version were in the old one, so the new
ones are compared with it as well.

Kept are counters and histograms of fixed cells, and 32 characters of each image of the version before.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from synthscars import geometry
from synthscars.problems import FormatError, Problem, Severity
from synthscars.records import ImageRecord, source_name
from synthscars.release.features import from_row
from synthscars.release.files import data_files, opened
from synthscars.release.manifest import version_key, versions
from synthscars.workspace import is_version

SMALL, LARGE = 0.1, 0.2
"""Distance from which on a difference is told, and from which on it is a warning."""
LEAST = 20
"""Images, artifacts or raters' answers on either side below which nothing is compared."""
CHANCE = 0.01
_MOST_KEYS = 1000
Cells = npt.NDArray[np.int64]
_OTHER = "(other)"

_SHARES = ("split", "status", "content_type", "origin", "category", "subtype", "generator", "source", "rater")
_NUMBERS: dict[str, tuple[float, ...]] = {
    "artifacts_per_image": tuple(float(each) for each in range(101)),
    "area_share": tuple(float(each) for each in np.geomspace(1e-7, 1.0, 400)),
    "vertices": tuple(float(each) for each in range(3, 1003)),
    "phrase_length": tuple(float(each) for each in range(501)),
    "explanation_length": tuple(float(each) for each in range(2001)),
    "agreement": tuple(float(each) for each in np.linspace(0.0, 1.0, 201)),
}


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison. scope: `all` images of this version, or the `new` ones, with the version before.
    distance: 0 to 1. p: corrected. before, now: shares in percent, or the median. changed: what differs most.
    """

    name: str
    scope: str
    distance: float
    p: float
    count_before: int
    count_now: int
    before: float
    now: float
    changed: str = ""


class Profile:
    """What is counted of a set of images."""

    def __init__(self) -> None:
        self.images = 0
        self.shares: dict[str, Counter[str]] = {name: Counter() for name in _SHARES}
        self.numbers = {name: np.zeros(len(cells) + 1, np.int64) for name, cells in _NUMBERS.items()}

    def add(self, record: ImageRecord) -> None:
        """Take in one image."""
        self.images += 1
        self._share("split", record.split)
        self._share("status", record.status)
        self._share("origin", record.origin)
        self._share("content_type", record.content_type)
        self._share("generator", record.generation.tool if record.generation else None)
        self._share("source", source_name(record.source))
        for rater in record.raters:
            self._share("rater", rater)
        self._number("artifacts_per_image", len(record.artifacts))
        for artifact in record.artifacts:
            self._share("category", artifact.category)
            self._share("subtype", artifact.subtype)
            self._number("phrase_length", len(artifact.phrase))
            self._number("explanation_length", len(artifact.explanation))
            self._number("vertices", sum(len(ring) // 2 for ring in artifact.polygons))
            if artifact.agreement is not None:
                self._number("agreement", artifact.agreement)
            with np.errstate(all="ignore"):
                self._number("area_share", _area_share(artifact.polygons, record))

    def _share(self, name: str, value: str | None) -> None:
        counter = self.shares[name]
        key = value or "(none)"
        counter[key if key in counter or len(counter) < _MOST_KEYS else _OTHER] += 1

    def _number(self, name: str, value: float) -> None:
        if math.isfinite(value):
            self.numbers[name][int(np.searchsorted(_NUMBERS[name], value, side="right"))] += 1


def _area_share(polygons: tuple[tuple[float, ...], ...], record: ImageRecord) -> float:
    try:
        return geometry.area(polygons) / (record.width * record.height)
    except (ValueError, ZeroDivisionError, OverflowError):  # what is wrong with it is told elsewhere
        return math.nan


class Drift:
    """Takes in the images of this version one by one, and knows at the end how they differ."""

    def __init__(self, before: Profile, known: frozenset[bytes]) -> None:
        self._before, self._known = before, known
        self._now, self._new = Profile(), Profile()

    def add(self, record: ImageRecord) -> None:
        """Take in one image."""
        self._now.add(record)
        if _short(record.image_id) not in self._known:
            self._new.add(record)

    def finish(self, name: str) -> tuple[tuple[Measure, ...], list[Problem]]:
        """All measures, and what is worth telling of them. name: of the version before."""
        measures = list(_measures("all", self._before, self._now))
        if self._new.images < self._now.images:
            measures += _measures("new", self._before, self._new)
        corrected = tuple(_holm(measures))
        told: dict[str, Problem] = {}
        for measure in corrected:
            problem = _problem(measure, name)
            if problem is not None and (
                measure.name not in told or told[measure.name].severity == "info" != problem.severity
            ):
                told[measure.name] = problem
        return corrected, [*told.values(), *_abrupt(self._before, self._now, self._new, name)]


def drift_from(previous: Path) -> Drift:
    """What compares with the release `previous`. Raises `FormatError` if that cannot be read."""
    profile = Profile()
    known: set[bytes] = set()
    for file in data_files(previous):
        with opened(file.path) as reader:
            for row in reader.rows():
                if isinstance(row, FormatError):
                    raise row
                # The images, which no record needs, were not read.
                record = from_row({"rater_artifacts": None, **row.values}, file.split)
                profile.add(record)
                known.add(_short(record.image_id))
    return Drift(profile, frozenset(known))


def previous_of(source: Path) -> Path | None:
    """The newest lower version beside a release, `None` if there is none or it has no version's name."""
    folder = source.resolve()
    if not is_version(folder.name):
        return None
    lower = [name for name in versions(folder.parent) if version_key(name) < version_key(folder.name)]
    return folder.parent / lower[-1] if lower else None


def _short(image_id: str) -> bytes:
    return image_id[:32].encode("ascii", "replace")


# Measures


def _measures(scope: str, before: Profile, now: Profile) -> Iterator[Measure]:
    for name in _SHARES:
        old, new = before.shares[name], now.shares[name]
        if min(old.total(), new.total()) < LEAST or (name == "split" and scope == "new"):
            continue
        distance, p = shares_differ(old, new)
        changes = {key: new[key] / new.total() - old[key] / old.total() for key in sorted(old | new)}
        most = max(changes, key=lambda key: abs(changes[key]))
        yield Measure(
            name=name,
            scope=scope,
            distance=_round(distance),
            p=p,
            count_before=old.total(),
            count_now=new.total(),
            before=_round(100 * old[most] / old.total()),
            now=_round(100 * new[most] / new.total()),
            changed=most[:60] if name != "rater" else f"{most[:1]}…",
        )
    for name, cells in _NUMBERS.items():
        first, second = before.numbers[name], now.numbers[name]
        counts = int(first.sum()), int(second.sum())
        if min(counts) < LEAST:
            continue
        distance, p = numbers_differ(first, second)
        yield Measure(
            name=name,
            scope=scope,
            distance=_round(distance),
            p=p,
            count_before=counts[0],
            count_now=counts[1],
            before=_round(_median(first, cells)),
            now=_round(_median(second, cells)),
        )


def shares_differ(before: Mapping[str, int], now: Mapping[str, int]) -> tuple[float, float]:
    """Jensen-Shannon distance of two sets of counts, and the p value of a G-test that they are one."""
    keys = sorted({*before, *now})
    table = np.array([[counts.get(key, 0) for key in keys] for counts in (before, now)], float)
    sums = table.sum(axis=1, keepdims=True)
    shares = table / sums
    middle = shares.mean(axis=0)
    expected = table.sum(axis=0) * sums / sums.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        divergence = float(np.nansum(shares * np.log2(shares / middle)) / 2)
        g = float(2 * np.nansum(table * np.log(table / expected)))
    return math.sqrt(max(divergence, 0.0)), _chi_square_tail(g, len(keys) - 1)


def _chi_square_tail(value: float, freedom: int) -> float:
    """P(chi-square >= value), by the cube root that Wilson and Hilferty found to be nearly normal."""
    if freedom < 1 or value <= 0:
        return 1.0
    spread = 2 / (9 * freedom)
    z = ((value / freedom) ** (1 / 3) - (1 - spread)) / math.sqrt(spread)
    return 0.5 * math.erfc(z / math.sqrt(2))


def numbers_differ(before: Cells, now: Cells) -> tuple[float, float]:
    """Two-sample Kolmogorov-Smirnov distance of two histograms of the same cells, and its p value.

    before, now: counts, (cells,). Within a cell nothing is told apart: the distance is at most that of the
    numbers themselves, and the same where a cell is one number.
    """
    first, second = float(before.sum()), float(now.sum())
    distance = float(np.abs(np.cumsum(before) / first - np.cumsum(now) / second).max())
    root = math.sqrt(first * second / (first + second))
    return distance, _kolmogorov_tail((root + 0.12 + 0.11 / root) * distance)


def _kolmogorov_tail(value: float) -> float:
    if value < 0.3:  # the series needs many terms there, and is 1
        return 1.0
    terms = (2 * (-1) ** (k - 1) * math.exp(-2 * (k * value) ** 2) for k in range(1, 101))
    return float(min(1.0, max(0.0, sum(terms))))


def _median(counts: Cells, cells: tuple[float, ...]) -> float:
    index = int(np.searchsorted(np.cumsum(counts), counts.sum() / 2))
    return cells[max(0, index - 1)]


def _holm(measures: list[Measure]) -> Iterator[Measure]:
    order = sorted(range(len(measures)), key=lambda index: measures[index].p)
    corrected = [1.0] * len(measures)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, measures[index].p * (len(measures) - rank)))
        corrected[index] = largest
    for measure, p in zip(measures, corrected, strict=True):
        yield msgspec.structs.replace(measure, p=_round(p))


def _round(value: float) -> float:
    # Few enough digits that every machine gives the same.
    return float(f"{value:.4g}")


# Problems


class _Words(NamedTuple):
    what: str
    unit: str


_WORDS = {
    "artifacts_per_image": _Words("artifacts per image", ""),
    "area_share": _Words("share of the image that an artifact covers", ""),
    "vertices": _Words("points of an outline", ""),
    "phrase_length": _Words("length of phrases", " characters"),
    "explanation_length": _Words("length of explanations", " characters"),
    "agreement": _Words("agreement of raters", ""),
}


def _problem(measure: Measure, name: str) -> Problem | None:
    if measure.distance < SMALL or measure.p > CHANCE:
        return None
    severity: Severity = "warning" if measure.distance >= LARGE else "info"
    who = "all images" if measure.scope == "all" else "the new images"
    words = _WORDS.get(measure.name)
    if words is None:
        kind = measure.name.replace("_", " ")
        change = f"{kind} {measure.changed!r} went from {measure.before:.4g} % to {measure.now:.4g} %"
    else:
        change = f"the median {words.what} went from {measure.before:.4g} to {measure.now:.4g}{words.unit}"
    return Problem(
        code=f"drift.{measure.name}",
        what=f"{change} of {who} ({measure.count_before:,} in {name}, {measure.count_now:,} now; "
        f"distance {measure.distance:.2g}, p {measure.p:.1g})",
        fix="look whether it is meant, and say so in the card",
        severity=severity,
        count=1,
    )


def _abrupt(before: Profile, now: Profile, new: Profile, name: str) -> Iterator[Problem]:
    for kind in ("category", "subtype", "content_type"):
        for key, count in sorted(before.shares[kind].items()):
            if count >= LEAST and not now.shares[kind][key]:
                yield Problem(
                    code="drift.vanished",
                    what=f"{kind.replace('_', ' ')} {key!r} is gone: {count:,} in {name}, 0 now",
                    fix="look whether an import or an export lost it",
                    severity="warning",
                )
    raters, total = new.shares["rater"], new.shares["rater"].total()
    for rater, count in raters.most_common(1):
        if total >= LEAST and count > total / 2 and not before.shares["rater"][rater]:
            yield Problem(
                code="drift.new_rater",
                what=f"a rater who is not in {name} ({rater[:1]}…) gave {count:,} of {total:,} answers about "
                "new images",
                fix="compare their regions with those of others before they are released",
                severity="warning",
            )


def table(measures: Iterable[Measure]) -> list[tuple[str, str, str, str, str, str]]:
    """The measures as text, for a terminal: name, scope, before, now, distance, p."""
    return [
        (
            f"{each.name} {each.changed!r}" if each.changed else each.name,
            each.scope,
            f"{each.before:.4g}{' %' if each.changed else ''} ({each.count_before:,})",
            f"{each.now:.4g}{' %' if each.changed else ''} ({each.count_now:,})",
            f"{each.distance:.3f}",
            f"{each.p:.2g}",
        )
        for each in measures
    ]
