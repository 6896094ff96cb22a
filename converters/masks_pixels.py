"""What the pixels of a mask file say: one region, one a value (indices, classes), or one a colour.

Masks come in many kinds, and no file says which it is. What has to be taken for granted is reported:

| pixels | read as |
|---|---|
| one value besides 0 | one region |
| JPEG, or greys around a white core | one region: from the middle of the scale on |
| 1, 2, 3, ..., a palette, or values that `classes.json` names | a region a value |
| 255 beside such values | nothing: the border of Pascal VOC, the ignored index of MMSegmentation |
| a few colours | a region a colour; black is background |
| many colours | no mask |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from synthscars.converters.reading import Where
from synthscars.problems import ImageError

Bits = npt.NDArray[np.bool_]
Values = npt.NDArray[np.integer[Any]]

_MOST_REGIONS = 1000
_MOST_GREYS = 32
_MOST_COLOURS = 64
BACKGROUND = frozenset({"background", "void", "ignore", "unlabeled", "unlabelled"})
"""Names of classes that are no regions."""


class Part(NamedTuple):
    """One region: `value` is its index or colour (`#ff0000`), `""` if the mask has only one region.

    pixels: of the whole mask; those that are `own` are in the region.
    """

    value: str
    pixels: npt.NDArray[Any]
    own: int = True

    @property
    def bits(self) -> Bits:
        """Which pixels are in the region: made when they are wanted, since a mask may have many regions."""
        bits: Bits = self.pixels == self.own
        return bits


class Pixels(NamedTuple):
    """What a mask says; no parts: it is all background."""

    width: int
    height: int
    parts: list[Part]


def read_mask(path: Path, classes: Mapping[str, str], where: Where) -> Pixels | None:
    """The regions of a mask file, `None` (reported) if it cannot be used.

    classes: names by index or colour, from `classes.json`.
    """
    from synthscars.images import open_image, upright

    try:
        stored = open_image(path.read_bytes())
        image = upright(stored)
    except ImageError as error:
        where.add(error.code.replace("image.", "mask."), f"the mask: {error.message}", "save it again as PNG")
        return None
    except OSError as error:
        where.add("mask.unreadable", f"the mask: {error.strerror or error}", "check that you may read it")
        return None
    lossy = stored.format in ("JPEG", "MPO", "WEBP")
    if image.mode in ("1", "L") or image.mode.startswith("I"):
        values = np.asarray(image)
        if image.mode == "1":
            values = values.astype(np.uint8)
        parts = _by_value(values, 65535 if image.mode.startswith("I") else 255, classes, lossy, where)
    elif image.mode == "P" and not _has_own_black(image):
        parts = _by_value(np.asarray(image), 255, classes, lossy, where, palette=True)
    else:
        parts = _by_colour(np.asarray(image.convert("RGBA")), classes, lossy, where)
    return None if parts is None else Pixels(image.width, image.height, parts)


def _has_own_black(image: Any) -> bool:
    """Whether a palette has black elsewhere than at 0: then its colours, not its indices, are meant."""
    colours = image.getpalette("RGB") or []
    used = [value for _, value in image.getcolors(256)]
    black = [value for value in used if colours[3 * value : 3 * value + 3] == [0, 0, 0]]
    return any(black) and colours[:3] != [0, 0, 0]


def _by_value(
    values: Values,
    full: int,
    classes: Mapping[str, str],
    lossy: bool,
    where: Where,
    *,
    palette: bool = False,
) -> list[Part] | None:
    """The regions of a single channel; full: the value of white."""
    if values.min(initial=0) < 0 or values.max(initial=0) > full:
        where.add("mask.values", "it has values beyond 16 bits", "save it with 8 or 16 bits")
        return None
    counts = np.bincount(values.ravel(), minlength=full + 1)
    found: list[int] = [int(value) for value in np.flatnonzero(counts) if value]
    if not found:
        return []
    if not lossy and any(str(value) in classes for value in found):
        return _named(values, found, full, classes, where)
    if len(found) == 1:
        return [Part("", values > 0)]
    ids = [value for value in found if value != full]
    in_a_row = ids == list(range(1, len(ids) + 1))
    smooth = found[-1] > full // 2 and (counts[full] >= counts[ids].sum() or len(ids) > _MOST_GREYS)
    if lossy or (smooth and not in_a_row and not palette):
        return _thresholded(values, full, counts, where)
    if full in found:
        _ignored(full, int(counts[full]), where)
    if not in_a_row:
        what = f"the values {_list(ids)} are named nowhere: each is read as a region"
        where.warn("mask.values", what, "name them in classes.json, or save the mask in black and white")
    return _regions(values, ids, where)


def _named(
    values: Values, found: list[int], full: int, classes: Mapping[str, str], where: Where
) -> list[Part] | None:
    """The regions of values some of which `classes.json` names."""
    unknown = [value for value in found if str(value) not in classes]
    if full in unknown:
        unknown.remove(full)
        found = [value for value in found if value != full]
        _ignored(full, int((values == full).sum()), where)
    if unknown:
        what = f"classes.json does not name the values {_list(unknown)}"
        where.warn("mask.values", what, "name them; they are read without a category")
    is_region = [value for value in found if classes.get(str(value), "").casefold() not in BACKGROUND]
    return _regions(values, is_region, where)


def _regions(values: Values, ids: list[int], where: Where) -> list[Part] | None:
    if len(ids) > _MOST_REGIONS:
        what = f"it has {len(ids)} values: no mask, or more regions than {_MOST_REGIONS}"
        where.add("mask.not_a_mask", what, "save the mask in black and white")
        return None
    return [Part(str(value), values, value) for value in ids]


def _thresholded(
    values: Values, full: int, counts: npt.NDArray[np.integer[Any]], where: Where
) -> list[Part] | None:
    middle = full // 2 + 1
    bits = values >= middle
    if not bits.any():
        what = f"it has greys, but nothing from the middle of the scale ({middle}) on"
        where.add("mask.grey", what, "save it as PNG in black and white")
        return None
    unsure = int(counts[full // 8 : full - full // 8].sum())
    where.warn(
        "mask.grey",
        f"it has greys: from {middle} on, pixels are in the region; {unsure} of {values.size} pixels are "
        "far from black and white",
        "save masks as PNG, and scale them without smoothing",
    )
    return [Part("", bits)]


def _ignored(full: int, pixels: int, where: Where) -> None:
    where.warn(
        "mask.ignored",
        f"{pixels} pixels have the value {full} beside other values: taken as if nothing were said of them",
        "name the value in classes.json if it is a region",
    )


def _by_colour(
    pixels: npt.NDArray[np.uint8], classes: Mapping[str, str], lossy: bool, where: Where
) -> list[Part] | None:
    colours, alpha = pixels[..., :3], pixels[..., 3]
    if alpha.min(initial=255) < 255:
        flat = colours.reshape(-1, 3)
        if (flat == flat[0]).all():
            where.warn("mask.alpha", "its colour is the same everywhere: its transparency is read", _OPAQUE)
            return _by_value(alpha, 255, {}, lossy, where)
        where.warn("mask.alpha", "what is more than half transparent is read as background", _OPAQUE)
        colours = colours * (alpha >= 128)[..., None].astype(np.uint8)
    red, green, blue = (colours[..., channel] for channel in range(3))
    if (red == green).all() and (green == blue).all():
        return _by_value(red, 255, classes, lossy, where)
    packed = (red.astype(np.int32) << 16) | (green.astype(np.int32) << 8) | blue
    found = [int(value) for value in np.unique(packed) if value]
    if lossy or len(found) > _MOST_COLOURS:
        what = "its colours went through a lossy format" if lossy else f"it has {len(found)} colours"
        where.add("mask.not_a_mask", f"{what}: no mask", "save the mask as PNG, in black and white")
        return None
    names = [f"#{value:06x}" for value in found]
    if unknown := [name for name in names if name not in classes]:
        what = f"the colours {_list(unknown)} are named nowhere: each is read as a region"
        where.warn("mask.colours", what, 'name them in classes.json: {"#ff0000": "structure"}')
    return [
        Part(name, packed, value)
        for name, value in zip(names, found, strict=True)
        if classes.get(name, "").casefold() not in BACKGROUND
    ]


_OPAQUE = "save the mask without transparency"


def _list(values: list[Any]) -> str:
    return ", ".join(map(str, values[:8])) + (", ..." if len(values) > 8 else "")


def read_classes(value: Any, say: Callable[[str], None]) -> dict[str, str]:
    """Names of classes by index or colour: `{"deformed": 1}`, `{"1": "deformed"}`, `["background", ...]`."""
    pairs: list[tuple[Any, Any]] = []
    if isinstance(value, list):
        pairs = list(enumerate(value))
    elif isinstance(value, dict):
        pairs = [(one, other) if isinstance(other, str) else (other, one) for one, other in value.items()]
    else:
        say("it is no list and no object")
    found: dict[str, str] = {}
    for key, name in pairs:
        index = str(key).casefold()
        if isinstance(name, str) and not isinstance(key, bool) and (index.isdecimal() or index[:1] == "#"):
            found[str(int(index)) if index.isdecimal() else index] = name
        else:
            say(f"{str(key)[:40]}: {str(name)[:40]} is no index and name of a class")
    return found
