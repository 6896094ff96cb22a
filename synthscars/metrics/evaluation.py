"""Sums scores up into an `Evaluation`: what `synthscars evaluate` prints.

What the figures say, and how empty answers count, is told in docs/how-to/evaluate.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import msgspec

from synthscars.metrics.instances import Precision, mask_ap
from synthscars.metrics.overlap import OVERLAPS
from synthscars.metrics.resampling import LEVEL, ROUNDS, intervals
from synthscars.metrics.scores import UNKNOWN, CategoryScore, ImageScore
from synthscars.metrics.statistics import (
    STATISTICS,
    Statistic,
    is_clean,
    ordered,
    quality_of,
    value_of,
    with_artifacts,
)
from synthscars.taxonomy import load_taxonomy

HEADLINE = (
    *OVERLAPS,
    *(f"pooled_{name}" for name in OVERLAPS),
    "false_alarm_rate",
    "pq",
    "precision",
    "recall",
    "category_accuracy",
    "subtype_accuracy",
    "rouge_l",
    "css",
    "phrase_rouge_l",
    "explanation_rouge_l",
    "region_css",
    "detection_accuracy",
    "detection_balanced",
    "detection_ap",
    "detection_auroc",
)
"""Figures with an interval."""


class Figure(msgspec.Struct, frozen=True):
    """A figure and its bootstrap interval; all `None` where there is nothing to say."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


class Overlap(msgspec.Struct, frozen=True):
    """Foreground IoU, background IoU, their mean, and pixel F1 of the foreground."""

    fg_iou: float | None = None
    bg_iou: float | None = None
    miou: float | None = None
    f1: float | None = None


class Localization(msgspec.Struct, frozen=True, kw_only=True):
    """images: with at least one true pixel. per_image: averaged over them. pooled: over all pixels of all
    judged images, clean ones too."""

    images: int
    per_image: Overlap
    pooled: Overlap


class Category(msgspec.Struct, frozen=True, kw_only=True):
    """One category. per_image, pooled: as in `Localization`, for regions of the category alone.

    covered: share of its true pixels that regions of any category cover. found: share of its true regions
    that were matched by one of any category. pq, sq, rq, ap: regions of the category alone.
    All that needs predicted categories is `None` if the model names none.
    """

    images: int
    regions: int
    predicted: int | None
    per_image: Overlap
    pooled: Overlap
    covered: float | None
    found: float | None
    pq: float | None
    sq: float | None
    rq: float | None
    ap: Precision


class Instances(msgspec.Struct, frozen=True, kw_only=True):
    """Regions, each for itself, matched at an IoU of 0.5 or more, whatever their category.

    ap_any: of all regions as one category. ap: the mean over the categories. pq_categories: the same of PQ.
    """

    regions: int
    predicted: int
    matched: int
    precision: float | None
    recall: float | None
    matched_iou: float | None
    pq: float | None
    sq: float | None
    rq: float | None
    pq_categories: float | None
    ap_any: Precision
    ap: Precision


class Labels(msgspec.Struct, frozen=True, kw_only=True):
    """Categories and subtypes on matched regions. confusion: true → predicted → how many."""

    category_accuracy: float | None
    subtype_accuracy: float | None
    confusion: dict[str, dict[str, int]]


class Clean(msgspec.Struct, frozen=True, kw_only=True):
    """Images with nothing to find. area: share of the image that is predicted, in the mean."""

    images: int
    false_alarms: int
    false_alarm_rate: float | None
    area: float | None


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """Answers against captions, on images with artifacts and on clean ones; phrases and explanations on
    matched regions. `None` if the model wrote nothing at all."""

    rouge_l: float | None
    css: float | None
    clean_rouge_l: float | None
    clean_css: float | None
    phrase_rouge_l: float | None
    explanation_rouge_l: float | None
    region_css: float | None


class Generator(msgspec.Struct, frozen=True, kw_only=True):
    """Images of one generator. accuracy: share of them that were told; ap, auroc: against all real images."""

    images: int
    accuracy: float | None
    ap: float | None
    auroc: float | None


class Detection(msgspec.Struct, frozen=True, kw_only=True):
    """Generated or real. undecided: images without a probability, which are wrong, and 0.5 in a ranking.

    balanced: mean of both classes' accuracies. real_accuracy: of real images alone.
    """

    synthetic: int
    real: int
    undecided: int
    accuracy: float | None
    balanced: float | None
    real_accuracy: float | None
    ap: float | None
    auroc: float | None
    by_generator: dict[str, Generator]


class Images(msgspec.Struct, frozen=True, kw_only=True):
    """How many images there are; answered: with a usable prediction; the others count as empty answers."""

    total: int
    judged: int
    with_artifacts: int
    clean: int
    answered: int


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """All figures of one set of predictions.

    model, release, split: what was compared, for the reader. encoder: of every CSS. headline: the figures
    with an interval that holds `level` of `rounds` bootstrap rounds over groups of images.
    """

    model: str
    release: str
    split: str
    rasterizer: str
    encoder: str | None
    seed: int
    rounds: int
    level: float
    images: Images
    headline: dict[str, Figure]
    localization: Localization
    by_content_type: dict[str, Localization]
    by_category: dict[str, Category]
    clean: Clean
    instances: Instances
    labels: Labels
    text: Text
    detection: Detection


def summarize(
    scores: Iterable[ImageScore],
    *,
    model: str = "",
    release: str = "",
    split: str = "",
    rasterizer: str = "coco",
    encoder: str | None = None,
    seed: int = 0,
    rounds: int = ROUNDS,
) -> Evaluation:
    """All figures of the scores, which may come in any order from any shards.

    What a model never does (name categories, write text, give probabilities) has no figures instead of bad
    ones. model, release, split, rasterizer, encoder: for the reader. Raises `SynthScarsError` if
    `faster-coco-eval` is not installed.
    """
    listed = ordered(scores)
    silent = _silent(listed)
    judged = [score for score in listed if score.judged]

    def value(name: str) -> float | None:
        return None if name in silent else value_of(name, listed)

    wanted = {name: STATISTICS[name] for name in HEADLINE if name not in silent}
    ranges = intervals(listed, wanted, seed, rounds) if rounds else {}
    precisions = mask_ap(judged)
    names_categories = "category_accuracy" not in silent
    by_category = _by_category(judged, precisions, names_categories)
    qualities = [each.pq for each in by_category.values() if each.pq is not None and each.regions]
    return Evaluation(
        model=model,
        release=release,
        split=split,
        rasterizer=rasterizer,
        encoder=encoder,
        seed=seed,
        rounds=rounds,
        level=LEVEL,
        images=Images(
            total=len(listed),
            judged=len(judged),
            with_artifacts=sum(map(with_artifacts, listed)),
            clean=sum(map(is_clean, listed)),
            answered=sum(score.predicted for score in listed),
        ),
        headline={name: Figure(value(name), *(ranges.get(name) or ())) for name in HEADLINE},
        localization=_localization(listed),
        by_content_type={
            name: _localization([score for score in judged if score.content_type == name])
            for name in _in_order((s.content_type for s in judged), load_taxonomy().content_type_ids)
        },
        by_category=by_category,
        clean=Clean(
            images=sum(map(is_clean, listed)),
            false_alarms=sum(is_clean(score) and score.pixels.predicted > 0 for score in listed),
            false_alarm_rate=value("false_alarm_rate"),
            area=value("false_alarm_area"),
        ),
        instances=Instances(
            regions=sum(len(score.truth) for score in judged),
            predicted=sum(len(score.found) for score in judged),
            matched=sum(len(score.matches) for score in judged),
            **{name: value(name) for name in ("precision", "recall", "matched_iou", "pq", "sq", "rq")},
            pq_categories=sum(qualities) / len(qualities) if qualities and names_categories else None,
            ap_any=precisions["any"],
            ap=precisions["all"] if names_categories else Precision(),
        ),
        labels=Labels(
            category_accuracy=value("category_accuracy"),
            subtype_accuracy=value("subtype_accuracy"),
            confusion=_confusion(judged) if names_categories else {},
        ),
        text=Text(**{name: value(name) for name in Text.__struct_fields__}),
        detection=_detection(listed, value),
    )


def _silent(scores: Sequence[ImageScore]) -> set[str]:
    """Figures about what the model never says."""
    silent: set[str] = set()
    if not any(region.category is not None for score in scores for region in score.found):
        silent.add("category_accuracy")
    if not any(region.subtype is not None for score in scores for region in score.found):
        silent.add("subtype_accuracy")
    if not any(score.answered for score in scores):
        silent |= {"rouge_l", "css", "clean_rouge_l", "clean_css"}
    if all(score.synthetic is None for score in scores):
        silent |= {name for name in STATISTICS if name.startswith("detection_")}
    if len({score.origin for score in scores}) < 2:
        silent.add("detection_ap")  # where all are generated, any ranking is perfect
    return silent


def _in_order(names: Iterable[str], known: Sequence[str]) -> list[str]:
    """The names that occur: known ones first, in their order."""
    order = {name: place for place, name in enumerate(known)}
    return sorted(set(names), key=lambda name: (order.get(name, len(order)), name))


def _localization(scores: Sequence[ImageScore]) -> Localization:
    return Localization(
        images=sum(map(with_artifacts, scores)),
        per_image=Overlap(*(value_of(name, scores) for name in OVERLAPS)),
        pooled=Overlap(*(value_of(f"pooled_{name}", scores) for name in OVERLAPS)),
    )


def _by_category(
    judged: Sequence[ImageScore], precisions: dict[str, Precision], named: bool
) -> dict[str, Category]:
    found = {}
    known = load_taxonomy().category_ids
    for name in _in_order((name for score in judged for name in score.categories if name in known), known):
        empty = {score.image_id: _nothing(score) for score in judged if name not in score.categories}
        parts = [score.categories.get(name) or empty[score.image_id] for score in judged]
        # As if the images held this category alone.
        alone = [
            msgspec.structs.replace(score, pixels=part.pixels)
            for score, part in zip(judged, parts, strict=True)
        ]
        own = _localization(alone)
        pixels = sum(part.pixels.true for part in parts)
        regions = sum(region.category == name for score in judged for region in score.truth)
        quality = {
            each: value_of(_category_quality(each, name), judged) if named else None
            for each in ("pq", "sq", "rq")
        }
        found[name] = Category(
            images=own.images,
            regions=regions,
            predicted=sum(r.category == name for s in judged for r in s.found) if named else None,
            per_image=own.per_image if named else Overlap(),
            pooled=own.pooled if named else Overlap(),
            covered=sum(part.covered for part in parts) / pixels if pixels else None,
            found=sum(part.found for part in parts) / regions if regions else None,
            **quality,
            ap=precisions[name] if named else Precision(),
        )
    return found


def _nothing(score: ImageScore) -> CategoryScore:
    return CategoryScore(pixels=type(score.pixels).of(0, 0, 0, score.width * score.height))


def _category_quality(figure: str, category: str) -> Statistic:
    nothing = CategoryScore(pixels=ImageScore(image_id="", width=1, height=1).pixels)
    return quality_of(figure, lambda score: score.categories.get(category, nothing).quality)


def _confusion(judged: Sequence[ImageScore]) -> dict[str, dict[str, int]]:
    counts = Counter(
        (score.truth[each.true].category or UNKNOWN, score.found[each.found].category or UNKNOWN)
        for score in judged
        for each in score.matches
    )
    known = load_taxonomy().category_ids
    names = [_in_order((pair[place] for pair in counts), known) for place in (0, 1)]
    return {
        true: {found: counts[true, found] for found in names[1] if counts[true, found]} for true in names[0]
    }


def _detection(scores: Sequence[ImageScore], value: Callable[[str], float | None]) -> Detection:
    real = [score for score in scores if score.origin == "real"]
    synthetic = [score for score in scores if score.origin == "synthetic"]
    says = any(score.synthetic is not None for score in scores)
    by_generator = {}
    for name in sorted({score.generator for score in synthetic}) if says else ():
        own = [score for score in synthetic if score.generator == name]
        by_generator[name] = Generator(
            images=len(own),
            accuracy=value_of("detection_accuracy", own),
            ap=value_of("detection_ap", [*own, *real]) if real else None,
            auroc=value_of("detection_auroc", [*own, *real]),
        )
    return Detection(
        synthetic=len(synthetic),
        real=len(real),
        undecided=sum(score.synthetic is None for score in scores),
        accuracy=value("detection_accuracy"),
        balanced=value("detection_balanced"),
        real_accuracy=value_of("detection_accuracy", real) if says else None,
        ap=value("detection_ap"),
        auroc=value("detection_auroc"),
        by_generator=by_generator,
    )
