"""Mask files, as PAL4VST and PAL4Inpaint have them, and as every segmentation tool reads them; both ways.

PAL4VST (Zhang et al., Perceptual Artifacts Localization for Image Synthesis Tasks, ICCV 2023) trains on
`images/train/NAME.jpg` and `labels/train/NAME.png` with 0 for background and 1 for artifacts (its
`mmseg/datasets/artifacts.py`); PAL4Inpaint (ECCV 2022) has `trainset/images`, `trainset/labels` with 0 and 1,
and `trainset/masks`, which are not the artifacts but the holes that were filled.

Three kinds are written::

    images/train/a.jpg
    masks/train/a/000.png  001.png ...     "regions": one a region, 0 and 255; nothing but outlines is coarser
    masks/train/a.png                      "indexed": one index a category, named in classes.json
    masks/train/a.png                      "binary": the union of all regions, 0 and 255
    masks.jsonl                            all other fields, one image a line

A line of `masks.jsonl` is `{"image": path, "masks": [path, ...], "record": {...}}`, `record` as in
`synthscars.records`, its artifacts without outlines, in the order of `masks` (`null`: no outline). With
"indexed" and "binary" there is `"mask": path` instead, and `record` has no artifacts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import msgspec

from synthscars.converters.holds import everything_but
from synthscars.converters.mask_parts import connected, scaled
from synthscars.converters.masks_layout import Pair, find_pairs
from synthscars.converters.masks_pixels import Part, Pixels, read_classes, read_mask
from synthscars.converters.masks_write import SIDE_CAR, Kind, write
from synthscars.converters.pictures import Picture, SourcePictures
from synthscars.converters.reading import Json, Where, as_id, load_json, read_label
from synthscars.geometry import from_mask
from synthscars.problems import FormatError, Problems
from synthscars.records import Artifact, ImageRecord, Ring, Status, decode_record

OPTIONS = {"kind": ("regions", "indexed", "binary")}

__all__ = ["HOLDS", "NAMESPACE", "OPTIONS", "Kind", "read", "write"]

NAMESPACE = "masks"

HOLDS = everything_but(
    outlines="pixels",
    namespace=NAMESPACE,
    note="One PNG a region; everything but outlines is kept in masks.jsonl beside them. "
    "With the option kind=indexed or kind=binary there is one PNG an image, which unites regions.",
)


def read(
    source: Path,
    problems: Problems,
    *,
    images: Path | None = None,
    split_components: bool = False,
    empty: Status = "clean",
) -> Iterator[ImageRecord]:
    """Read a folder of images and masks: first what `masks.jsonl` lists, then what else there is, by name.

    images: where the images are, if not in `images` beside the masks.
    split_components: without `masks.jsonl`, one artifact a connected part. By default one mask of one value
    is one artifact, whatever its parts: nobody said that they are several.
    empty: the status of an image whose mask is all background. A mask says of every pixel what it is, so this
    is `clean` unless you know that nobody looked; it is reported. An image without a mask is `unlabelled`.

    The kind of a mask is told by its pixels (see `masks_pixels`). A mask of another size than its image is
    scaled if it has the same proportions, else set aside; both is reported. Masks that cannot be used are
    reported and named in `extra`, and their image does not become clean. Raises `FormatError` if there is no
    mask and no image.
    """
    if not source.is_dir():
        raise FormatError(f"{source}: not a folder", fix="give the folder that holds images and masks")
    reader = _Reader(source, problems, images, split_components, empty)
    if (source / SIDE_CAR).is_file():
        yield from reader.listed()
    pairs = find_pairs(source, images, reader.where)
    if not pairs and not (source / SIDE_CAR).is_file():
        raise FormatError(f"{source}: no images and no masks", fix="give a folder with images/ and masks/")
    for pair in pairs:
        yield from reader.by_name(pair)
    reader.finish()


class _Line(msgspec.Struct):
    record: msgspec.Raw
    image: str | None = None
    masks: list[str | None] | None = None
    mask: str | None = None


class _Reader:
    """Reads images one by one; knows which files were read already."""

    def __init__(
        self, root: Path, problems: Problems, images: Path | None, split_components: bool, empty: Status
    ) -> None:
        self.where = Where(problems, str(root))
        self._root = root
        self._images = images
        self._split_components = split_components
        self._empty: Status = empty
        self._pictures = SourcePictures([root], NAMESPACE)
        self._elsewhere = SourcePictures([images], NAMESPACE)
        self._classes = self._read_classes()
        self._seen: set[str] = set()
        self._empty_masks = 0

    def _read_classes(self) -> dict[str, str]:
        for name in ("classes.json", "masks.json"):
            path = self._root / name
            where = self.where._replace(file=str(path))

            def say(what: str, where: Where = where) -> None:
                where.warn("classes.wrong", what, 'write {"structure": 1, ...}: names of classes by index')

            if path.is_file():
                try:
                    return read_classes(load_json(path), say)
                except FormatError as error:
                    say(error.message)
        return {}

    # By the list

    def listed(self) -> Iterator[ImageRecord]:
        """The images that `masks.jsonl` lists."""
        path = self._root / SIDE_CAR
        with path.open("rb") as file:
            for number, content in enumerate(file, start=1):
                where = self.where._replace(file=str(path), image=f"line {number}")
                if content.strip() and (record := self._listed_image(content, where)) is not None:
                    yield record

    def _listed_image(self, content: bytes, where: Where) -> ImageRecord | None:
        try:
            line = msgspec.json.decode(content, type=_Line)
            record = decode_record(bytes(line.record), "its record")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, FormatError) as error:
            where.add("line.wrong", f"{error}: it is read by its masks alone", "write the folder again")
            return None
        where = where.at(image=record.file_name or record.image_id)
        picture = self._listed_picture(line.image, record, where)
        size = {"image_id": picture.image_id, "width": picture.width, "height": picture.height}
        record = msgspec.structs.replace(record, **size)
        if line.masks is None:
            return self._whole(record, line.mask, where)
        artifacts = []
        if len(line.masks) != len(record.artifacts):
            what = f"it lists {len(line.masks)} masks for {len(record.artifacts)} artifacts"
            where.add("line.wrong", f"{what}: the rest has no outline", "write the folder again")
        for number, artifact in enumerate(record.artifacts):
            name = line.masks[number] if number < len(line.masks) else None
            at = where.at(region=f"artifact {artifact.artifact_id}")
            rings = self._rings(name, record, at) if name is not None else ()
            artifacts.append(msgspec.structs.replace(artifact, polygons=rings))
        return msgspec.structs.replace(record, artifacts=tuple(artifacts))

    def _listed_picture(self, name: str | None, record: ImageRecord, where: Where) -> Picture:
        size = (record.width, record.height)
        if name is not None and (path := self._inside(name)) is not None:
            self._seen.add(path.as_posix())
            place = path.relative_to(self._root).as_posix()
            return self._pictures.find(place, where, image_id=record.image_id, size=size)
        if name is not None:
            where.warn("image.missing", f"there is no {name[:200]} in {self._root}", "add the image")
        if self._images is None or not record.file_name:
            return Picture(record.image_id, *size)
        return self._elsewhere.find(record.file_name, where, image_id=record.image_id, size=size)

    def _inside(self, name: str) -> Path | None:
        """A listed file, if it is there and in the folder."""
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\0" in name:
            return None
        try:
            return self._root / path if (self._root / path).is_file() else None
        except OSError:  # a name that is too long
            return None

    def _rings(self, name: str, record: ImageRecord, where: Where) -> tuple[Ring, ...]:
        path = self._inside(name)
        if path is None:
            what = f"there is no {name[:200]} in {self._root}: the artifact has no outline"
            where.add("mask.missing", what, "restore the mask")
            return ()
        self._seen.add(path.as_posix())
        pixels = read_mask(path, {}, where)
        fit = self._fit(pixels, record.width, record.height, where) if pixels else None
        if pixels is None or fit is None or not pixels.parts:
            return ()
        bits = pixels.parts[0].bits
        for part in pixels.parts[1:]:
            bits |= part.bits
        return scaled(from_mask(bits), *fit)

    def _whole(self, record: ImageRecord, name: str | None, where: Where) -> ImageRecord:
        if name is None:
            return record
        path = self._inside(name)
        if path is None:
            what = f"there is no {name[:200]} in {self._root}: its regions are unknown"
            where.add("mask.missing", what, "restore the mask")
            return record
        self._seen.add(path.as_posix())
        picture = Picture(record.image_id, record.width, record.height)
        artifacts, _, _ = self._artifacts([path], [], picture, where)
        status: Status = "annotated" if artifacts else record.status
        return msgspec.structs.replace(record, artifacts=artifacts, status=status)

    # By name

    def by_name(self, pair: Pair) -> Iterator[ImageRecord]:
        """The record of an image and its masks, unless `masks.jsonl` lists the image."""
        masks = [path for path in (*pair.whole, *pair.regions) if path.as_posix() not in self._seen]
        place = self._place(pair.image or pair.name)
        where = self.where.at(image=place)
        if pair.image is not None and pair.image.as_posix() in self._seen:
            for path in masks:
                what = f"{self._place(path)} is not listed in {SIDE_CAR}: not read"
                where.add("mask.not_listed", what, "list it, or take the list away")
            return
        if not masks and (pair.image is None or pair.whole or pair.regions):
            return  # its masks are listed, and with them the image
        whole = [path for path in pair.whole if path in masks]
        regions = [path for path in pair.regions if path in masks]
        picture = self._picture(pair, where)
        artifacts, rejected, picture = self._artifacts(whole, regions, picture, where)
        status: Status = "annotated" if artifacts or rejected else self._empty if masks else "unlabelled"
        self._empty_masks += bool(masks) and not artifacts and not rejected
        yield ImageRecord(
            image_id=picture.image_id,
            file_name=pair.image.name if pair.image else PurePosixPath(pair.name).name,
            width=picture.width,
            height=picture.height,
            status=status,
            artifacts=artifacts,
            split=pair.split,
            source=place,
            extra={NAMESPACE: {"rejected": rejected}} if rejected else {},
        )

    def _place(self, path: Path | str) -> str:
        if isinstance(path, str):
            return path
        return path.relative_to(self._root).as_posix() if path.is_relative_to(self._root) else path.name

    def _picture(self, pair: Pair, where: Where) -> Picture:
        if pair.image is None:
            if self._images is not None:
                where.warn("image.missing", f"there is no {pair.name} in {self._images}", "add the image")
            return Picture(self._pictures.stand_in(f"{pair.split}/{pair.name}"), 0, 0)
        if self._images is not None and not pair.image.is_relative_to(self._root):
            return self._elsewhere.find(pair.image.relative_to(self._images).as_posix(), where)
        return self._pictures.find(self._place(pair.image), where)

    def _artifacts(
        self, whole: list[Path], regions: list[Path], picture: Picture, where: Where
    ) -> tuple[tuple[Artifact, ...], list[str], Picture]:
        """The artifacts of mask files, the names of those that cannot be used, and the image.

        An image of unknown size has that of its first mask.
        """
        artifacts: list[Artifact] = []
        rejected: list[str] = []
        taken: set[str] = set()
        for path, is_region in [*((path, False) for path in whole), *((path, True) for path in regions)]:
            at = where._replace(file=str(path), region=f"mask {path.stem}" if is_region else "")
            pixels = read_mask(path, self._classes, at)
            if pixels and not picture.width:
                picture = picture._replace(width=pixels.width, height=pixels.height)
            fit = self._fit(pixels, picture.width, picture.height, at) if pixels else None
            if pixels is None or fit is None:
                rejected.append(self._place(path))
                continue
            if is_region and not pixels.parts:
                at.add("mask.empty", "the mask of a region has no pixels", "draw it again, or remove it")
                rejected.append(self._place(path))
            for part in pixels.parts:
                for rings in self._parts(part):
                    number = str(len(artifacts) + 1)
                    artifact_id = as_id(path.stem if is_region else number, taken, number)
                    taken.add(artifact_id)
                    artifacts.append(self._artifact(artifact_id, part, scaled(rings, *fit), at))
        return tuple(artifacts), rejected, picture

    def _parts(self, part: Part) -> list[tuple[Ring, ...]]:
        rings = from_mask(part.bits)
        return connected(rings) if self._split_components else [rings]

    def _artifact(self, artifact_id: str, part: Part, rings: tuple[Ring, ...], where: Where) -> Artifact:
        category, subtype, extra = None, None, Json()
        if part.value in self._classes:
            at = where.at(region=where.region or f"value {part.value}")
            category, subtype, extra = read_label(self._classes[part.value], at)
        elif part.value:
            extra = {NAMESPACE: {"value": part.value}}
        return Artifact(
            artifact_id=artifact_id, category=category, subtype=subtype, polygons=rings, extra=extra
        )

    def _fit(self, pixels: Pixels, width: int, height: int, where: Where) -> tuple[float, float] | None:
        """How much wider and higher the image is than its mask; `None` (reported): not in proportion."""
        if not width or not height or (pixels.width, pixels.height) == (width, height):
            return 1, 1
        sizes = f"the mask has {pixels.width} x {pixels.height} pixels, the image {width} x {height}"
        # In proportion up to one pixel, by which scaled sizes are rounded.
        if abs(pixels.width * height - pixels.height * width) <= max(
            width, height, pixels.width, pixels.height
        ):
            where.warn("mask.scaled", f"{sizes}: its outlines were scaled", "look whether they fit")
            return width / pixels.width, height / pixels.height
        swapped = (pixels.height, pixels.width) == (width, height)
        what = "it lies on its side" if swapped else "nobody knows how they fit"
        where.add("mask.size_differs", f"{sizes}: {what}", "make the mask anew, of the upright image")
        return None

    def finish(self) -> None:
        """Say how many masks were empty."""
        if self._empty_masks:
            self.where.problems.add(
                "mask.empty",
                f"{self._empty_masks} images have masks that are all background: read as {self._empty}",
                fix="if nobody looked at them, read them with empty='unlabelled'",
                severity="info",
                file=self.where.file,
                count=self._empty_masks,
            )
