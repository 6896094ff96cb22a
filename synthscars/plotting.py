"""How every plot looks: fonts, colours, titles, and a PNG that is the same each time.

Drawn with matplotlib's own objects, without pyplot, so that a plot leaves no state behind. Colours are told
apart with any common colour vision, and everything that a colour says is also written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

INK = "#222222"
FAINT = "#6b6b6b"
GREY = "#8c8c8c"
SHADES = (1.0, 0.6, 0.3)
"""Opacity of the splits."""

_STYLE = {"font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 10.0}


@contextmanager
def plotting() -> Iterator[None]:
    """Draw in here: the user's own matplotlib settings must not change the bytes. No backend is used.

    Names in scripts that the font does not have are drawn as boxes, without a warning for each letter.
    """
    import warnings

    import matplotlib

    settings: Any = {key: value for key, value in matplotlib.rcParamsDefault.items() if key != "backend"}
    with matplotlib.rc_context(settings | _STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from", UserWarning)
        warnings.filterwarnings("ignore", "Matplotlib currently does not support", UserWarning)
        yield


def save_png(figure: Figure, file: IO[bytes]) -> None:
    """Write a figure without the names of the tools that made it; needs `plotting()` around it."""
    figure.savefig(file, format="png", dpi=150, metadata={"Software": None})


def layout() -> ConstrainedLayoutEngine:
    """Room around the panels."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    return ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.12)


def title(axes: Axes, text: str, below: str) -> None:
    """A title and a fainter line below it. Names come from outside: a dollar sign would start a formula."""
    axes.set_title(text.replace("$", r"\$"), loc="left", fontsize=14, weight="bold", color=INK, pad=24)
    axes.annotate(
        below.replace("$", r"\$"),
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 9),
        textcoords="offset points",
        color=FAINT,
    )


def plain(axes: Axes) -> None:
    """No frame but the line below."""
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.tick_params(colors=INK)
