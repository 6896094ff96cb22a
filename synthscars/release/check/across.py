"""What is seen only across images: the same picture twice, and what leaks from one split into another.

Of every image about half a kilobyte is kept. Pictures that may look alike, by their perceptual hash, are read
once more and compared pixel by pixel; for that at most `MOST_COMPARED` small copies are held.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from hashlib import blake2b
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from synthscars.engine import map_ordered
from synthscars.images import open_image, upright
from synthscars.lookalikes import Thumbnail, likeness, mean_error, near_hashes, telling_hash, thumbnail
from synthscars.problems import ImageError, Problem, Severity
from synthscars.records import ImageRecord, source_name
from synthscars.release.check.items import Item
from synthscars.release.check.pictures import Seen

Find = Callable[[str], bytes | Path | None]
"""From an image id to the file with its bytes, or to these bytes."""

ALIKE_KEPT = 20
"""Images of one perceptual hash in one split that are compared with others."""

MOST_COMPARED = 20_000
"""Images that are compared pixel by pixel at most (12 kB each)."""

_LEAK = "put them into one split: a model that trained on one is not judged by the other"


class _Entry(NamedTuple):
    image: str
    file: str
    split: str
    group: str
    phash: str


class Across:
    """Takes in images one by one and knows at the end which belong together and are torn apart."""

    def __init__(self) -> None:
        self._first: dict[str, _Entry] = {}
        self._groups, self._generations = _Together(), _Together()
        self._alike: list[_Entry] = []
        self._of_hash: Counter[tuple[str, str]] = Counter()

    def add(self, seen: Seen) -> Iterator[Problem]:
        """Take in one image; a second row of an image is told at once, and not taken in."""
        item = seen.item
        record = item.record
        entry = _Entry(record.image_id, item.file, record.split, record.group_id, seen.phash)
        before = self._first.get(entry.image)
        if before is not None:
            yield from _repeated(item, before)
            return
        self._first[entry.image] = entry
        if entry.split and entry.group:
            self._groups.add(entry.group, entry)
        generation = record.generation
        if entry.split and generation is not None and generation.prompt and generation.seed is not None:
            text = f"{generation.seed} {generation.prompt}".encode("utf-8", "replace")
            digest = blake2b(text, digest_size=16).digest()
            self._generations.add(digest, entry)
        if entry.phash:
            self._of_hash[entry.phash, entry.split] += 1
            if self._of_hash[entry.phash, entry.split] <= ALIKE_KEPT:
                self._alike.append(entry)

    def problems(self, find: Find, *, workers: int | None = None) -> Iterator[Problem]:
        """What leaks between splits. find: gives the bytes of an image once more, from any thread."""
        for group, entries in self._groups.torn():
            what = f"images of the group {str(group)[:12]} are in {{splits}}"
            yield from _torn("leak.group", what, entries)
        for _, entries in self._generations.torn():
            yield from _torn("leak.generation", "images of one prompt and seed are in {splits}", entries)
        yield from self._look_alikes(find, workers)

    def _look_alikes(self, find: Find, workers: int | None) -> Iterator[Problem]:
        near = near_hashes(
            [entry.phash for entry in self._alike], kinds=[entry.split for entry in self._alike]
        )
        pairs: list[tuple[int, int]] = []
        wanted: set[int] = set()
        skipped = near.left_out[1] + self._not_kept()
        for i, j in near.pairs:
            one, other = self._alike[i], self._alike[j]
            if one.split == other.split and one.group and one.group == other.group:
                continue
            if len(wanted) + (i not in wanted) + (j not in wanted) > MOST_COMPARED:
                skipped += one.split != other.split
                continue
            pairs.append((i, j))
            wanted |= {i, j}
        order = sorted(wanted)  # as they are in the files, so that each row group is read once
        small = dict(
            zip(
                order,
                map_ordered(lambda at: _small(find, self._alike[at]), order, workers=workers),
                strict=True,
            )
        )
        for i, j in pairs:
            yield from _compare(self._alike[i], self._alike[j], small[i], small[j])
        if skipped:
            yield Problem(
                code="leak.not_compared",
                what=f"{skipped:,} pairs of pictures in two splits that may look alike were not compared: "
                "there are too many",
                fix="take out the pictures that are reported, and check again",
                severity="warning",
                count=skipped,
            )

    def _not_kept(self) -> int:
        """Pairs of images of one hash in two splits that are not among those compared."""
        splits: dict[str, list[int]] = {}
        for (phash, _), count in self._of_hash.items():
            splits.setdefault(phash, []).append(count)
        found = 0
        for phash, counts in splits.items():
            if len(counts) > 1 and max(counts) > ALIKE_KEPT and telling_hash(phash):
                kept = [min(count, ALIKE_KEPT) for count in counts]
                found += sum(
                    a * b - x * y for (a, x), (b, y) in combinations(zip(counts, kept, strict=True), 2)
                )
        return found


class _Together:
    """Images that belong together, by a key: the first of each, and one of every other split."""

    def __init__(self) -> None:
        self._first: dict[Hashable, _Entry] = {}
        self._others: dict[Hashable, dict[str, _Entry]] = {}

    def add(self, key: Hashable, entry: _Entry) -> None:
        """Take in one image."""
        first = self._first.setdefault(key, entry)
        if entry.split != first.split:
            self._others.setdefault(key, {first.split: first}).setdefault(entry.split, entry)

    def torn(self) -> Iterator[tuple[Hashable, dict[str, _Entry]]]:
        """Keys whose images are in several splits, with one image of each split."""
        yield from self._others.items()


def _repeated(item: Item, before: _Entry) -> Iterator[Problem]:
    split = item.record.split
    if split and before.split and split != before.split:
        what = f"the same image is in {before.split} and in {split}"
        yield item.problem("leak.image", what, "take it out of one of them")
    elif item.released:
        what = f"another row has the same image: {before.file}"
        yield item.problem("image.repeated", what, "keep one: merge what both say")


def _torn(code: str, what: str, entries: dict[str, _Entry]) -> Iterator[Problem]:
    splits = " and ".join(sorted(entries))
    first, *others = entries.values()
    seen = ", ".join(f"{each.image[:12]} ({each.split})" for each in others)
    text = f"{what.replace('{splits}', splits)}; for instance {first.image[:12]} ({first.split}) and {seen}"
    yield Problem(code=code, what=text, fix=_LEAK, file=first.file, image=first.image)


def _compare(
    one: _Entry, other: _Entry, first: Thumbnail | None, second: Thumbnail | None
) -> Iterator[Problem]:
    found = likeness(first, second) if first is not None and second is not None else ""
    if not found or first is None or second is None:
        return
    apart = bool(one.split and other.split and one.split != other.split)
    if not apart and found == "near":
        return
    how = "one picture, encoded or scaled anew" if found == "same" else "hardly to be told apart"
    severity: Severity = "info" if not apart else "error" if found == "same" else "warning"
    place = f" in {other.split}" if other.split else ""
    yield Problem(
        code="leak.lookalike" if apart else "image.twin",
        what=f"it looks like {other.image[:12]}{place}: {how} "
        f"(mean difference {mean_error(first, second):.1f} of 255)",
        fix=_LEAK if apart else "look whether one is enough; give both one group_id",
        severity=severity,
        file=one.file,
        image=one.image,
    )


def _small(find: Find, entry: _Entry) -> Thumbnail | None:
    try:
        found = find(entry.image)
        data = found.read_bytes() if isinstance(found, Path) else found
        return None if data is None else thumbnail(upright(open_image(data)))
    except (ImageError, OSError):  # it was whole a moment ago
        return None


class Missing:
    """Counts what is often left open, to be told once: licences by source, categories."""

    def __init__(self) -> None:
        self._licences: Counter[str] = Counter()
        self._categories = 0
        self._not_at_hand = 0

    def add(self, record: ImageRecord, *, at_hand: bool) -> None:
        """Take in one image."""
        if not record.license.strip():
            self._licences[source_name(record.source)] += 1
        self._categories += sum(artifact.category is None for artifact in record.artifacts)
        self._not_at_hand += not at_hand

    def problems(self) -> Iterator[Problem]:
        """One problem for each source without licence, and one for each other kind."""
        for source, count in sorted(self._licences.items()):
            yield Problem(
                code="license.missing",
                what=f"{_images(count)} of the source {source or 'unknown'} have no licence",
                fix="ingest the source again with --license; correct the record otherwise",
                severity="warning",
                count=count,
            )
        notes: Iterable[tuple[str, int, str, str]] = (
            ("category.missing", self._categories, "artifacts have no category", "let raters choose one"),
            (
                "image.not_looked_at",
                self._not_at_hand,
                "images were not looked at: their files are not at hand",
                "name the folder of the images",
            ),
        )
        for code, count, what, fix in notes:
            if count:
                yield Problem(code=code, what=f"{count} {what}", fix=fix, severity="info", count=count)


def _images(count: int) -> str:
    return f"{count} image{'s' * (count != 1)}"
