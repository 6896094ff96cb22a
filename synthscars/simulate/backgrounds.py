"""Real pictures as backgrounds: photographs or generations, with artifacts planted on them.

Only what is planted is marked. What was wrong in a background before is not, so backgrounds should be
photographs, or generations that somebody has looked at.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from synthscars.problems import UsageError
from synthscars.simulate.canvas import SCALE
from synthscars.simulate.furnish import furnish, spread
from synthscars.simulate.shapes import rectangle
from synthscars.simulate.stage import Stage
from synthscars.taxonomy import load_taxonomy

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
SOURCES_NAME = "SOURCES.csv"
SMALLEST_SIDE = 256
"""Backgrounds with a shorter side would be blurred by the enlargement, which no text speaks of."""


class Background(NamedTuple):
    """One picture to plant artifacts on; picklable.

    source: where it comes from, without the folder's own place. license: of the picture, "" if nobody said.
    content_type: by the name of the folder it lies in, else unknown.
    """

    path: str
    sha256: str
    source: str
    license: str
    content_type: str | None


def read_backgrounds(folder: Path, license: str = "") -> tuple[Background, ...]:
    """The pictures below `folder`, in the order of their names, each with its source and licence.

    A table `SOURCES.csv` in the folder or in one of the three above it tells them (columns `file`, relative
    to the table, `repository`, `path`, `license`); `license` counts where it does not. A picture in a folder
    that is called like a content type (`animal`) has that content type. Raises `UsageError` naming every file
    that cannot be read or is smaller than 256 pixels, or if there is none.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder", fix="name a folder with pictures")
    table, base = _sources(folder)
    kinds = load_taxonomy().content_type_ids
    found, bad = [], []
    root = folder.resolve()
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        if not path.resolve().is_relative_to(root):  # a link out of the folder
            bad.append(f"{path.relative_to(folder).as_posix()} (lies outside the folder)")
            continue
        name = path.relative_to(folder).as_posix()
        problem = _problem(path)
        if problem:
            bad.append(f"{name} ({problem})")
            continue
        row = table.get(path.resolve().relative_to(base).as_posix(), {}) if base else {}
        told = "/".join(part for part in (row.get("repository", ""), row.get("path", "")) if part)
        found.append(
            Background(
                path=str(path),
                sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
                source=told or name,
                license=row.get("license") or license,
                content_type=next((part for part in path.relative_to(folder).parts if part in kinds), None),
            )
        )
    if bad:
        raise UsageError(
            f"backgrounds that cannot be used: {', '.join(bad)}", fix="take them out of the folder"
        )
    if not found:
        raise UsageError(f"{folder} holds no picture", fix=f"put files with {', '.join(SUFFIXES)} there")
    return tuple(found)


def _problem(path: Path) -> str:
    try:
        with Image.open(path) as image:
            if min(image.size) < SMALLEST_SIDE:
                return f"smaller than {SMALLEST_SIDE} pixels"
            image.draft("RGB", (SMALLEST_SIDE, SMALLEST_SIDE))
            image.load()
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError):
        return "not a picture that can be read"
    return ""


def _sources(folder: Path) -> tuple[dict[str, dict[str, str]], Path | None]:
    """The table of sources by file, and the folder that its names start from."""
    for base in (folder.resolve(), *folder.resolve().parents[:3]):
        path = base / SOURCES_NAME
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as file:
                return {str(row.get("file", "")): dict(row) for row in csv.DictReader(file)}, base
    return {}, None


def chosen(backgrounds: Sequence[Background], seed: int, index: int) -> Background:
    """Which background image `index` of a series has: all take turns, in another order each time."""
    turn, place = divmod(index, len(backgrounds))
    return backgrounds[int(np.random.default_rng([seed, turn, 8]).permutation(len(backgrounds))[place])]


def on_background(stage: Stage, background: Background) -> None:
    """Put a part of the background on the stage, name its parts, and set props in front of it."""
    rng = stage.rng
    with Image.open(background.path) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGB")
    # As much as fits of the wanted shape, anywhere in the picture, mirrored every second time.
    share = min(image.width / stage.width, image.height / stage.height) * float(rng.uniform(0.8, 1.0))
    wide, high = stage.width * share, stage.height * share
    left, top = float(rng.uniform(0, image.width - wide)), float(rng.uniform(0, image.height - high))
    size = (stage.width * SCALE, stage.height * SCALE)
    part = image.resize(
        size, Image.Resampling.BICUBIC, box=(left, top, left + wide, top + high), reducing_gap=2
    )
    stage.canvas.image.paste(ImageOps.mirror(part) if rng.random() < 0.5 else part)
    stage.light_name, stage.ground, stage.indoors = "the light", "ground", False
    for row, down in enumerate(("upper", "middle", "lower")):
        for column, across in enumerate(("left", "middle", "right")):
            name = " ".join(dict.fromkeys((down, across)))
            x, y = stage.width * column / 3, stage.height * row / 3
            outline = rectangle(x + 6, y + 6, x + stage.width / 3 - 6, y + stage.height / 3 - 6)
            stage.spot(f"the {name} part of the picture", outline, detail=True)
    furnish(
        stage,
        spread(stage, ((0.1, 0.3), (0.4, 0.6), (0.7, 0.9)), (340, 500), (0.8, 1.3)),
        spread(stage, ((0.1, 0.3), (0.4, 0.6), (0.7, 0.9)), (70, 200), (0.8, 1.3)),
        0.25,
    )
    front = f" with {_listed(stage.named)} in front of it" if stage.named else ""
    stage.scene = f"A picture taken from elsewhere{front}."
    stage.prompt = f"inpainting{', ' if stage.named else ''}{', '.join(stage.named)}"


def _listed(names: Sequence[str]) -> str:
    named = [f"an {name}" if name[0] in "aeiou" else f"a {name}" for name in names]
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"
