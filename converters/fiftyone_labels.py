"""Labels of FiftyOne as rings in pixels: polylines, boxes with and without masks, segmentations.

Their coordinates are fractions of the image's width and height. Several rings of a filled polyline follow the
even-odd rule there: a ring inside another is a hole (`Polyline.to_segmentation` draws, and
`Detection.to_polyline` makes them so). Masks are zlib-compressed `.npy` files in base64, or image files.
"""

from __future__ import annotations

import base64
import binascii
import io
import math
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from synthscars.converters.reading import Json, Where, flat_ring, is_number, kind, usable_ring, usable_rings
from synthscars.geometry import even_odd
from synthscars.problems import ImageError
from synthscars.records import Ring
from synthscars.shapes import mask_rings, rectangle_ring

SETS = {"Polylines": "polylines", "Detections": "detections"}
"""Labels that are lists of others, and where the list is."""

REGIONS = frozenset({"Polyline", "Detection", "Segmentation", *SETS})
"""Classes of labels that are regions, or hold them."""

ELSEWHERE = frozenset({"Keypoint", "Keypoints", "Heatmap", "TemporalDetection", "TemporalDetections"})
"""Classes of labels that say where something is and have no outline."""

_MAX_BYTES = 256 * 1024 * 1024  # of one mask: a small file can declare any size
_MAX_CLASSES = 256
_SNAP = 1e-6  # pixels: rounding of fractions
_RAW = "its raw form is kept in extra"


class Folder(NamedTuple):
    """The dataset folder. targets: labels of the values of segmentations, by field (`""`: of all others)."""

    path: Path
    targets: Mapping[str, Any]


def simple(value: Any) -> Any:
    """BSON's extended JSON with its wrapped numbers (`{"$numberDouble": "NaN"}`) as numbers."""
    if isinstance(value, dict):
        if len(value) == 1:
            ((key, inner),) = value.items()
            if key in ("$numberInt", "$numberLong", "$numberDouble") and isinstance(inner, str):
                return _number(inner)
        return {key: simple(inner) for key, inner in value.items()}
    return [simple(inner) for inner in value] if isinstance(value, list) else value


def _number(digits: str) -> Any:
    for parse in (int, float):
        try:
            return parse(digits)
        except ValueError:
            continue
    return digits


def rings_of(
    label: Json, size: tuple[int, int], own: bool, folder: Folder, where: Where
) -> tuple[tuple[Ring, ...] | None, list[Any]]:
    """The rings of a `Polyline` or a `Detection` on an image of `size` (width, height), in pixels.

    `None` if there is no outline that can be used; and the parts of the label that cannot be used. own:
    whether synthscars wrote it: its rings are united, and it may have none.
    """
    if label.get("_cls") == "Detection" or "bounding_box" in label:
        return _of_detection(label, size, folder, where), []
    return _of_polyline(label, size, own, where)


def _of_polyline(
    label: Json, size: tuple[int, int], own: bool, where: Where
) -> tuple[tuple[Ring, ...] | None, list[Any]]:
    points = label.get("points")
    if own and points == []:
        return (), []
    if not own and label.get("closed") is not True and label.get("filled") is not True:
        where.add(
            "polyline.open",
            "it is neither closed nor filled: a line, no region",
            f"set it in FiftyOne; {_RAW}",
        )
        return None, []
    if not isinstance(points, list) or not points:
        what = "empty" if points == [] else f"{kind(points)}, not a list"
        where.add("polygon.not_numbers", f"its points are {what}", f"draw the region again; {_RAW}")
        return None, []
    rings: list[Ring] = []
    bad: list[Any] = []
    for part in points:
        flat = flat_ring(part)
        ring = usable_ring(flat if isinstance(flat, str) else _scaled(flat, size), *size, where)
        if ring is None:
            bad.append(part)
        else:
            rings.append(ring)
    if not rings:
        return None, bad
    found = tuple(rings) if own or len(rings) == 1 else even_odd(rings)
    if not found:
        where.add("polygon.no_area", "its rings cancel out", f"draw the region again; {_RAW}")
    return found or None, bad


def _scaled(ring: Ring, size: tuple[int, int]) -> Ring:
    return tuple(value * size[index % 2] for index, value in enumerate(ring))


def _of_detection(
    label: Json, size: tuple[int, int], folder: Folder, where: Where
) -> tuple[Ring, ...] | None:
    box = label.get("bounding_box")
    if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)) or min(box[2:]) <= 0:
        where.add(
            "region.bad_box",
            f"its bounding box is {str(box)[:60]}, not [x, y, width, height] with an area",
            f"draw the region again; {_RAW}",
        )
        return None
    x, y, width, height = (value * size[index % 2] for index, value in enumerate(map(float, box)))
    mask = _mask(label, folder, where)
    if mask is None:
        ring = usable_ring(rectangle_ring(x, y, width, height), *size, where)
        return None if ring is None else (ring,)
    if not mask.any():
        where.add("region.empty_mask", "its mask is empty", f"draw the region again; {_RAW}")
        return None
    rows, columns = mask.shape
    rings = _placed(mask, (_snapped(x), _snapped(y)), (_step(width, columns), _step(height, rows)))
    return usable_rings(rings, *size, where) or None


def _snapped(value: float) -> float:
    return float(round(value)) if abs(value - round(value)) < _SNAP else value


def _step(length: float, pixels: int) -> float:
    return 1.0 if abs(length - pixels) < _SNAP * max(pixels, 1) else length / pixels


def _placed(
    mask: npt.NDArray[np.bool_], corner: tuple[float, float], step: tuple[float, float]
) -> tuple[Ring, ...]:
    return tuple(
        tuple(corner[index % 2] + value * step[index % 2] for index, value in enumerate(ring))
        for ring in mask_rings(mask)
    )


def of_segmentation(
    label: Json, field: str, size: tuple[int, int], folder: Folder, where: Where
) -> Iterator[tuple[Any, tuple[Ring, ...]]]:
    """The regions of a segmentation, one for each value but 0: its label, and its rings on the image."""
    mask = _array(label, folder, where)
    if mask is None:
        where.add("mask.missing", "it has no mask that can be read", f"export the dataset again; {_RAW}")
        return
    values = np.unique(mask[mask != 0]).tolist()
    if len(values) > _MAX_CLASSES:
        where.add("mask.not_classes", f"{len(values)} different values", f"it is no map of classes; {_RAW}")
        return
    rows, columns = mask.shape
    targets = folder.targets.get(field, folder.targets.get(""))
    for value in values:
        name = targets.get(f"{value:g}") if isinstance(targets, dict) else None
        step = (_step(size[0], columns), _step(size[1], rows))
        yield name, _placed(mask == value, (0.0, 0.0), step)


def _mask(label: Json, folder: Folder, where: Where) -> npt.NDArray[np.bool_] | None:
    found = _array(label, folder, where)
    return None if found is None else found != 0


def _array(label: Json, folder: Folder, where: Where) -> npt.NDArray[Any] | None:
    """The mask of a label, of shape (height, width), inline or in a file; `None` without one."""
    if label.get("mask") is not None:
        found = _decoded(label["mask"])
    elif label.get("mask_path") is not None:
        found = _from_file(label["mask_path"], folder.path)
    else:
        return None
    if isinstance(found, str):
        where.warn("mask.unreadable", found, "its box counts, if it has one; export the dataset again")
        return None
    return found


def _decoded(mask: Any) -> npt.NDArray[Any] | str:
    binary = mask.get("$binary") if isinstance(mask, dict) else mask
    text = binary.get("base64") if isinstance(binary, dict) else binary
    if not isinstance(text, str):
        return f"the mask is {kind(mask)}, not binary data"
    try:
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(base64.b64decode(text, validate=True), _MAX_BYTES)
        if unpacker.unconsumed_tail:
            return "the mask is larger than 256 MiB"
        return _npy(data)
    except (binascii.Error, zlib.error, ValueError, SyntaxError, TypeError, OverflowError) as error:
        return f"the mask cannot be decoded: {error}"


def _npy(data: bytes) -> npt.NDArray[Any] | str:
    # Not `np.load`: it believes the size that the header declares before it looks how much there is.
    file = io.BytesIO(data)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(file)  # type: ignore[no-untyped-call]
    if version not in readers:
        return f"the mask is of version {version} of the .npy format"
    shape, by_columns, dtype = readers[version](file)  # type: ignore[no-untyped-call]
    rest = data[file.tell() :]
    if dtype.kind not in "biuf" or len(shape) != 2 or 0 in shape:
        return f"the mask has type {dtype} and shape {shape}"
    if math.prod(shape) * dtype.itemsize != len(rest):
        return f"the mask declares shape {shape} and holds {len(rest)} bytes"
    return np.frombuffer(rest, dtype).reshape(shape, order="F" if by_columns else "C")


def _from_file(name: Any, folder: Path) -> npt.NDArray[Any] | str:
    from synthscars.images import open_image

    if not isinstance(name, str) or "\0" in name:
        return "the path of the mask is no text"
    inside = folder.resolve()
    try:
        path = (folder / name).resolve()
        if not path.is_relative_to(inside):
            return f"the mask {name[:100]!r} is not in the dataset folder"
        image = open_image(path.read_bytes())
    except (OSError, RuntimeError) as error:
        return f"the mask {name[:100]!r} cannot be read: {getattr(error, 'strerror', None) or error}"
    except ImageError as error:
        return f"the mask {name[:100]!r}: {error.message}"
    pixels = np.asarray(image.convert("L") if image.mode == "LA" else image)
    # Grey values stored as colours.
    return pixels if pixels.ndim == 2 else pixels[..., :3].max(axis=2)
