"""Holds a file of predictions against a release."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from synthscars.metrics import truth
from synthscars.metrics.masks import Rasterizer
from synthscars.metrics.scores import ImageScore, score_images
from synthscars.predictions import Prediction, PredictionFile
from synthscars.problems import Problems, ReleaseError, UsageError
from synthscars.records import ImageRecord

if TYPE_CHECKING:
    from synthscars.metrics.encoder import SentenceEncoder


class Truth(NamedTuple):
    """A split of a release. images: how many, `None` if that is not known before they are read.

    read: the records, one by one. other_ids: the ids of all images of all splits, `None` if that would mean
    to read them.
    """

    name: str
    split: str
    images: int | None
    read: Callable[[Problems], Iterator[ImageRecord]]
    other_ids: Callable[[], set[str]] | None = None


class Scored(NamedTuple):
    """The scores of a file of predictions, and its header."""

    header: dict[str, Any]
    scores: list[ImageScore]


def release_truth(folder: Path, split: str) -> Truth:
    """A split of a release on the disk. Raises `UsageError` if it has none of that name."""
    sizes = truth.split_sizes(folder)
    if split != truth.ALL and split not in sizes:
        there = ", ".join(sorted(filter(None, sizes)))
        raise UsageError(
            f"{folder.name} has no split {split}",
            fix=f"take --split {truth.ALL}" + (f", or one of {there}" if there else ""),
        )
    return Truth(
        name=_name(folder),
        split=split,
        images=sum(sizes.values()) if split == truth.ALL else sizes[split],
        read=lambda problems: truth.read_truth(folder, split, problems),
        other_ids=lambda: truth.image_ids(folder),
    )


def published_truth(name: str, split: str, revision: str = "") -> Truth:
    """A split of a dataset on the Hugging Face Hub, `org/name`."""
    return Truth(
        name=f"{name}@{revision}" if revision else name,
        split=split,
        images=None,
        read=lambda problems: truth.read_published(name, split, problems, revision),
    )


def _name(folder: Path) -> str:
    from synthscars.release.manifest import MANIFEST_NAME, read_manifest

    try:
        if (folder / MANIFEST_NAME).is_file():
            manifest = read_manifest(folder)
            return f"{manifest.name} {manifest.version}"
    except ReleaseError:
        pass  # told when the records are read
    return folder.name


def score_file(
    predictions: Path,
    release: Truth,
    problems: Problems,
    *,
    rasterizer: Rasterizer = "coco",
    encoder: SentenceEncoder | None = None,
    advance: Callable[[int], None] = lambda count: None,
) -> Scored:
    """Score every image of a split, in the order of the release; `advance` is called with 1 for each.

    Predictions and records are read one by one; the scores are held, some kilobytes an image. Images without
    a prediction are counted in one problem (`prediction.missing`), predictions of images that the release
    does not have are one each (`prediction.unknown`).
    """
    missing: list[str] = []
    used: set[str] = set()
    found: list[ImageScore] = []
    own = Problems()
    with PredictionFile(predictions, own) as file:

        def pairs() -> Iterable[tuple[Prediction | None, ImageRecord]]:
            for record in release.read(problems):
                used.add(record.image_id)
                prediction = file.get(record.image_id)
                if prediction is None:
                    missing.append(record.image_id)
                yield prediction, record

        for score in score_images(pairs(), rasterizer=rasterizer, encoder=encoder, problems=own):
            found.append(score)
            advance(1)
        left = [image_id for image_id in file if image_id not in used]
    if not found:
        raise UsageError(f"{release.name}: no image in its split {release.split}", fix="take another split")
    if missing:
        own.add(
            "prediction.missing",
            f"{len(missing):,} of {len(found):,} images have no prediction and count as empty answers; "
            f"first: {missing[0]}",
            severity="warning",
            fix="predict them, or say so where you report the figures",
            count=len(missing),
        )
    _tell_left(left, release, own)
    problems.extend(
        problem if problem.file else msgspec.structs.replace(problem, file=predictions.name)
        for problem in own
    )
    return Scored(file.header, found)


def _tell_left(left: list[str], release: Truth, problems: Problems) -> None:
    """Tell of predictions that no image of the split asked for."""
    others = release.other_ids() if left and release.other_ids is not None else set()
    elsewhere = sum(image_id in others for image_id in left)
    if elsewhere:
        problems.add(
            "prediction.other_split",
            f"{elsewhere:,} predictions are of images in other splits than {release.split}",
            severity="info",
            count=elsewhere,
        )
    where = f"the split {release.split} of the release" if release.other_ids is None else "the release"
    for image_id in left:
        if image_id not in others:
            problems.add(
                "prediction.unknown",
                f"{where} has no such image; the prediction does not count",
                fix="image_id is the sha256 of the image's bytes, the column image_id of the release",
                image=image_id[:80],
            )
