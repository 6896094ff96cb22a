"""Outlines to draw with: arrays of shape (n, 2), float64 pixels of the finished image, not closed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
"""Shape (n, 2): x and y in pixels of the finished image, origin top left."""

_Item = TypeVar("_Item")


def pick(rng: np.random.Generator, items: Sequence[_Item]) -> _Item:
    """One of `items`, all equally likely."""
    return items[int(rng.integers(len(items)))]


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """A number drawn uniformly from [low, high)."""
    return float(rng.uniform(low, high))


def points(*pairs: tuple[float, float]) -> Points:
    """An outline from its corners."""
    return np.array(pairs, dtype=np.float64)


def ellipse(x: float, y: float, rx: float, ry: float, angle: float = 0.0, n: int = 56) -> Points:
    """An ellipse around (x, y); `angle` in degrees turns it clockwise on the screen."""
    turn = np.linspace(0.0, 2 * np.pi, n, endpoint=False)
    return rotate(np.stack([x + rx * np.cos(turn), y + ry * np.sin(turn)], axis=1), x, y, angle)


def rectangle(x0: float, y0: float, x1: float, y1: float, radius: float = 0.0) -> Points:
    """An upright rectangle with rounded corners."""
    if radius <= 0:
        return points((x0, y0), (x1, y0), (x1, y1), (x0, y1))
    radius = min(radius, (x1 - x0) / 2, (y1 - y0) / 2)
    corners = [
        (x1 - radius, y0 + radius, -90),
        (x1 - radius, y1 - radius, 0),
        (x0 + radius, y1 - radius, 90),
        (x0 + radius, y0 + radius, 180),
    ]
    parts = []
    for x, y, start in corners:
        turn = np.radians(np.linspace(start, start + 90, 9))
        parts.append(np.stack([x + radius * np.cos(turn), y + radius * np.sin(turn)], axis=1))
    return np.concatenate(parts)


def _spline(control: Points, closed: bool, n: int) -> Points:
    """Catmull-Rom curve through `control`, `n` points per segment."""
    if closed:
        padded = np.concatenate([control[-1:], control, control[:2]])
        segments = len(control)
    else:
        padded = np.concatenate([control[:1] * 2 - control[1:2], control, control[-1:] * 2 - control[-2:-1]])
        segments = len(control) - 1
    t = np.linspace(0.0, 1.0, n, endpoint=False)[:, None]
    parts = []
    for i in range(segments):
        a, b, c, d = padded[i : i + 4]
        parts.append(
            0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        )
    if not closed:
        parts.append(control[-1:])
    return np.concatenate(parts)


def blob(*pairs: tuple[float, float], n: int = 10) -> Points:
    """A smooth closed outline through the given points."""
    return _spline(points(*pairs), True, n)


def curve(*pairs: tuple[float, float], n: int = 10) -> Points:
    """A smooth open line through the given points."""
    return _spline(points(*pairs), False, n)


def limb(path: Points, start: float, end: float) -> Points:
    """The outline of a line that is `start` pixels wide at its beginning and `end` at its end, ends round."""
    step = np.gradient(path, axis=0)
    step /= np.maximum(np.linalg.norm(step, axis=1, keepdims=True), 1e-9)
    normal = np.stack([-step[:, 1], step[:, 0]], axis=1)
    half = np.linspace(start, end, len(path))[:, None] / 2
    left, right = path + normal * half, path - normal * half
    turn = np.linspace(0.0, np.pi, 10)[1:-1, None]
    tip = path[-1] + half[-1] * (np.cos(turn) * normal[-1] + np.sin(turn) * step[-1])
    root = path[0] - half[0] * (np.cos(turn) * normal[0] + np.sin(turn) * step[0])
    return np.concatenate([left, tip, right[::-1], root])


def arc(x: float, y: float, rx: float, ry: float, start: float, stop: float, n: int = 24) -> Points:
    """A part of an ellipse as an open line; angles in degrees, 0 to the right, clockwise on the screen."""
    turn = np.radians(np.linspace(start, stop, n))
    return np.stack([x + rx * np.cos(turn), y + ry * np.sin(turn)], axis=1)


def rotate(outline: Points, x: float, y: float, degrees: float) -> Points:
    """`outline` turned clockwise on the screen around (x, y)."""
    if degrees == 0:
        return outline
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turned: Points = (outline - (x, y)) @ np.array([[c, s], [-s, c]]) + (x, y)
    return turned


def warped(x: float, y: float, r: float, phase: float, two: float, three: float) -> Points:
    """A circle bent out of shape: waves of relative height `two` and `three`, two and three to the round."""
    turn = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    radius = r * (1 + two * np.sin(2 * turn + phase) + three * np.sin(3 * turn + 2 * phase))
    return np.stack([x + radius * np.cos(turn), y + radius * np.sin(turn)], axis=1)


def mirror(outline: Points, x: float) -> Points:
    """`outline` mirrored at the vertical line through `x`."""
    return np.stack([2 * x - outline[:, 0], outline[:, 1]], axis=1)


def profile(x: float, *pairs: tuple[float, float], n: int = 8) -> Points:
    """A turned body: pairs of (half width, y) from top to bottom, mirrored at `x`."""
    side = curve(*((x + half, y) for half, y in pairs), n=n)
    return np.concatenate([side, mirror(side, x)[::-1]])
