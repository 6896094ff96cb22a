"""The sections of the card that tell how the annotations came about and how well the raters agree."""

from __future__ import annotations

from collections.abc import Sequence

from synthscars.release.agreement import FEWEST_IMAGES, AgreementReport, Measure
from synthscars.release.manifest import Manifest
from synthscars.release.markdown import markdown_table, number
from synthscars.release.totals import Totals


def annotated_here(manifest: Manifest) -> bool:
    """Whether raters' answers were merged on the way into this release, or came merged from elsewhere."""
    return "min_iou" in manifest.settings


def annotation(manifest: Manifest, totals: Totals) -> str:
    """How the annotations came about: here, or, if nothing was merged, somewhere else."""
    raters = len(totals.raters)
    looked = sorted((int(label), images) for label, images in totals.values("raters"))
    per_image = "; ".join(
        f"{number(images, 'image')} by {number(count, 'rater') if count else 'raters unknown'}"
        for count, images in looked
    )
    if not annotated_here(manifest):
        who = f"{number(raters, 'rater')} took part; {per_image}." if raters else "No rater is named."
        return (
            "## Annotation\n\n"
            "The annotations were converted from another format, whose source has to tell how they were "
            f"made. {who} Where several raters' answers had been merged before, `votes` and `agreement` of "
            "an artifact say how many drew it and how well they agree; what each rater answered about the "
            "whole image is in `reviews`."
        )
    text = (
        "## Annotation\n\n"
        "Raters draw regions as polygons in Label Studio, following a [guideline](GUIDELINE.md). For each "
        "they are asked for a category, a subtype, a phrase that names the place and a sentence that says "
        "why; for each image for a content type, a scene sentence, and whether no artifact is visible.\n\n"
        f"{number(raters, 'rater')} took part; {per_image}. Where several raters judged an image, "
        f"regions of one category with a mask IoU of at least {manifest.settings['min_iou']:g} count as one "
        "artifact, and an artifact is in the release if more than half of the raters drew it, or an "
        "adjudicator confirmed it; outline and texts are those of the rater who agrees best with the others. "
        "What each rater answered about the whole image is in `reviews`."
    )
    merged = totals.spreads["agreement"]
    if merged.count:
        text += (
            f" Over the {number(merged.count, 'artifact')} that more than one rater drew, the "
            f"mean mask IoU with the other raters is {merged.mean:.3f}."
        )
    return text


_MEANINGS = {
    "status": ("clean or annotated", "share of the images of which all raters say the same"),
    "found": (
        "regions both drew (F1)",
        "of the regions that one of two raters drew, how many the other drew too: "
        "mask IoU of 0.5 or more, whatever the category",
    ),
    "iou": ("IoU of these", "mean mask IoU of the regions that both drew"),
    "quality": ("panoptic quality", "the two above multiplied"),
    "dice": (
        "pixels (Dice)",
        "twice the pixels that both marked by all that each marked; mean over pairs of raters",
    ),
    "category": ("same category", "of the regions that both drew, how many have one category"),
    "kappa": ("category, kappa", "the same corrected for chance (Cohen): 0 is what guessing gives"),
}


def agreement(report: AgreementReport) -> str:
    """What is known about the agreement between raters, with how little or much that rests on."""
    if not report.images:
        return (
            "## Agreement\n\nNo image has answers of more than one rater whose names are known, so nothing "
            "can be said about how well raters agree."
        )
    measures: dict[str, Measure | None] = {
        "status": report.status,
        "found": report.regions.found,
        "iou": report.regions.iou,
        "quality": report.quality,
        "dice": report.regions.dice,
        "category": report.category,
        "kappa": report.kappa,
    }
    rows = [
        [_MEANINGS[name][0], *_figures(measure), _MEANINGS[name][1]]
        for name, measure in measures.items()
        if measure
    ]
    text = (
        f"## Agreement\n\n{number(report.raters, 'rater')} judged {number(report.images, 'image')} of which "
        "each has answers of two or more; these are compared before anything is merged"
    )
    if report.drawn_images:
        text += (
            f". What each drew is known of {number(report.drawn_images, 'image')}, "
            f"{number(report.pairs, 'pair')} of raters"
        )
    text += ". 1 means that they agree fully.\n\n"
    text += markdown_table(["", "value", "95 %", "images", "means"], rows)
    by_category = [
        [name, *(_value(measure) for measure in (found.found, found.iou, found.dice))]
        for name, found in report.by_category.items()
        if found.found
    ]
    if by_category:
        heads = [_MEANINGS[name][0] for name in ("found", "iou", "dice")]
        text += "\n\nBy category; here the other rater must have chosen it too:\n\n" + markdown_table(
            ["", *heads], by_category
        )
    if report.images < FEWEST_IMAGES:
        return text + (
            f"\n\nFewer than {FEWEST_IMAGES} images say little: other images of the kind may give quite "
            "other figures."
        )
    return text + (
        "\n\nThe interval is a bootstrap over images: what other images of the kind, judged by the same "
        f"raters, would give. A figure that rests on fewer than {FEWEST_IMAGES} images has none."
    )


def _figures(measure: Measure) -> Sequence[str]:
    known = measure.low is not None and measure.high is not None
    return (
        _value(measure),
        f"{measure.low:.2f}–{measure.high:.2f}" if known else "",
        f"{measure.images:,}",
    )


def _value(measure: Measure | None) -> str:
    return "" if measure is None else f"{measure.value:.2f}"
