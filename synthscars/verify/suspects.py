"""Which labels are likely wrong: those that models which have not learned from them would not give.

Two kinds of evidence:

- *matching*: how little what is said about a region fits what a trained LEGION sees there
  (`synthscars.legion.matching`). It needs the model; it is about all images.
- *disagreement*: what any model predicts of images that it has not seen against the label, with a channel for
  the mask and one for the text.

Small regions and rare words are hard without being wrong, so in disagreement each value is compared with
those of artifacts of about the same size and about as frequent a phrase. Values become robust z-scores
(median and MAD) in their channel. Channels are joined by rank: an artifact is as suspicious as its better
place in either list says. So neither channel can crowd out the other, whatever the shape of its values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import msgspec
import numpy as np
import numpy.typing as npt

from synthscars.geometry import area, rle_iou, to_rle
from synthscars.metrics.masks import predicted_mask
from synthscars.metrics.text import rouge_l
from synthscars.predictions import PredictedRegion, Prediction
from synthscars.problems import FormatError
from synthscars.records import Artifact, ImageRecord

Floats = npt.NDArray[np.float64]
Key = tuple[str, str]
"""`image_id` and `artifact_id`."""

Method = Literal["matching", "disagreement"]
METHODS: tuple[Method, ...] = get_args(Method)
Channel = Literal["mask", "text", "match"]
CHANNELS: tuple[Channel, ...] = get_args(Channel)

FEWEST = 20
"""Artifacts below which nothing can be called unusual."""

_GROUP = 25
"""Artifacts of about one size that are compared with each other, at least."""
_MOST_GROUPS = 10
_SMALL = 1e-3


class Signal(NamedTuple):
    """Evidence about one artifact: the higher, the less its mask or its text fits, or the less both fit
    together. NaN where nothing is known."""

    mask: float = np.nan
    text: float = np.nan
    match: float = np.nan


class LabelError(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the review list.

    rank: its place, 1 is the most suspicious. channel: what is the worst; of `match`, either may be wrong.
    mask_z, text_z, match_z: robust z-scores, `None` where there is no evidence. method: where it comes from.
    """

    rank: int
    image_id: str
    artifact_id: str
    file_name: str
    split: str
    channel: Channel
    mask_z: float | None = None
    text_z: float | None = None
    match_z: float | None = None
    method: Method
    phrase: str = ""
    explanation: str = ""


# Evidence


def disagreement_signals(
    records: Iterable[ImageRecord], predictions: Mapping[str, Prediction]
) -> dict[Key, Signal]:
    """How far predictions are from the labels, for images whose prediction is given.

    mask: one less the IoU with the best predicted region. text: one less the ROUGE-L of phrase and
    explanation with those of that region; where none overlaps, with those of the most similar text, because a
    mask in the wrong place says nothing about the words.
    """
    found = {}
    for record in records:
        prediction = predictions.get(record.image_id)
        if prediction is None or (prediction.width, prediction.height) != (record.width, record.height):
            continue
        regions = prediction.regions
        masks = [predicted_mask(region, record.width, record.height, to_rle)[0] for region in regions]
        true = [to_rle(artifact.polygons, record.width, record.height) for artifact in record.artifacts]
        ious = rle_iou(true, masks)
        for number, artifact in enumerate(record.artifacts):
            best = int(np.argmax(ious[number])) if regions else -1
            iou = float(ious[number, best]) if regions else 0.0
            compared = [regions[best]] if iou > 0 else regions
            said = _said(artifact)
            text = max((rouge_l(said, _said(region)) for region in compared), default=0.0)
            found[record.image_id, artifact.artifact_id] = Signal(1 - iou, 1 - text if said else np.nan)
    return found


def _said(source: Artifact | PredictedRegion) -> str:
    return f"{source.phrase} {source.explanation}".strip()


# Ranking


def rank_errors(
    records: Sequence[ImageRecord],
    signals: Mapping[Key, Signal],
    method: Method,
) -> list[LabelError]:
    """All artifacts of which something is known, the most suspicious first; none if they are too few."""
    known = [
        (record, artifact)
        for record in records
        for artifact in record.artifacts
        if (record.image_id, artifact.artifact_id) in signals
    ]
    if len(known) < FEWEST:
        return []
    values = np.array([signals[record.image_id, artifact.artifact_id] for record, artifact in known])
    sizes = np.array(
        [np.log(_SMALL + area(artifact.polygons) / (r.width * r.height)) for r, artifact in known]
    )
    phrases = Counter(artifact.phrase for _, artifact in known)
    frequency = np.array([np.log(phrases[artifact.phrase]) for _, artifact in known])
    z = np.stack(
        [
            robust_z(less_usual(values[:, 0], sizes)),
            robust_z(less_usual(values[:, 1], frequency)),
            robust_z(values[:, 2]),
        ]
    )
    places = np.stack([_places(each) for each in z])
    # Of equal places the one whose next channel is more suspicious, then the order of the release.
    order = np.lexsort((np.arange(len(known)), np.sort(places, axis=0)[1], places.min(axis=0)))
    return [
        LabelError(
            rank=rank,
            image_id=known[number][0].image_id,
            artifact_id=known[number][1].artifact_id,
            file_name=known[number][0].file_name,
            split=known[number][0].split,
            channel=CHANNELS[int(places[:, number].argmin())],
            mask_z=_shown(z[0, number]),
            text_z=_shown(z[1, number]),
            match_z=_shown(z[2, number]),
            method=method,
            phrase=known[number][1].phrase,
            explanation=known[number][1].explanation,
        )
        for rank, number in enumerate(order.tolist(), 1)
    ]


def _shown(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 3)


def _places(z: Floats) -> Floats:
    """The place of each value, 1 for the highest; behind all others where there is none."""
    order = np.argsort(np.where(np.isnan(z), np.inf, -z), kind="stable")
    places = np.empty(len(z))
    places[order] = np.arange(1, len(z) + 1)
    places[np.isnan(z)] = len(z) + 1
    return places


def robust_z(values: Floats) -> Floats:
    """How far each value is above the median, in units of a normal distribution's standard deviation.

    By the median absolute deviation, which a few wrong labels do not move; by the mean one where more than
    half of the values are equal. NaN stays NaN; all 0 if all values are equal.
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return values.copy()
    apart = np.abs(known - np.median(known))
    spread = 1.4826 * float(np.median(apart)) or 1.2533 * float(apart.mean())
    z: Floats = (values - np.median(known)) / (spread or 1.0)
    return z


def less_usual(values: Floats, beside: Floats) -> Floats:
    """Values less what is usual where `beside` is about the same: the median of some neighbours in it."""
    rest = values.copy()
    known = np.flatnonzero(~np.isnan(values))
    groups = min(_MOST_GROUPS, len(known) // _GROUP)
    if groups < 2 or np.ptp(beside[known]) == 0:
        return rest
    limits = np.unique(np.quantile(beside[known], np.linspace(0, 1, groups + 1)[1:-1]))
    group = np.searchsorted(limits, beside[known], side="right")
    for number in range(len(limits) + 1):
        members = known[group == number]
        if len(members):
            rest[members] -= np.median(values[members])
    return rest


def read_errors(path: Path) -> list[LabelError]:
    """A list that `synthscars verify` has written. Raises `FormatError` naming the line that is none."""
    found = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            found.append(msgspec.json.decode(line, type=LabelError))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise FormatError(
                f"{path}, line {number}: {error}",
                fix="name the verification/label_errors.jsonl of a release, or verify it again",
            ) from error
    return found


def encode_errors(errors: Iterable[LabelError]) -> bytes:
    """The review list as JSON Lines."""
    encoder = msgspec.json.Encoder(order="deterministic")
    return b"".join(encoder.encode(error) + b"\n" for error in errors)
