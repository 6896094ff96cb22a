"""The pictures of a card: what there is of what, how large, where, how well raters agree, and examples.

Everything comes from `Totals`, and the same totals give the same bytes. Every picture has a text that says
what can be seen in it, for those who cannot see it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from synthscars.files import atomic_file
from synthscars.plotting import FAINT, GREY, INK, SHADES, layout, plain, plotting, save_png, title
from synthscars.records import ImageRecord
from synthscars.release.agreement import AgreementReport, Measure, RegionAgreement
from synthscars.release.examples import example_sheet
from synthscars.release.totals import UNKNOWN, Totals
from synthscars.taxonomy import load_taxonomy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIGURES = "figures"
"""Folder of a release."""

Picture = Callable[[str], bytes | None]
"""Original bytes of an image by its id; None if they are not at hand."""

_MOST_EXAMPLES = 6
_QUALITY = 88
_LONGEST_NAME = 70
_BINS_PER_DECADE = 8


class Shown(NamedTuple):
    """A picture in the folder of figures. alt: what can be seen; caption: what it means."""

    name: str
    alt: str
    caption: str


def write_figures(
    folder: Path, name: str, splits: Sequence[str], totals: Totals, picture: Picture | None = None
) -> list[Shown]:
    """Write the pictures of a release into its `figures/` and say what they show.

    name: of the release, for the titles. A picture of which there is nothing to show is left out.
    """
    name = _drawable(name)[:_LONGEST_NAME]
    shown = []
    examples = example_sheet(totals.pictures(_MOST_EXAMPLES), picture) if picture else None
    if examples is not None:
        sheet, records = examples
        with atomic_file(folder / FIGURES / "examples.jpg") as file:
            sheet.save(file, "JPEG", quality=_QUALITY, optimize=False)
        shown.append(_about_examples(records))
    with plotting():
        for plot in (plot_composition, plot_sizes, plot_places, plot_agreement):
            found = plot(name, splits, totals)
            if found is None:
                continue
            figure, about = found
            with atomic_file(folder / FIGURES / about.name) as file:
                save_png(figure, file)
            shown.append(about)
    return shown


def _drawable(name: str) -> str:
    """The name without signs that the font does not have, which would be boxes; the version is left."""
    from matplotlib.font_manager import findfont, get_font

    font = get_font(findfont("DejaVu Sans"))
    line = " ".join(name.split())
    kept = "".join(each for each in line if each.isprintable() and font.get_char_index(ord(each)))
    return " ".join(kept.split())


# Plots

_Plot = tuple["Figure", Shown] | None


def plot_composition(name: str, splits: Sequence[str], totals: Totals) -> _Plot:
    """Artifacts by category and images by content type, shaded by split."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    if not totals.images:
        return None
    taxonomy = load_taxonomy()
    categories = [(each.id, each.name, each.color) for each in taxonomy.categories]
    contents = [(each.id, each.name, FAINT) for each in taxonomy.content_types]
    panels = [
        ("category", "artifacts", [*categories, (UNKNOWN, "Unknown", GREY)]),
        ("content_type", "images", [*contents, (UNKNOWN, "Unknown", GREY)]),
    ]
    panels = [
        (kind, noun, [bar for bar in bars if bar[0] != UNKNOWN or totals.of(kind, UNKNOWN)])
        for kind, noun, bars in panels
    ]
    figure = Figure(figsize=(9, 4.6), layout=layout())
    axes: list[Axes] = list(figure.subplots(2, 1, height_ratios=[len(bars) for _, _, bars in panels]))
    title(
        axes[0],
        "What there is",
        f"{name}: {totals.artifacts.total():,} artifacts, {totals.images.total():,} images",
    )
    for panel, (kind, noun, bars) in zip(axes, panels, strict=True):
        most = max(totals.of(kind, label) for label, _, _ in bars)
        for y, (label, _, color) in enumerate(bars):
            left = 0
            for split, shade in zip(splits, SHADES, strict=False):
                count = totals.of(kind, label, split)
                panel.barh(y, count, left=left, height=0.72, color=color, alpha=shade, linewidth=0)
                left += count
            panel.annotate(
                f"{left:,}", (left, y), xytext=(4, 0), textcoords="offset points", va="center", color=INK
            )
        panel.set_yticks(range(len(bars)), [text for _, text, _ in bars])
        panel.set_ylim(len(bars) - 0.5, -0.5)
        panel.set_xlim(0, max(most, 1) * 1.1)
        panel.set_xlabel(f"number of {noun}")
        _whole(panel, "x")
        plain(panel)
        panel.tick_params(axis="y", length=0)
    shades = [
        Patch(facecolor=INK, alpha=shade, label=split) for split, shade in zip(splits, SHADES, strict=False)
    ]
    axes[0].legend(handles=shades, loc="lower right", bbox_to_anchor=(1, 1), ncols=len(shades), frameon=False)
    counts = "; ".join(
        ", ".join(f"{text} {totals.of(kind, label):,}" for label, text, _ in bars) + f" ({noun})"
        for kind, noun, bars in panels
    )
    return figure, Shown(
        "composition.png",
        f"Bar charts by split. {counts}.",
        "Artifacts by category and images by content type; the shade is the split.",
    )


def plot_sizes(name: str, splits: Sequence[str], totals: Totals) -> _Plot:
    """Artifacts per image, and the share of the image that a region covers, on a log scale."""
    import numpy as np
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    per_image, shares = totals.spreads["artifacts per image"], totals.regions.share
    known = [spread for spread in shares.values() if spread.count and spread.least > 0]
    if not known:
        return None
    figure = Figure(figsize=(9, 5.2), layout=layout())
    above, below = figure.subplots(2, 1)
    title(above, "How many, how large", f"{name}: {totals.artifacts.total():,} artifacts")
    last = max(1, min(int(per_image.quantile(0.99)), 30))
    counts = [sum(n for value, n in per_image.bins.items() if value == k) for k in range(last)]
    counts.append(per_image.count - sum(counts))
    above.bar(range(last + 1), counts, width=0.8, color=FAINT, linewidth=0)
    names = [str(k) for k in range(last)] + [f"{last}+" if per_image.most > last else str(last)]
    above.set_xticks(range(last + 1), names)
    above.set_xlabel("artifacts per image")
    above.set_ylabel("images")
    _whole(above, "y")
    plain(above)

    lowest = math.floor(math.log10(min(spread.least for spread in known)))
    highest = max(lowest + 1, math.ceil(math.log10(max(spread.most for spread in known))))
    edges = np.logspace(lowest, highest, (highest - lowest) * _BINS_PER_DECADE + 1)
    bottom = np.zeros(len(edges) - 1)
    for label, text, color in _categories():
        spread = shares[label]
        if spread.count:
            values, weights = zip(*sorted(spread.bins.items()), strict=True)
            heights, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges, weights=weights)
            below.bar(
                edges[:-1],
                heights,
                np.diff(edges),
                bottom,
                align="edge",
                color=color,
                edgecolor="white",
                linewidth=0.6,
                label=f"{text}, median {100 * spread.quantile(0.5):.2g} %",
            )
            bottom += heights
    below.set_xscale("log")
    below.set_xlim(edges[0], edges[-1])
    below.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    below.set_xlabel("area of the region, share of the image (log scale)")
    below.set_ylabel("artifacts")
    _whole(below, "y")
    below.legend(frameon=False, loc="upper left")
    plain(below)
    medians = ", ".join(
        f"{text} {100 * shares[label].quantile(0.5):.2g} %"
        for label, text, _ in _categories()
        if shares[label].count
    )
    return figure, Shown(
        "sizes.png",
        f"Two histograms. Artifacts per image: median {per_image.quantile(0.5):g}, at most "
        f"{per_image.most:g}. Median share of the image that a region covers: {medians}.",
        "Artifacts per image, and how much of its image a region covers.",
    )


def plot_places(name: str, splits: Sequence[str], totals: Totals) -> _Plot:
    """Where in the picture artifacts lie: share of the images that have one there."""
    from matplotlib.figure import Figure

    heat, images = totals.regions.heat, totals.of("status", "annotated")
    if not heat.any() or not images:
        return None
    share = 100 * heat / images
    figure = Figure(figsize=(9, 5), layout=layout())
    axes = figure.subplots()
    title(axes, "Where artifacts lie", f"{name}: {images:,} images with artifacts")
    map = axes.imshow(share, cmap="magma_r", vmin=0, aspect="auto", interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color(FAINT)
    bar = figure.colorbar(map, ax=axes, shrink=0.9)
    bar.set_label("images with an artifact there, %")
    bar.outline.set_visible(False)
    row, column = divmod(int(heat.argmax()), heat.shape[1])
    place = (
        f"{_third(row, heat.shape[0], 'upper', 'lower')}, {_third(column, heat.shape[1], 'left', 'right')}"
    )
    return figure, Shown(
        "places.png",
        f"Map of the picture plane; most images, {share.max():.1f} %, have an artifact here: {place}.",
        "Where artifacts lie: all pictures drawn over each other, whatever their size.",
    )


def _third(index: int, count: int, first: str, last: str) -> str:
    return f"{first} third" if 3 * index < count else f"{last} third" if 3 * index >= 2 * count else "middle"


def plot_agreement(name: str, splits: Sequence[str], totals: Totals) -> _Plot:
    """Every figure of agreement with its interval, and those of the categories below them."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    report = totals.agreement.report()
    rows = [(text, measure, parts) for text, measure, parts in _measures(report) if measure]
    if not rows:
        return None
    figure = Figure(figsize=(9, 0.55 * len(rows) + 1.9), layout=layout())
    axes = figure.subplots()
    title(
        axes,
        "How well raters agree",
        f"{name}: {report.images:,} images with several raters, {report.raters:,} raters",
    )
    colors = {label: color for label, _, color in _categories()}
    lowest = 0.0
    for y, (_, measure, parts) in enumerate(rows):
        shift = -0.14 if parts else 0.0
        _dot(axes, measure, y + shift, INK, 8)
        lowest = min(lowest, measure.value, *(each for each in (measure.low,) if each is not None))
        for number, (label, part) in enumerate(parts.items()):
            _dot(axes, part, y + 0.12 + 0.13 * number, colors[label], 4.5)
    axes.set_yticks(range(len(rows)), [text for text, _, _ in rows])
    axes.set_ylim(len(rows) - 0.3, -0.6)
    axes.set_xlim(lowest - 0.02, 1.02)
    axes.grid(axis="x", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("1: they agree fully (line: 95 % interval)")
    plain(axes)
    axes.tick_params(axis="y", length=0)
    used = {label for _, _, parts in rows for label in parts}
    axes.legend(
        handles=[
            Line2D([], [], color=color, marker="o", linestyle="", markersize=5, label=text)
            for label, text, color in (("", "All", INK), *_categories())
            if not label or label in used
        ],
        loc="best",
        frameon=False,
        handletextpad=0.2,
    )
    values = ", ".join(f"{text} {measure.value:.2f}" for text, measure, _ in rows)
    return figure, Shown(
        "agreement.png",
        f"Dots on a scale that ends at 1. {values}.",
        "Agreement between raters; the table says what each figure means.",
    )


def _measures(
    report: AgreementReport,
) -> list[tuple[str, Measure | None, dict[str, Measure]]]:
    def parts(pick: Callable[[RegionAgreement], Measure | None]) -> dict[str, Measure]:
        found = {label: pick(regions) for label, regions in report.by_category.items()}
        return {label: measure for label, measure in found.items() if measure}

    return [
        ("Clean or annotated", report.status, {}),
        ("Regions both drew (F1)", report.regions.found, parts(lambda each: each.found)),
        ("IoU of these", report.regions.iou, parts(lambda each: each.iou)),
        ("Panoptic quality", report.quality, {}),
        ("Pixels (Dice)", report.regions.dice, parts(lambda each: each.dice)),
        ("Same category", report.category, {}),
        ("Category, kappa", report.kappa, {}),
    ]


def _dot(axes: Axes, measure: Measure, y: float, color: str, size: float) -> None:
    if measure.low is not None and measure.high is not None:
        axes.plot([measure.low, measure.high], [y, y], color=color, linewidth=size / 3.5)
    axes.plot([measure.value], [y], marker="o", color=color, markersize=size)


def _categories() -> list[tuple[str, str, str]]:
    return [
        *((each.id, each.name, each.color) for each in load_taxonomy().categories),
        (UNKNOWN, "Unknown", GREY),
    ]


def _whole(axes: Axes, which: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(MaxNLocator(nbins=5, integer=True, min_n_ticks=1))


def _about_examples(records: Sequence[ImageRecord]) -> Shown:
    phrases = [artifact.phrase.strip() for record in records for artifact in record.artifacts[:1]]
    named = "; ".join(phrase[:60] for phrase in phrases if phrase)
    return Shown(
        "examples.jpg",
        f"{len(records)} pictures with their artifacts outlined and named"
        + (f": {named}." if named else "."),
        "Examples, chosen by chance: one of each subtype, as far as there are any.",
    )
