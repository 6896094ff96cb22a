"""The two plots of the page: the model beside the trivial answers, and how its training went."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from synthscars.plotting import FAINT, GREY, INK, layout, plain, plotting, save_png, title
from synthscars.verify.gate import GATED, METRICS
from synthscars.verify.result import Scored, Verification

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MODEL = "#0072B2"
OTHERS = {"trivial": GREY, "shuffled": "#D55E00", "human": "#009E73", "model": MODEL}
_LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#222222", "#8c8c8c")
_MOST_LINES = 8
_LONGEST = 200_000
"""Lines of a training log that are read."""


def as_png(draw: Callable[[], Figure]) -> str:
    """A plot as the address of a PNG, `data:image/png;base64,...`."""
    buffer = io.BytesIO()
    with plotting():
        save_png(draw(), buffer)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def plot_answers(found: Verification) -> Figure:
    """Every answer with its interval, one panel for each figure that the gate looks at."""
    from matplotlib.figure import Figure

    metrics = [name for name in GATED if any(name in each.figures for each in found.answers)]
    rows = {
        name: sorted(
            (each for each in found.answers if name in each.figures),
            key=lambda each: (each.figures[name].value or 0.0, each.name),
        )
        for name in metrics
    }
    heights = [max(len(rows[name]), 2) for name in metrics] or [2]
    figure = Figure(figsize=(8.6, 0.34 * sum(heights) + 1.25 * len(heights)), layout=layout())
    panels = figure.subplots(len(heights), 1, squeeze=False, gridspec_kw={"height_ratios": heights})
    for name, axes in zip(metrics, panels[:, 0], strict=False):
        for place, each in enumerate(rows[name]):
            _dot(axes, place, each, name)
        axes.set_yticks(range(len(rows[name])), [_label(each) for each in rows[name]])
        axes.set_ylim(-0.6, len(rows[name]) - 0.4)
        axes.set_xlim(0, 1)
        axes.grid(axis="x", color="#e3e3e3", linewidth=0.8)
        axes.set_axisbelow(True)
        plain(axes)
        axes.tick_params(axis="y", length=0)
        title(axes, METRICS[name], f"higher is better; lines: {found.thresholds.confidence:.0%} intervals")
    return figure


def _label(each: Scored) -> str:
    name = "the model" if each.kind == "model" else each.title
    return (name if len(name) <= 44 else f"{name[:43]}…").replace("$", r"\$")


def _dot(axes: Any, place: int, each: Scored, metric: str) -> None:
    figure = each.figures[metric]
    colour = OTHERS[each.kind]
    if figure.low is not None and figure.high is not None:
        axes.plot([figure.low, figure.high], [place, place], color=colour, linewidth=2, solid_capstyle="butt")
    axes.plot([figure.value], [place], "o", color=colour, markersize=6, clip_on=False)
    axes.annotate(
        f"{figure.value:.3f}",
        (max(figure.high or 0.0, figure.value or 0.0), place),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        color=INK,
        weight="bold" if each.kind == "model" else "normal",
        annotation_clip=False,
    )


# How training went


Curve = tuple[list[float], list[float]]


def read_curves(path: Path) -> dict[str, Curve]:
    """The numbers of a `training.jsonl`, by name: (steps or epochs, values). What is none is passed over.

    Where lines have both, the step counts.
    """
    found: dict[str, Curve] = {}
    with path.open("rb") as file:
        for number, line in enumerate(file):
            if number >= _LONGEST:
                break
            try:
                values = msgspec.json.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            if not isinstance(values, dict):
                continue
            x = next((values[key] for key in ("step", "epoch") if _is_number(values.get(key))), number)
            stage = values.get("stage")
            for name, value in _numbers(values):
                if name in ("step", "epoch", "seconds", "stage", "learning_rate", "grad_norm", "lr"):
                    continue
                shown = f"{name} ({stage})" if isinstance(stage, str) and len(stage) < 20 else name
                xs, ys = found.setdefault(shown, ([], []))
                xs.append(float(x))
                ys.append(float(value))
    return {name: curve for name, curve in found.items() if len(curve[0]) > 1}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _numbers(values: dict[str, Any], before: str = "") -> list[tuple[str, float]]:
    found = []
    for name, value in values.items():
        if _is_number(value):
            found.append((f"{before}{name}", value))
        elif isinstance(value, dict) and not before:
            found += _numbers(value, f"{name}.")
    return found


def plot_curves(curves: dict[str, Curve], below: str) -> Figure:
    """Losses in one panel, everything else in the other."""
    from matplotlib.figure import Figure

    losses = [name for name in curves if "loss" in name]
    others = [name for name in curves if name not in losses]
    groups = [(kind, names) for kind, names in (("Losses", losses), ("Metrics", others)) if names]
    figure = Figure(figsize=(8.6, 3.3 * len(groups)), layout=layout())
    panels = figure.subplots(len(groups), 1, squeeze=False)
    for (kind, names), axes in zip(groups, panels[:, 0], strict=True):
        _lines(axes, {name: curves[name] for name in names[:_MOST_LINES]})
        if kind == "Losses":
            axes.set_yscale("log")
        more = f"; {len(names) - _MOST_LINES} more are not shown" if len(names) > _MOST_LINES else ""
        title(axes, kind, below + more)
        axes.set_xlabel("step or epoch", color=FAINT)
        plain(axes)
        axes.grid(color="#ececec", linewidth=0.8)
    return figure


def _lines(axes: Any, curves: dict[str, Curve]) -> None:
    for number, (name, (xs, ys)) in enumerate(curves.items()):
        marker = "o" if len(xs) < 40 else None
        label = name.replace("$", r"\$").replace("_", " ")[:40]
        axes.plot(xs, ys, color=_LINES[number], linewidth=1.6, marker=marker, markersize=3, label=label)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9)


def titles(answers: Sequence[Scored]) -> list[str]:
    """Names of answers for people, the model's without its digest."""
    return [_label(each) for each in answers]
