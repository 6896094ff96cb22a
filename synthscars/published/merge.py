"""One record an image, look-alikes in one group, and nothing of the test set leaking into training.

Policy, so that a release of the records has the published splits:

* several annotations of one file become several answers in one record (`picture.annotated_again`);
* one picture in several files (`picture.twin`): each keeps its record, all share a group;
* a picture of the train set that looks like one of the test set (`picture.train_test`): they share a group,
  and the record of the train set gets a review of the rater `import` that skips it, marked as final, as an
  adjudicator's would be. Consensus obeys it, so a release leaves it out and counts it under
  `near_duplicate_of_test`, and the test set stays as it was published. The annotations stay in the record;
* one file in both sets: one record in test, whose test annotations are final.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from synthscars.consensus import adjudicate
from synthscars.converters.synthscars_json_answers import as_answers
from synthscars.converters.synthscars_json_entries import entry_extra
from synthscars.problems import Problems, UsageError
from synthscars.published.pictures import Alike, linked
from synthscars.records import ImageRecord, Review

TEST = "test"
RATER = "import"
SKIP_REASON = "near_duplicate_of_test"

_changed = msgspec.structs.replace


class Final(NamedTuple):
    """An annotation that was chosen to overrule the others of its picture. split: `""` if it was not said."""

    split: str
    id: str


def parse_final(text: str) -> Final:
    """An annotation's id, with its split before it or not: `317`, `train/317`."""
    split, _, id = text.rpartition("/")
    return Final(split, id)


def merge(
    annotations: Sequence[ImageRecord],
    alike: Iterable[Alike],
    problems: Problems,
    *,
    final: Iterable[str] = (),
    min_iou: float = 0.5,
) -> list[ImageRecord]:
    """One record per image, in the order of the annotations.

    annotations: as `synthscars_json.read` gives them, one record each. alike: images that look alike. final:
    annotations that overrule the others of their image, see `parse_final`. min_iou: what consensus will use,
    to say what it will make of several answers.

    Raises `UsageError` if `final` names no annotation, or one of both splits.
    """
    chosen = _choose(annotations, [parse_final(text) for text in final])
    by_image: dict[str, list[int]] = {}
    for position, record in enumerate(annotations):
        by_image.setdefault(record.image_id, []).append(position)
    records = [
        _one_record([annotations[position] for position in positions], positions, chosen, problems, min_iou)
        for positions in by_image.values()
    ]
    return _group(records, list(alike), problems)


def _choose(annotations: Sequence[ImageRecord], final: Sequence[Final]) -> frozenset[int]:
    chosen: set[int] = set()
    for split, id in final:
        found = [
            position
            for position, record in enumerate(annotations)
            if entry_extra(record).id == id and split in ("", record.split)
        ]
        name = f"{split}/{id}" if split else id
        if not found:
            raise UsageError(f"there is no annotation {name}", fix="name one as the report does: train/317")
        if len({annotations[position].split for position in found}) > 1:
            splits = " and ".join(f"{annotations[position].split}/{id}" for position in found)
            raise UsageError(f"the annotation {name} is in two splits", fix=f"say which: {splits}")
        chosen.update(found)
    return frozenset(chosen)


def _name(record: ImageRecord) -> str:
    return f"{record.split}/{entry_extra(record).id}"


def _one_record(
    some: list[ImageRecord],
    positions: Sequence[int],
    chosen: frozenset[int],
    problems: Problems,
    min_iou: float,
) -> ImageRecord:
    if len(some) == 1:
        return some[0]
    final = [index for index, position in enumerate(positions) if position in chosen]
    splits = {record.split for record in some}
    split = TEST if TEST in splits else some[0].split
    leaks = len(splits) > 1 and TEST in splits
    if leaks and not final:
        final = [index for index, record in enumerate(some) if record.split == TEST]
    names = ", ".join(_name(record) for record in some)
    if leaks:
        problems.add(
            "picture.train_test",
            f"{names}: one file ({some[0].file_name}) is in test and in another split; it goes to test, "
            f"where {', '.join(_name(some[index]) for index in final)} counts",
            severity="warning",
            fix="if another annotation should count, name it with --final",
            file=some[0].source,
            image=some[0].image_id,
        )
    merged = as_answers(some, split=split, final=final)
    counting = [some[index] for index in final] or some
    if len(counting) > 1 or not leaks:
        problems.add(
            "picture.annotated_again",
            f"{names}: {len(some)} annotations of {merged.file_name}, kept as {len(some)} answers; "
            f"{_outcome(merged, len(counting), min_iou)}",
            severity="warning",
            fix=f"to let one count alone: --final {_name(some[0])}" if len(counting) > 1 else "",
            file=merged.source,
            image=merged.image_id,
        )
    return merged


def _outcome(merged: ImageRecord, counting: int, min_iou: float) -> str:
    """What consensus will make of the answers."""
    if counting == 1:
        return "one of them counts alone, as you chose"
    if not merged.width:
        return "its size is not known, so nothing can be said about how they agree"
    (agreed,) = adjudicate([merged], Problems(), min_iou=min_iou)
    drawn = len(merged.artifacts)
    if agreed.status == "annotated":
        standing = sum(artifact.votes or 0 for artifact in agreed.artifacts)
        kept = "1 artifact" if len(agreed.artifacts) == 1 else f"{len(agreed.artifacts)} artifacts"
        return f"{standing} of {drawn} outlines agree, and a release keeps {kept}"
    if agreed.status == "clean":
        return "they find nothing"
    return f"none of {drawn} outlines has a majority, so a release leaves the image out as disputed"


def _group(records: list[ImageRecord], alike: list[Alike], problems: Problems) -> list[ImageRecord]:
    by_id = {record.image_id: index for index, record in enumerate(records)}
    pairs = [
        pair
        for pair in alike
        if pair.first in by_id
        and pair.second in by_id
        and (pair.same or _across(records[by_id[pair.first]], records[by_id[pair.second]]))
    ]
    groups = linked((pair.first, pair.second) for pair in pairs)
    protected = {
        groups[record.image_id] for record in records if record.split == TEST and record.image_id in groups
    }
    for pair in pairs:
        _say(records[by_id[pair.first]], records[by_id[pair.second]], pair, problems)
    grouped: list[ImageRecord] = []
    for record in records:
        group = groups.get(record.image_id)
        if group is None:
            grouped.append(record)
            continue
        record = _changed(record, group_id=group)
        grouped.append(_left_out(record) if group in protected and record.split != TEST else record)
    return grouped


def _across(first: ImageRecord, second: ImageRecord) -> bool:
    return (first.split == TEST) != (second.split == TEST)


def _say(first: ImageRecord, second: ImageRecord, pair: Alike, problems: Problems) -> None:
    how = "show one picture" if pair.same else "look alike"
    what = (
        f"{_file(first)} and {_file(second)} {how} (mean difference {pair.error:.1f} of 255 at a small size)"
    )
    if _across(first, second):
        train = second if first.split == TEST else first
        problems.add(
            "picture.train_test",
            f"{what}; a release leaves {_file(train)} out",
            severity="warning",
            fix="judge no model on test that was trained on the other one",
            file=train.source,
            image=train.image_id,
        )
    else:
        problems.add(
            "picture.twin",
            f"{what}; both are kept, in one group",
            severity="info",
            file=first.source,
            image=first.image_id,
        )


def _file(record: ImageRecord) -> str:
    return f"{record.split}/{record.file_name} ({record.width} x {record.height})"


def _left_out(record: ImageRecord) -> ImageRecord:
    """The record with the importer's final word that it is not to be used."""
    review = Review(
        rater_id=RATER, status="skipped", extra={"ground_truth": True, "skip_reason": SKIP_REASON}
    )
    overruled = tuple(
        _changed(each, extra={key: value for key, value in each.extra.items() if key != "ground_truth"})
        for each in record.reviews
    )
    return _changed(record, reviews=(*overruled, review), extra={**record.extra, "skip_reason": SKIP_REASON})
