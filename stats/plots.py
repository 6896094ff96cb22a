"""Pictures of a release: which artifacts there are, and how large they are.

The same tables give the same PNG bytes. Categories have the taxonomy's colours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from synthscars.files import atomic_file
from synthscars.plotting import FAINT, GREY, INK, SHADES, layout, plain, plotting, save_png, title
from synthscars.stats.summary import UNKNOWN
from synthscars.stats.tables import Tables
from synthscars.taxonomy import load_taxonomy

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BINS_PER_DECADE = 8


class _Bar(NamedTuple):
    category: str
    category_name: str
    subtype: str
    subtype_name: str
    color: str


def save_plots(tables: Tables, folder: Path) -> list[Path]:
    """Write `artifacts_by_subtype.png` and `region_sizes.png` into a folder and return their paths."""
    plots: dict[str, Callable[[Tables], Figure]] = {
        "artifacts_by_subtype": plot_subtypes,
        "region_sizes": plot_sizes,
    }
    with plotting():
        for name, draw in plots.items():
            with atomic_file(folder / f"{name}.png") as file:
                save_png(draw(tables), file)
    return [folder / f"{name}.png" for name in plots]


def plot_subtypes(tables: Tables) -> Figure:
    """Number of artifacts of each subtype: bars in the colour of the category, shaded by split."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch
    from matplotlib.ticker import MaxNLocator

    frame = _named(tables.artifacts)
    counts = frame.groupby(["category", "subtype", "split"]).size().to_dict()
    bars = list(_bars(frame))
    figure = Figure(figsize=(9, 0.36 * len(bars) + 2.4), layout=layout())
    axes = figure.subplots()
    _title(axes, "Artifacts by subtype", tables)

    ticks: dict[float, str] = {}
    most = max(frame.groupby(["category", "subtype"]).size(), default=0)
    y = 0.0
    for _, group in groupby(bars, key=lambda bar: bar.category):
        members = list(group)
        axes.annotate(
            members[0].category_name,
            (0, y),
            xytext=(2, 0),
            textcoords="offset points",
            va="center",
            color=INK,
            weight="bold",
        )
        for bar in members:
            y += 1
            left = 0
            for split, shade in zip(tables.splits, SHADES, strict=False):
                count = int(counts.get((bar.category, bar.subtype, split), 0))
                axes.barh(y, count, left=left, height=0.74, color=bar.color, alpha=shade, linewidth=0)
                left += count
            axes.annotate(
                f"{left:,}", (left, y), xytext=(4, 0), textcoords="offset points", va="center", color=INK
            )
            ticks[y] = bar.subtype_name
        y += 1.2
    axes.set_yticks(list(ticks), list(ticks.values()))
    axes.set_ylim(y - 0.5, -0.6)
    axes.set_xlim(0, max(most, 1) * 1.1)
    axes.set_xlabel("number of artifacts")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    plain(axes)
    axes.tick_params(axis="y", length=0)
    shades = [
        Patch(facecolor=INK, alpha=shade, label=split)
        for split, shade in zip(tables.splits, SHADES, strict=False)
    ]
    axes.legend(
        handles=shades,
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=len(shades),
        frameon=False,
        handlelength=1.2,
        columnspacing=1.2,
    )
    return figure


def plot_sizes(tables: Tables) -> Figure:
    """Share of the image that each region covers, on a log scale: one histogram per category, with its
    median."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    frame = _named(tables.artifacts)
    frame = frame[frame["area_share"] > 0]
    categories = {bar.category: bar for bar in _bars(frame) if (frame["category"] == bar.category).any()}
    figure = Figure(figsize=(9, 1.7 * max(len(categories), 1) + 1.5), layout=layout())
    panels: list[Axes] = list(figure.subplots(max(len(categories), 1), 1, sharex=True, squeeze=False)[:, 0])
    _title(panels[0], "Region sizes", tables)
    if frame.empty:
        panels[0].annotate("no artifacts", (0.5, 0.5), xycoords="axes fraction", ha="center", color=FAINT)
        panels[0].set_axis_off()
        return figure

    lowest = int(np.floor(np.log10(frame["area_share"].min())))
    highest = max(lowest + 1, int(np.ceil(np.log10(frame["area_share"].max()))))
    edges = np.logspace(lowest, highest, (highest - lowest) * _BINS_PER_DECADE + 1).tolist()
    for axes, (category, bar) in zip(panels, categories.items(), strict=True):
        shares = frame.loc[frame["category"] == category, "area_share"].to_numpy()
        axes.hist(shares, bins=edges, color=bar.color, alpha=0.75, edgecolor="white", linewidth=0.6)
        median = float(np.median(shares))
        axes.axvline(median, color=INK, linewidth=1.4)
        right = np.log10(median) < lowest + 0.75 * (highest - lowest)
        axes.annotate(
            f"median {100 * median:.3g} %",
            (median, 1),
            xycoords=("data", "axes fraction"),
            xytext=(5 if right else -5, -4),
            textcoords="offset points",
            ha="left" if right else "right",
            va="top",
            color=INK,
        )
        axes.set_ylabel("artifacts")
        axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
        axes.margins(y=0.28)
        axes.annotate(
            f"{bar.category_name} ({len(shares):,})",
            (0.005, 0.97),
            xycoords="axes fraction",
            va="top",
            color=INK,
            weight="bold",
        )
        plain(axes)
    panels[-1].set_xscale("log")
    panels[-1].set_xlim(edges[0], edges[-1])
    panels[-1].xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    panels[-1].set_xlabel("area of the region, share of the image (log scale)")
    return figure


def _named(artifacts: pd.DataFrame) -> pd.DataFrame:
    """The artifacts with `unknown` for what is not known, so that it can be grouped like the rest."""
    return artifacts.assign(
        category=artifacts["category"].astype(object).fillna(UNKNOWN),
        subtype=artifacts["subtype"].astype(object).fillna(UNKNOWN),
    )


def _bars(artifacts: pd.DataFrame) -> Iterator[_Bar]:
    """Every subtype of the taxonomy, then whatever else the release has, category by category."""
    taxonomy = load_taxonomy()
    found = {(str(a), str(b)) for a, b in zip(artifacts["category"], artifacts["subtype"], strict=True)}
    for category in taxonomy.categories:
        subtypes = {subtype.id: subtype.name for subtype in taxonomy.subtypes_of(category.id)}
        others = sorted(name for owner, name in found if owner == category.id and name not in subtypes)
        for id, name in [*subtypes.items(), *((name, name) for name in others)]:
            yield _Bar(category.id, category.name, id, name, category.color)
    for owner, name in sorted(found):
        if owner not in taxonomy.category_ids:
            yield _Bar(owner, f"Category {owner}", name, name, GREY)


def _title(axes: Axes, text: str, tables: Tables) -> None:
    name = f"{tables.name} {tables.version}".strip()
    title(axes, text, f"{name}: {len(tables.images):,} images, {len(tables.artifacts):,} artifacts")
