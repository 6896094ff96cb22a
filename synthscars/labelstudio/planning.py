"""Who gets which image: a plan that depends on nothing but what it is given.

A plan only grows. What was given to somebody stays with them, in its place; new images go to those with the
fewest. Nothing depends on the order in which images or raters are named: what has to be drawn by lot is drawn
by a hash of the seed and the names, so that an image has the same lot in every run.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from synthscars.labelstudio.assignment import Assignment, Batch, Wish
from synthscars.problems import Problems, UsageError

MAX_GOLD_SHARE = 0.5


class Candidate(msgspec.Struct, frozen=True):
    """An image that can be given out. group: shared by near-duplicates and variants, `""` without any."""

    image_id: str
    group: str = ""


def check_wish(wish: Wish, raters: Sequence[str]) -> None:
    """Raise `UsageError` if a wish cannot be fulfilled with these raters."""
    if not raters:
        raise UsageError(
            "there is nobody to assign images to",
            fix="add annotators with `synthscars platform users add`, or name them with --rater",
        )
    for name, share, most in (
        ("overlap share", wish.overlap_share, 1.0),
        ("gold share", wish.gold_share, MAX_GOLD_SHARE),
    ):
        if not 0 <= share <= most:
            raise UsageError(f"the {name} {share:g} is not between 0 and {most:g}")
    if wish.batch_size < 1 or wish.overlap_raters < 1:
        raise UsageError("a batch needs at least one task, and an image at least one rater")
    if wish.overlap_share and wish.overlap_raters > len(set(raters)):
        raise UsageError(
            f"{wish.overlap_raters} raters are to look at an image, but there are {len(set(raters))}",
            fix="add raters, or ask for fewer with --overlap-raters",
        )


def extend(
    before: Assignment,
    images: Iterable[Candidate],
    raters: Iterable[str],
    wish: Wish,
    *,
    gold: Iterable[str] = (),
    scores: Mapping[str, float] | None = None,
    limit: int | None = None,
) -> Assignment:
    """A plan with every image in it that is not in `before` yet.

    gold: image ids with a known answer; each rater gets some, in places drawn by lot, and they count neither
    as images to be annotated nor for the overlap. scores: images with a higher one come earlier in every
    queue; without a score, last. limit: take in so many images at most, the first ones.

    Of all images ever assigned, `overlap_share` (rounded half up) has several raters, unless more had
    already. Raters end with equally many images, or one more, if they began so. Raises `UsageError` as
    `check_wish` does.
    """
    raters = sorted(set(raters))
    check_wish(wish, raters)
    known_answers = set(gold)
    ordinary = _ordinary(before)
    scores = scores or {}
    groups = {image.image_id: image.group for image in images}
    new = [each for each in groups if each not in ordinary and each not in known_answers]
    new.sort(key=lambda each: (-scores.get(each, -math.inf), _lot(wish.seed, "order", each)))
    new = new[: len(new) if limit is None else max(limit, 0)]
    several = _several(ordinary, new, wish)

    queues: dict[str, list[str]] = {rater: [] for rater in raters}
    load = Counter(dict.fromkeys(raters, 0))
    met: dict[str, Counter[str]] = defaultdict(Counter)
    for image, owners in ordinary.items():
        load.update(owner for owner in owners if owner in queues)
        met[groups.get(image, "")].update(owners)
    for image in new:
        group = groups[image]
        alike = met[group] if group else Counter[str]()

        def fewest(rater: str, image: str = image, alike: Counter[str] = alike) -> tuple[int, int, bytes]:
            return load[rater], alike[rater], _lot(wish.seed, image, rater)

        for rater in sorted(raters, key=fewest)[: wish.overlap_raters if image in several else 1]:
            queues[rater].append(image)
            load[rater] += 1
            alike[rater] += 1

    batches = list(before.batches)
    for rater in raters:
        planted = _gold_for(rater, batches, load[rater], known_answers, wish)
        _append(batches, rater, _mixed(queues[rater], planted, rater, wish.seed), set(planted), wish)
    return msgspec.structs.replace(before, wish=wish, batches=tuple(batches))


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What one rater has in a plan. new: tasks that the last extension added; gold: with a known answer."""

    rater: str
    tasks: int
    new: int
    gold: int
    batches: int


class Outline(msgspec.Struct, frozen=True, kw_only=True):
    """A plan in numbers. images: that are to be annotated; several: of them, by more than one rater."""

    images: int
    new_images: int
    several: int
    raters: tuple[Share, ...]
    wish: Wish


def outline(before: Assignment, plan: Assignment, raters: Collection[str], problems: Problems) -> Outline:
    """What a plan comes to, and what it adds to the one before.

    That one of `raters` gets fewer known answers than wished for becomes a problem (`gold.too_few`).
    """
    owners = _ordinary(plan)
    had = Counter(batch.rater for batch in before.batches for _ in batch.images)
    shares = []
    for rater in sorted({batch.rater for batch in plan.batches}):
        own = plan.of(rater)
        tasks = sum(len(batch.images) for batch in own)
        gold = sum(len(batch.gold) for batch in own)
        wanted = _gold_wanted(plan.wish, sum(rater in each for each in owners.values()))
        if gold < wanted and rater in raters:
            problems.add(
                "gold.too_few",
                f"{rater} gets {gold} images with a known answer, not {wanted}: there are no more",
                severity="warning",
                fix="name more with --gold",
            )
        shares.append(Share(rater=rater, tasks=tasks, new=tasks - had[rater], gold=gold, batches=len(own)))
    return Outline(
        images=len(owners),
        new_images=len(owners) - len(_ordinary(before)),
        several=sum(len(each) > 1 for each in owners.values()),
        raters=tuple(shares),
        wish=plan.wish,
    )


def _ordinary(plan: Assignment) -> dict[str, set[str]]:
    """The raters of every image that was given out to be annotated, also again."""
    gold = {image for batch in plan.batches for image in batch.gold}
    found: dict[str, set[str]] = {}
    for batch in plan.batches:
        for image in batch.images:
            if image not in gold:
                found.setdefault(image, set()).add(batch.rater)
    return found


def _several(ordinary: Mapping[str, set[str]], new: Sequence[str], wish: Wish) -> set[str]:
    """Those of the new images that several raters get. Not by score: they are to stand for all images."""
    if wish.overlap_raters < 2:
        return set()
    wanted = math.floor(wish.overlap_share * (len(ordinary) + len(new)) + 0.5)
    missing = wanted - sum(len(owners) > 1 for owners in ordinary.values())
    return set(sorted(new, key=lambda image: _lot(wish.seed, "overlap", image))[: max(missing, 0)])


def _gold_for(rater: str, batches: Sequence[Batch], images: int, gold: set[str], wish: Wish) -> list[str]:
    """The images with a known answer that a rater gets in addition; fewer than wished for if there are not
    enough that they have not met.
    """
    own = [batch for batch in batches if batch.rater == rater]
    met = {image for batch in own for image in batch.images}
    missing = max(_gold_wanted(wish, images) - sum(len(batch.gold) for batch in own), 0)
    return sorted(gold - met, key=lambda image: _lot(wish.seed, rater, image))[:missing]


def _gold_wanted(wish: Wish, images: int) -> int:
    return math.floor(wish.gold_share / (1 - wish.gold_share) * images + 0.5)


def _mixed(images: Sequence[str], gold: Sequence[str], rater: str, seed: int) -> list[str]:
    """Both in one queue: one known answer in each of equally long stretches, at a place drawn by lot."""
    total = len(images) + len(gold)
    places = {}
    for number, image in enumerate(gold):
        start, end = total * number // len(gold), total * (number + 1) // len(gold)
        lot = int.from_bytes(_lot(seed, "place", rater, image)[:8], "big")
        places[start + lot % (end - start)] = image
    rest = iter(images)
    return [places[place] if place in places else next(rest) for place in range(total)]


def _append(batches: list[Batch], rater: str, queue: Sequence[str], gold: set[str], wish: Wish) -> None:
    """Put tasks behind those that a rater has: first into the last batch, then into new ones."""
    own = [number for number, batch in enumerate(batches) if (batch.rater, batch.kind) == (rater, "queue")]
    if own and queue:
        last = batches[own[-1]]
        room = max(wish.batch_size - len(last.images), 0)
        batches[own[-1]] = _longer(last, queue[:room], gold)
        queue = queue[room:]
    for number, start in enumerate(range(0, len(queue), wish.batch_size), start=len(own) + 1):
        empty = Batch(rater=rater, batch=f"{number:03d}")
        batches.append(_longer(empty, queue[start : start + wish.batch_size], gold))


def _longer(batch: Batch, images: Sequence[str], gold: set[str]) -> Batch:
    return msgspec.structs.replace(
        batch,
        images=(*batch.images, *images),
        gold=(*batch.gold, *(image for image in images if image in gold)),
    )


def reopen(plan: Assignment, image: str, rater: str) -> Assignment:
    """A plan in which a rater gets an image (again), as a new task that lies in a batch of its own kind."""
    own = [batch for batch in plan.of(rater) if batch.kind == "reopened"]
    size = plan.wish.batch_size
    if own and image not in own[-1].images and len(own[-1].images) < size:
        longer = _longer(own[-1], [image], set())
        return msgspec.structs.replace(
            plan, batches=tuple(longer if batch is own[-1] else batch for batch in plan.batches)
        )
    new = Batch(rater=rater, batch=f"{len(own) + 1:03d}", kind="reopened", images=(image,))
    return msgspec.structs.replace(plan, batches=(*plan.batches, new))


def _lot(seed: int, *names: str) -> bytes:
    """A number drawn for some names, the same in every run."""
    return hashlib.sha256("\0".join((str(seed), *names)).encode("utf-8", "surrogatepass")).digest()
