"""From the rows of a release to what LEGION is trained on, and the augmentation that moves outlines too."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from synthscars.caption import parse
from synthscars.example_rows import picture_of
from synthscars.examples import to_record
from synthscars.geometry import Rings, to_mask
from synthscars.legion.processing_legion import fitted, letterbox
from synthscars.problems import FormatError
from synthscars.records import ORIGINS, ImageRecord

Example = dict[str, Any]
"""One training example: `image_id`, `pixels` (canvas, canvas, 3) uint8, `width` and `height` of its part
of the canvas, `scene`, `content_type`, `synthetic`, `answered` (whether anybody looked for artifacts), and
for each artifact its `phrases`, `explanations`, `subtypes` (ids or "") and `rings` (canvas
pixels)."""

_SIDES = re.compile(r"\b(left|right)\b")
_WRITING = "text_distortion"


def example_of(row: Mapping[str, Any], canvas: int) -> Example:
    """A row of a release, as `datasets` gives it, scaled to the canvas.

    Regions without an outline, and regions with neither phrase nor explanation, are left out: there is
    nothing that LEGION could be asked for. Raises `FormatError` naming the image if the row is wrong.
    """
    known = "artifacts" in row
    picture = picture_of(row)
    pixels = letterbox(picture, canvas)
    width, height = fitted(picture.width, picture.height, canvas)
    example = {"pixels": pixels, "width": width, "height": height, "image_id": row["image_id"]}
    if not known:
        return {**example, **_nothing(), "synthetic": int(_is_synthetic(row))}
    record = to_record(row)
    told = [each for each in record.artifacts if each.polygons and (each.phrase or each.explanation)]
    scale = canvas / max(record.width, record.height)
    return {
        **example,
        "scene": scene_of(record),
        "content_type": record.content_type or "",
        "synthetic": int(record.origin == "synthetic"),
        "answered": int(record.status in ("annotated", "clean")),
        "phrases": [each.phrase for each in told],
        "explanations": [each.explanation for each in told],
        "subtypes": [each.subtype or "" for each in told],
        "rings": [[[value * scale for value in ring] for ring in each.polygons] for each in told],
    }


def _nothing() -> Example:
    texts = ("phrases", "explanations", "subtypes", "rings")
    return {"scene": "", "content_type": "", "answered": 0, **{name: [] for name in texts}}


def _is_synthetic(row: Mapping[str, Any]) -> bool:
    origin = row["origin"]
    return origin in (ORIGINS.index("synthetic"), "synthetic")


def scene_of(record: ImageRecord) -> str:
    """What the caption says about the scene; if it does not follow the grammar, the first rater's words."""
    for phrases in ([each.phrase for each in record.artifacts], None):
        try:
            return parse(record.caption, phrases).scene
        except FormatError:
            continue
    return next((review.scene for review in record.reviews if review.scene), "")


def mask_of(rings: Rings, canvas: int, size: int) -> NDArray[np.float32]:
    """A region's mask of (size, size) cells over the canvas: the share of each cell that it covers."""
    mask = Image.fromarray(to_mask(rings, canvas, canvas).astype(np.uint8) * 255)
    return np.asarray(mask.resize((size, size), Image.Resampling.BOX), dtype=np.float32) / np.float32(255)


# Augmentation


SMALLEST_CROP = 0.75
"""Side of the smallest part of a picture that augmentation shows as a whole one."""


def uncropped(canvas: int) -> int:
    """Side of the canvas that examples need so that no crop of them has to be blown up to `canvas`."""
    return math.ceil(canvas / SMALLEST_CROP)


def augmented(example: Example, rng: np.random.Generator, canvas: int | None = None) -> Example:
    """The example cropped, scaled, mirrored and in a little other light; its outlines move with it.

    canvas: side of what comes out, the example's own if not given; see `uncropped`.

    A region of which less than half is left is left out, with its words. Mirroring swaps left and right in
    the texts; images with writing are not mirrored, since that is what is wrong with some of them.
    """
    canvas = canvas or len(example["pixels"])
    shrunk = canvas / len(example["pixels"])
    width, height = example["width"], example["height"]
    share = float(rng.uniform(SMALLEST_CROP, 1.0))
    x0, y0 = (float(rng.uniform(0, length * (1 - share))) for length in (width, height))
    mirror = bool(rng.random() < 0.5) and _WRITING not in example["subtypes"]
    # From the new picture's coordinates to the old one's, as PIL wants it.
    step = share / shrunk
    image = Image.fromarray(example["pixels"]).transform(
        (canvas, canvas),
        Image.Transform.AFFINE,
        (-step if mirror else step, 0, x0 + share * width if mirror else x0, 0, step, y0),
        Image.Resampling.BILINEAR,
    )
    pixels = np.asarray(image).copy()
    fill = example["pixels"][-1, -1] if min(width, height) < len(example["pixels"]) else 0
    width, height = (max(round(length * shrunk), 1) for length in (width, height))
    pixels[height:] = pixels[:, width:] = fill
    kept: list[int] = []
    rings: list[list[list[float]]] = []
    for number, region in enumerate(example["rings"]):
        moved = [_moved(ring, x0, y0, step, width if mirror else None) for ring in region]
        inside = [np.clip(ring, 0, [width, height]) for ring in moved]
        if _area(inside) >= 0.5 * _area(moved):
            kept.append(number)
            rings.append([ring.ravel().tolist() for ring in inside])
    turned = _mirrored if mirror else _as_it_is
    return {
        **example,
        "pixels": np.asarray(_relit(Image.fromarray(pixels), rng)),
        "width": width,
        "height": height,
        "scene": turned(example["scene"]),
        "rings": rings,
        "subtypes": [example["subtypes"][number] for number in kept],
        **{name: [turned(example[name][number]) for number in kept] for name in ("phrases", "explanations")},
    }


def _moved(
    ring: Sequence[float], x0: float, y0: float, step: float, mirror: int | None
) -> NDArray[np.float64]:
    points = (np.asarray(ring, dtype=np.float64).reshape(-1, 2) - (x0, y0)) / step
    if mirror is not None:
        points[:, 0] = mirror - points[:, 0]
    return points


def _area(rings: Iterable[NDArray[np.float64]]) -> float:
    x_y = [(ring[:, 0], ring[:, 1]) for ring in rings]
    return sum(abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2 for x, y in x_y)


def _mirrored(text: str) -> str:
    return _SIDES.sub(lambda found: "right" if found[1] == "left" else "left", text)


def _as_it_is(text: str) -> str:
    return text


def _relit(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Brightness, contrast and each channel a few per cent up or down: colours mean something here."""
    contrast, brightness = rng.uniform(0.92, 1.08), rng.uniform(-8, 8)
    tint = rng.uniform(0.97, 1.03, size=3)
    table = np.clip((np.arange(256)[:, None] - 128) * contrast * tint + 128 + brightness, 0, 255)
    return image.point(table.astype(np.uint8).T.ravel().tolist())
