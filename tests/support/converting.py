"""Round trips through a format, compared with what the format says that it can hold."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from pictures import picture

from synthscars.converters import formats
from synthscars.converters.holds import Holds, narrow
from synthscars.converters.losses import Losses
from synthscars.converters.pictures import TargetPictures, by_hash
from synthscars.geometry import bbox, to_rle
from synthscars.images import sha256
from synthscars.problems import Problems
from synthscars.records import Artifact, ImageRecord

changed = msgspec.structs.replace


def with_picture(record: ImageRecord, folder: Path, name: str, seed: int = 0) -> ImageRecord:
    """The record with a real PNG of its size in `folder`, whose id and name it takes."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    picture(seed, record.width, record.height).save(path)
    return changed(record, image_id=sha256(path.read_bytes()), file_name=name)


def target_of(name: str, folder: Path) -> Path:
    """A path that a file or folder of that format may have."""
    suffixes = formats.FORMATS[name].suffixes
    return folder / f"out{'' if formats.FORMATS[name].folder or not suffixes else suffixes[0]}"


def round_trip(
    records: list[ImageRecord], name: str, folder: Path, pictures: Path
) -> tuple[list[ImageRecord], Problems]:
    """Write records with copies of their images, read them again; also returns what was reported."""
    problems = Problems()
    target = target_of(name, folder)
    formats.write(records, target, problems, name, pictures=TargetPictures(by_hash([pictures])))
    # A single file has no place for images: the reader is told where they are.
    images = pictures if target.is_file() else None
    return list(formats.read(target, problems, name, images=images)), problems


def narrowed(records: list[ImageRecord], holds: Holds) -> list[ImageRecord]:
    """What a format should give back, by its own declaration."""
    return list(narrow(records, holds, Losses("", Problems())))


def assert_same(found: list[ImageRecord], expected: list[ImageRecord], holds: Holds) -> None:
    """Whether records came back as the format promises, whatever their order."""
    assert {one.image_id for one in found} == {one.image_id for one in expected}
    by_id = {one.image_id: one for one in found}
    for wanted in expected:
        _assert_same_image(by_id[wanted.image_id], wanted, holds)


def _assert_same_image(found: ImageRecord, wanted: ImageRecord, holds: Holds) -> None:
    assert len(found.artifacts) == len(wanted.artifacts)
    if "source" not in holds.image:  # a reader may say which file a record comes from
        found = changed(found, source="")
    if "group_id" not in holds.image:  # a release gives every image a group
        found = changed(found, group_id="")
    strip = {"artifacts": (), "extra": {}}
    assert changed(found, **strip) == changed(wanted, **strip)
    assert _plain(found.extra, holds) == _plain(wanted.extra, holds)
    for artifact, original in zip(found.artifacts, wanted.artifacts, strict=True):
        _assert_same_artifact(artifact, original, wanted, holds)


def _assert_same_artifact(found: Artifact, wanted: Artifact, image: ImageRecord, holds: Holds) -> None:
    strip = {"polygons": (), "extra": {}}
    if "artifact_id" not in holds.artifact:
        strip["artifact_id"] = ""
    assert changed(found, **strip) == changed(wanted, **strip)
    assert _plain(found.extra, holds) == _plain(wanted.extra, holds)
    size = (image.width, image.height)
    if holds.outlines == "exact":
        assert found.polygons == wanted.polygons
    elif holds.outlines == "rounded":
        for ring, again in zip(wanted.polygons, found.polygons, strict=True):
            assert again == pytest.approx(ring, rel=0, abs=1e-6)
    elif holds.outlines == "pixels":
        assert to_rle(found.polygons, *size) == to_rle(wanted.polygons, *size)
    elif holds.outlines == "boxes":
        assert bbox(found.polygons) == pytest.approx(bbox(wanted.polygons), abs=1e-6)


def _plain(extra: dict, holds: Holds) -> dict:
    return {key: value for key, value in extra.items() if not holds.namespace or key != holds.namespace}
