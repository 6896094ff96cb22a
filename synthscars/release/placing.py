"""Where every image of a release belongs: its group, its split and its file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from synthscars.problems import Problems
from synthscars.records import ImageRecord
from synthscars.release.configs import DATA, DETECTION
from synthscars.release.following import Before
from synthscars.release.plan import Planned, plan_split
from synthscars.release.splits import SPLITS, assign_splits, merge_groups
from synthscars.release.waiting import Waiting
from synthscars.settings import ReleaseSettings


class Placed(NamedTuple):
    """groups, splits: of every image that is in the release. held_back: image → why another one is not."""

    groups: Mapping[str, str]
    splits: Mapping[str, str]
    files: list[Planned]
    held_back: Mapping[str, str]


def place(
    waiting: Waiting,
    settings: ReleaseSettings,
    previous: Mapping[str, str],
    before: Before | None,
    problems: Problems,
) -> Placed:
    """Find a place for every image that waits.

    previous: image → split in any earlier release. before: the release whose files are kept as they are.
    Without any image there is an empty `train`, so that there are columns.
    """
    prescribed: dict[str, str] = {}

    def records() -> Iterator[ImageRecord]:
        for image_id in waiting:
            record = waiting.record(image_id)
            if record.split in SPLITS:
                prescribed[image_id] = record.split
            elif record.split:
                problems.add(
                    "split.unknown",
                    f"its source puts it into the split {record.split!r}; assigned like the others",
                    image=image_id,
                    severity="warning",
                    fix=f"name one of {', '.join(SPLITS)}",
                )
            yield record

    groups = merge_groups(records())
    splits = assign_splits(
        groups,
        {split: getattr(settings, split) for split in SPLITS},
        settings.seed,
        prescribed=prescribed,
        previous=previous,
        problems=problems,
    )
    files = [
        planned
        for folder in (DATA, DETECTION)
        for planned in _plan(folder, waiting, splits, before, problems)
    ]
    held_back = {image_id: "split.bridge" for image_id in waiting if image_id not in splits}
    return Placed(groups, splits, files, held_back)


def _plan(
    folder: str, waiting: Waiting, splits: Mapping[str, str], before: Before | None, problems: Problems
) -> Iterator[Planned]:
    labelled = folder == DATA
    images: dict[str, list[str]] = {split: [] for split in SPLITS}
    for image_id, split in splits.items():
        if waiting.labelled(image_id) == labelled:
            images[split].append(image_id)
    if labelled and not any(images.values()):
        yield from plan_split(folder, "train", [], waiting.size, {})
        return
    for split, members in images.items():
        if members:
            yield from plan_split(folder, split, members, waiting.size, _earlier(before, labelled, split))
        elif labelled:
            problems.add(
                "split.empty",
                f"no image is left for {split}, so the release does not have it",
                severity="info",
                fix="more images, or other shares in synthscars.toml",
            )


def _earlier(before: Before | None, labelled: bool, split: str) -> dict[str, int]:
    """Image → number of its file in the release before, of the images that were in this split there."""
    if before is None or not all(shard.key for shard in before.manifest.files):
        return {}  # it was built when files did not keep their images yet
    manifest = before.manifest
    images = manifest.images if labelled else manifest.detection_images
    return {image_id: entry.shard for image_id, entry in images.items() if entry.split == split}
