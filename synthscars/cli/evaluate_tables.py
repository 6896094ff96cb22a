"""An evaluation as tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.table import Table
from rich.text import Text

from synthscars.metrics.evaluation import Evaluation, Figure, Overlap
from synthscars.metrics.robustness import COMPARED, Change, Comparison
from synthscars.shown import visible

_NAMES = {
    "fg_iou": "foreground IoU",
    "bg_iou": "background IoU",
    "miou": "mIoU (mean of both)",
    "f1": "F1",
}
_TEXTS = {
    "rouge_l": "ROUGE-L of the caption",
    "css": "CSS of the caption",
    "clean_rouge_l": "ROUGE-L on clean images",
    "clean_css": "CSS on clean images",
    "phrase_rouge_l": "ROUGE-L of phrases",
    "explanation_rouge_l": "ROUGE-L of explanations",
    "region_css": "CSS of regions",
}
NONE = "–"


def tables(found: Evaluation) -> Iterator[Table]:
    """All tables, in the order in which they are read."""
    yield _overall(found)
    yield _groups(found)
    if found.by_category:
        yield _categories(found)
    yield _regions(found)
    yield _texts(found)
    if found.detection.accuracy is not None:
        yield _detection(found)


def _table(title: str, first: str, columns: Iterable[str]) -> Table:
    columns = list(columns)
    table = Table(title=Text(title), title_justify="left", show_header=any(columns))
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def percent(value: float | None) -> str:
    """A share in percent, without the sign."""
    return NONE if value is None else f"{100 * value:.1f}"


def _with_interval(figure: Figure) -> str:
    if figure.value is None or figure.low is None or figure.high is None:
        return percent(figure.value)
    return f"{percent(figure.value)}  [{percent(figure.low)}, {percent(figure.high)}]"


def _overall(found: Evaluation) -> Table:
    images = found.images
    title = f"{visible(found.model)} on {visible(found.release)}, split {visible(found.split)}"
    counts = f"{images.with_artifacts:,} images with artifacts, {images.clean:,} clean"
    others = images.total - images.judged
    if others:
        counts += f", {others:,} for detection alone"
    if images.answered < images.total:
        counts += f"; {images.total - images.answered:,} without an answer"
    table = _table(
        f"{title}\n{counts}\nin percent, with 95 % intervals; rasterizer {found.rasterizer}",
        "localization",
        ("mean per image", "pooled"),
    )
    for name, shown in _NAMES.items():
        table.add_row(
            shown, _with_interval(found.headline[name]), _with_interval(found.headline[f"pooled_{name}"])
        )
    table.add_section()
    table.add_row("false alarms on clean images", _with_interval(found.headline["false_alarm_rate"]), "")
    return table


def _overlap(overlap: Overlap) -> list[str]:
    return [percent(getattr(overlap, name)) for name in _NAMES]


def _groups(found: Evaluation) -> Table:
    columns = [
        "images",
        *(f"{name}{where}" for where in ("", " pooled") for name in ("FG", "BG", "mIoU", "F1")),
    ]
    table = _table("By content type", "content type", columns)
    for name, group in found.by_content_type.items():
        table.add_row(
            Text(visible(name)), f"{group.images:,}", *_overlap(group.per_image), *_overlap(group.pooled)
        )
    return table


def _categories(found: Evaluation) -> Table:
    columns = (
        "images",
        "regions",
        "predicted",
        "FG",
        "F1",
        "FG pooled",
        "F1 pooled",
        "covered",
        "found",
        "PQ",
        "AP",
    )
    table = _table("By category", "category", columns)
    for name, each in found.by_category.items():
        table.add_row(
            Text(visible(name)),
            f"{each.images:,}",
            f"{each.regions:,}",
            NONE if each.predicted is None else f"{each.predicted:,}",
            *map(percent, (each.per_image.fg_iou, each.per_image.f1, each.pooled.fg_iou, each.pooled.f1)),
            *map(percent, (each.covered, each.found, each.pq, each.ap.ap)),
        )
    return table


def _rows(table: Table, rows: Sequence[tuple[str, str]]) -> Table:
    for row in rows:
        table.add_row(*row)
    return table


def _regions(found: Evaluation) -> Table:
    regions, head = found.instances, found.headline
    counts = f"{regions.regions:,} true, {regions.predicted:,} predicted, {regions.matched:,} matched"
    return _rows(
        _table(f"Regions: {counts} at an IoU of 0.5 or more", "", ("",)),
        [
            ("precision", _with_interval(head["precision"])),
            ("recall", _with_interval(head["recall"])),
            ("mean IoU of matches", percent(regions.matched_iou)),
            ("PQ, whatever the category", _with_interval(head["pq"])),
            ("PQ, mean over categories", percent(regions.pq_categories)),
            ("mask AP, whatever the category", percent(regions.ap_any.ap)),
            ("  at IoU 0.50", percent(regions.ap_any.ap50)),
            ("mask AP, mean over categories", percent(regions.ap.ap)),
            ("  at IoU 0.50", percent(regions.ap.ap50)),
            ("category right on matches", _with_interval(head["category_accuracy"])),
            ("subtype right on matches", _with_interval(head["subtype_accuracy"])),
        ],
    )


def _texts(found: Evaluation) -> Table:
    encoder = f"; encoder of CSS: {visible(found.encoder)}" if found.encoder else ""
    table = _table(f"Texts{encoder}", "", ("",))
    for name, shown in _TEXTS.items():
        if found.encoder is None and "css" in name:
            continue
        figure = found.headline.get(name) or Figure(getattr(found.text, name))
        table.add_row(shown, _with_interval(figure))
    return table


def _detection(found: Evaluation) -> Table:
    detection = found.detection
    counts = f"{detection.synthetic:,} generated, {detection.real:,} real"
    if detection.undecided:
        counts += f", {detection.undecided:,} without a probability (wrong)"
    table = _table(f"Detection: {counts}", "generator", ("images", "accuracy", "AP", "AUROC"))
    head = found.headline
    table.add_row(
        "all",
        f"{detection.synthetic + detection.real:,}",
        *(_with_interval(head[f"detection_{name}"]) for name in ("accuracy", "ap", "auroc")),
    )
    if detection.real:
        table.add_row("both classes alike", "", _with_interval(head["detection_balanced"]), "", "")
        table.add_row("real images", f"{detection.real:,}", percent(detection.real_accuracy), "", "")
    table.add_section()
    for name, each in detection.by_generator.items():
        table.add_row(
            Text(visible(name)[:40]), f"{each.images:,}", *map(percent, (each.accuracy, each.ap, each.auroc))
        )
    return table


def comparison_table(comparisons: Sequence[Comparison], base: Evaluation) -> Table:
    """How much each figure changes, with the interval of the change."""
    figures = [name for name in COMPARED if any(each.figures[name].value is not None for each in comparisons)]
    table = _table("Against the predictions above: figure, change [95 % interval]", "predictions", figures)
    table.add_row(Text(visible(base.model)), *(percent(base.headline[name].value) for name in figures))
    table.add_section()
    for each in comparisons:
        table.add_row(Text(visible(each.name)), *(_change(each.figures[name]) for name in figures))
    return table


def _change(change: Change) -> str:
    if change.change is None:
        return percent(change.value)
    shown = f"{percent(change.value)}  {100 * change.change:+.1f}"
    if change.low is None or change.high is None:
        return shown
    return f"{shown} [{100 * change.low:+.1f}, {100 * change.high:+.1f}]"
