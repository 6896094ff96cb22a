"""The score of one image: everything that is counted about it, and nothing of any other image.

Scores of any images, scored anywhere, can be put together and summed up (`synthscars.metrics.summarize`);
`encode_score` and `decode_score` carry them from one machine to another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from synthscars.geometry import Rle, rle_area, rle_iou
from synthscars.metrics import masks
from synthscars.metrics.checks import tell, usable_prediction
from synthscars.metrics.masks import Rasterize, Rasterizer, rasterizer_of
from synthscars.metrics.matching import match, same
from synthscars.metrics.overlap import Pixels
from synthscars.metrics.text import rouge_l
from synthscars.predictions import PredictedRegion, Prediction
from synthscars.problems import FormatError, Problems
from synthscars.records import Artifact, ImageRecord

if TYPE_CHECKING:
    from synthscars.metrics.encoder import SentenceEncoder

Ious = npt.NDArray[np.float64]

UNKNOWN = "unknown"


class Region(msgspec.Struct, frozen=True, kw_only=True):
    """A true or a predicted region. counts: of its mask, COCO's compressed form; area: pixels."""

    category: str | None
    subtype: str | None
    counts: bytes
    area: int
    score: float | None = None


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """A true region and the predicted one that it was found in, by their places in `truth` and `found`.

    phrase, explanation: ROUGE-L of the predicted text. css: similarity of "phrase: explanation", if an
    encoder was given. All are `None` where the truth has no such text.
    """

    true: int
    found: int
    iou: float
    phrase: float | None = None
    explanation: float | None = None
    css: float | None = None


class Quality(msgspec.Struct, frozen=True):
    """What panoptic quality is made from: matched pairs, their summed IoU, and what is left on both sides."""

    matched: int = 0
    iou: float = 0.0
    invented: int = 0
    missed: int = 0


class CategoryScore(msgspec.Struct, frozen=True, kw_only=True):
    """One category on one image.

    pixels: true regions of the category against predicted ones of the category. covered: true pixels of the
    category that any predicted region covers. found: true regions matched by a predicted one of any category.
    quality: regions of the category alone, matched with each other.
    """

    pixels: Pixels
    covered: int = 0
    found: int = 0
    quality: Quality = Quality()


class ImageScore(msgspec.Struct, frozen=True, kw_only=True):
    """All counts of one image.

    judged: whether somebody looked for artifacts, so that masks and texts can be compared; else only
    `synthetic` counts. predicted: whether there was a usable prediction; without one, nothing was answered.
    generator: model or tool that made the image. pixels: of the unions of all regions.
    rouge_l, css: of the whole answer against the caption, `None` without a caption (or an encoder).
    answered: whether the answer has a text. synthetic: the probability that was predicted.
    """

    image_id: str
    file_name: str = ""
    group_id: str = ""
    split: str = ""
    origin: str = "synthetic"
    content_type: str = UNKNOWN
    generator: str = UNKNOWN
    width: int
    height: int
    judged: bool = True
    predicted: bool = True
    pixels: Pixels = Pixels()
    categories: dict[str, CategoryScore] = {}
    truth: tuple[Region, ...] = ()
    found: tuple[Region, ...] = ()
    matches: tuple[Match, ...] = ()
    quality: Quality = Quality()
    rouge_l: float | None = None
    css: float | None = None
    answered: bool = False
    synthetic: float | None = None


class _Scored(NamedTuple):
    """A score and the texts that it is about: the caption and the answer, and those of each match."""

    score: ImageScore
    texts: tuple[str, str]
    matched: tuple[tuple[str, str], ...] = ()


_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(ImageScore)


def encode_score(score: ImageScore) -> bytes:
    """One line of JSON."""
    return _encoder.encode(score)


def decode_score(line: bytes) -> ImageScore:
    """Read what `encode_score` wrote. Raises `FormatError` if it is something else."""
    try:
        return _decoder.decode(line)
    except msgspec.DecodeError as error:
        raise FormatError(f"not the score of an image: {error}") from error


def score_image(
    prediction: Prediction | None,
    record: ImageRecord,
    *,
    rasterizer: Rasterizer = "coco",
    encoder: SentenceEncoder | None = None,
    problems: Problems | None = None,
) -> ImageScore:
    """Hold a prediction against what is known of its image. `None` is an empty answer.

    problems: gets what is wrong with the prediction, which then counts as an empty answer (another size), or
    without what is wrong (a mask that cannot be read). Without it, `FormatError` is raised instead.
    """
    (score,) = score_images([(prediction, record)], rasterizer=rasterizer, encoder=encoder, problems=problems)
    return score


def score_images(
    pairs: Iterable[tuple[Prediction | None, ImageRecord]],
    *,
    rasterizer: Rasterizer = "coco",
    encoder: SentenceEncoder | None = None,
    problems: Problems | None = None,
    batch: int = 32,
) -> Iterator[ImageScore]:
    """As `score_image`, one after another; the encoder gets the texts of `batch` images at a time."""
    rasterize = rasterizer_of(rasterizer)
    waiting: list[_Scored] = []
    for prediction, record in pairs:
        usable = usable_prediction(prediction, record, problems)
        answer = usable or Prediction(image_id=record.image_id, width=record.width, height=record.height)
        scored = _score(answer, record, rasterize, usable is not None, problems)
        if encoder is None:
            yield scored.score
            continue
        waiting.append(scored)
        if len(waiting) >= batch:
            yield from _with_css(waiting, encoder)
            waiting = []
    if encoder is not None and waiting:
        yield from _with_css(waiting, encoder)


def _score(
    answer: Prediction,
    record: ImageRecord,
    rasterize: Rasterize,
    predicted: bool,
    problems: Problems | None,
) -> _Scored:
    size = (record.width, record.height)
    generation = record.generation
    score = ImageScore(
        image_id=record.image_id,
        file_name=record.file_name,
        group_id=record.group_id,
        split=record.split,
        origin=record.origin,
        content_type=record.content_type or UNKNOWN,
        generator=(generation and (generation.model or generation.tool)) or UNKNOWN,
        width=record.width,
        height=record.height,
        judged=record.status in ("annotated", "clean"),
        predicted=predicted,
        answered=bool(answer.text.strip()),
        synthetic=answer.synthetic,
    )
    if not score.judged:
        return _Scored(score, ("", ""))
    artifacts, true = _true_masks(record, rasterize, problems)
    regions, seen = _seen_masks(answer, rasterize, problems)
    truth = tuple(map(_region, artifacts, true))
    found = tuple(map(_region, regions, seen))
    all_true, all_seen = masks.union(true, *size), masks.union(seen, *size)
    shared = masks.both(all_true, all_seen) if truth and found else 0
    ious = rle_iou(true, seen)
    pairs = match(ious)
    alike = match(ious, allowed=same([r.category for r in truth], [r.category for r in found]))
    score = msgspec.structs.replace(
        score,
        pixels=Pixels.of(rle_area(all_true), rle_area(all_seen), shared, size[0] * size[1]),
        categories=_categories(truth, found, true, seen, all_seen, pairs, alike, ious, size),
        truth=truth,
        found=found,
        matches=tuple(_match(i, j, float(ious[i, j]), artifacts[i], regions[j]) for i, j in pairs),
        quality=_quality(pairs, ious, len(truth), len(found)),
        rouge_l=rouge_l(record.caption, answer.text) if record.caption.strip() else None,
    )
    texts = tuple((_told(artifacts[i]), _told(regions[j])) for i, j in pairs)
    return _Scored(score, (record.caption, answer.text), texts)


def _true_masks(
    record: ImageRecord, rasterize: Rasterize, problems: Problems | None
) -> tuple[list[Artifact], list[Rle]]:
    """The artifacts that cover at least one pixel, and their masks: nobody could find the others."""
    kept: list[Artifact] = []
    found: list[Rle] = []
    for artifact in record.artifacts:
        mask = rasterize(artifact.polygons, record.width, record.height)
        if rle_area(mask):
            kept.append(artifact)
            found.append(mask)
        else:
            tell(
                problems,
                "truth.no_pixels",
                "the true region covers no pixel; it does not count",
                image=record.image_id,
                region=f"artifact {artifact.artifact_id}",
                severity="warning",
            )
    return kept, found


def _seen_masks(
    answer: Prediction, rasterize: Rasterize, problems: Problems | None
) -> tuple[list[PredictedRegion], list[Rle]]:
    """The predicted regions that cover at least one pixel, and their masks."""
    kept: list[PredictedRegion] = []
    found: list[Rle] = []
    for number, region in enumerate(answer.regions):
        mask, flaws = masks.predicted_mask(region, answer.width, answer.height, rasterize)
        image, place = answer.image_id, f"region {number}"
        for flaw in flaws:
            tell(problems, flaw.code, flaw.what, fix=flaw.fix, image=image, region=place)
        if rle_area(mask):
            kept.append(region)
            found.append(mask)
        elif not flaws:
            what = "the predicted region covers no pixel; it does not count"
            tell(problems, "prediction.no_pixels", what, severity="info", image=image, region=place)
    return kept, found


def _region(source: Artifact | PredictedRegion, mask: Rle) -> Region:
    return Region(
        category=source.category,
        subtype=source.subtype,
        counts=mask["counts"],
        area=rle_area(mask),
        score=source.score if isinstance(source, PredictedRegion) else None,
    )


def _quality(
    pairs: list[tuple[int, int]],
    ious: Ious,
    true: int,
    found: int,
) -> Quality:
    # Largest first, as `match` has them: the same pairs give the same sum.
    total = sum((float(ious[pair]) for pair in pairs), 0.0)
    return Quality(len(pairs), total, found - len(pairs), true - len(pairs))


def _categories(
    truth: tuple[Region, ...],
    found: tuple[Region, ...],
    true: list[Rle],
    seen: list[Rle],
    all_seen: Rle,
    pairs: list[tuple[int, int]],
    alike: list[tuple[int, int]],
    ious: Ious,
    size: tuple[int, int],
) -> dict[str, CategoryScore]:
    """Every category that the truth or the prediction has on this image."""
    scores = {}
    for category in sorted({each.category for each in (*truth, *found) if each.category is not None}):
        ours = [number for number, each in enumerate(truth) if each.category == category]
        theirs = [number for number, each in enumerate(found) if each.category == category]
        mask = masks.union([true[number] for number in ours], *size)
        other = masks.union([seen[number] for number in theirs], *size)
        inside = [pair for pair in alike if truth[pair[0]].category == category]
        scores[category] = CategoryScore(
            pixels=Pixels.of(
                rle_area(mask),
                rle_area(other),
                masks.both(mask, other) if ours and theirs else 0,
                size[0] * size[1],
            ),
            covered=masks.both(mask, all_seen) if ours and found else 0,
            found=sum(truth[i].category == category for i, _ in pairs),
            quality=_quality(inside, ious, len(ours), len(theirs)),
        )
    return scores


def _match(i: int, j: int, iou: float, true: Artifact, found: PredictedRegion) -> Match:
    return Match(
        true=i,
        found=j,
        iou=iou,
        phrase=rouge_l(true.phrase, found.phrase) if true.phrase.strip() else None,
        explanation=rouge_l(true.explanation, found.explanation) if true.explanation.strip() else None,
    )


def _with_css(waiting: list[_Scored], encoder: SentenceEncoder) -> Iterator[ImageScore]:
    """The scores with the similarity of their texts."""
    values = iter(
        encoder.similarity([pair for scored in waiting for pair in (scored.texts, *scored.matched)])
    )
    for score, (caption, _), matched in waiting:
        whole = next(values)
        matches = tuple(
            msgspec.structs.replace(each, css=value if told else None)
            for each, (told, _), value in zip(score.matches, matched, values, strict=False)
        )
        # `zip` asks for a value last, so it takes none of the next image.
        yield msgspec.structs.replace(score, css=whole if caption.strip() else None, matches=matches)


def _told(region: Artifact | PredictedRegion) -> str:
    return ": ".join(text for text in (region.phrase.strip(), region.explanation.strip()) if text)
