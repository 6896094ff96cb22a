"""Where every image of a release belongs: its group, its split and its file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from synthscars.problems import Problems
from synthscars.release.configs import DATA, DETECTION
from synthscars.release.following import Place
from synthscars.release.leaks import LeakReport, leak_report
from synthscars.release.plan import Planned, plan_split
from synthscars.release.splits import SPLITS, Links, assign_splits, strata_of
from synthscars.release.waiting import Waiting
from synthscars.settings import ReleaseSettings

_ONLY_DETECTION = ("in detection alone",)


class Placed(NamedTuple):
    """groups, splits: of every image that is in the release. held_back: image → why another one is not.

    report: that no group was torn apart, and how evenly labels are spread.
    """

    groups: Mapping[str, str]
    splits: Mapping[str, str]
    files: list[Planned]
    held_back: Mapping[str, str]
    report: LeakReport


def place(
    waiting: Waiting,
    settings: ReleaseSettings,
    earlier: Mapping[str, Place],
    keeps_files: bool,
    problems: Problems,
) -> Placed:
    """Find a place for every image that waits.

    earlier: where images are in earlier releases. keeps_files: images of the release before stay in their
    file. Without any image there is an empty `train`, so that there are columns.
    """
    links = Links()
    strata: dict[str, tuple[str, ...]] = {}
    for image_id in waiting:
        record = waiting.outline(image_id)
        links.add(record)
        strata[image_id] = strata_of(record) if waiting.labelled(image_id) else _ONLY_DETECTION
        if record.split and record.split not in SPLITS:
            problems.add(
                "split.unknown",
                f"its source puts it into the split {record.split!r}; assigned like the others",
                image=image_id,
                severity="warning",
                fix=f"name one of {', '.join(SPLITS)}",
            )
    previous = {image_id: at.split for image_id, at in earlier.items()}
    names = {image_id: at.group for image_id, at in earlier.items()}
    groups = links.groups(previous, names, problems)
    shares = {split: getattr(settings, split) for split in SPLITS}
    splits = assign_splits(
        groups,
        shares,
        settings.seed,
        strata=strata,
        prescribed=links.prescribed,
        previous=previous,
        problems=problems,
    )
    places = earlier if keeps_files else {}
    files = [
        planned
        for folder in (DATA, DETECTION)
        for planned in _plan(folder, waiting, splits, places, problems)
    ]
    held_back = {image_id: "split.bridge" for image_id in waiting if image_id not in splits}
    return Placed(groups, splits, files, held_back, leak_report(splits, groups, links, shares, strata))


def _plan(
    folder: str,
    waiting: Waiting,
    splits: Mapping[str, str],
    places: Mapping[str, Place],
    problems: Problems,
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
            shards = {
                image_id: at.shard
                for image_id in members
                if (at := places.get(image_id))
                and (at.split, at.labelled) == (split, labelled)
                and at.shard is not None
            }
            yield from plan_split(folder, split, members, waiting.size, shards)
        elif labelled:
            problems.add(
                "split.empty",
                f"no image is left for {split}, so the release does not have it",
                severity="info",
                fix="more images, or other shares in synthscars.toml",
            )
