"""What the dashboard shows, worked out from what is known: no files are read here, and no clock.

Raters are `rater-N` in records, N being Label Studio's number of their account; people know each other by
e-mail address, so `names` says which is which. All times are seconds since 1970, days and hours UTC.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec
import numpy as np

from synthscars.companion.presence import Seen
from synthscars.companion.reconcile import Reconciled
from synthscars.consensus import clusters
from synthscars.labelstudio.assignment import Assignment, Batch
from synthscars.metrics.gold import RaterGold
from synthscars.records import ImageRecord
from synthscars.release.agreement import AgreementReport

DAYS = 14
HOURS = 24
"""How far back the bars go."""

REFUSALS = 10
"""How many refused submissions are listed."""

PULL_SECONDS = 3600.0
"""An answer that came so long before the records were written may have come too late for their export."""


class Answer(msgspec.Struct, frozen=True):
    """One rater's answer to one image. seconds: that it took. again: it came after an earlier one."""

    image_id: str
    rater_id: str
    status: str
    at: float | None = None
    seconds: float | None = None
    again: bool = False


class Dispute(msgspec.Struct, frozen=True):
    """An image that raters disagree about. disagreement: see `disagreement`. project: 0 if not known."""

    image_id: str
    file_name: str
    disagreement: float
    said: str
    task: int = 0
    project: int = 0


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the records of the newest pull tell. at: when they were written. images: that are tasks.

    tasks: number of a task → its image. disputed: images that raters disagree about, of which `disputes` are
    the worst. answers: everybody's. agreement: `None` while no image has two answers.
    """

    records: str = ""
    at: float = 0.0
    images: dict[str, str] = {}
    tasks: dict[int, str] = {}
    answers: tuple[Answer, ...] = ()
    agreement: AgreementReport | None = None
    gold: tuple[RaterGold, ...] = ()
    disputed: int = 0
    disputes: tuple[Dispute, ...] = ()


class Submission(msgspec.Struct, frozen=True):
    """An answer that went through the guard, by the audit log. kept: where a refused one was put."""

    at: float
    user: int
    email: str
    task: int
    project: int
    refused: bool = False
    kept: str = ""


class Audited(msgspec.Struct, frozen=True):
    """What the audit log tells. unreadable: lines of it that are damaged."""

    submissions: tuple[Submission, ...] = ()
    unreadable: int = 0


class BatchProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a rater is in one batch of the queue. answered: `skipped` among them."""

    rater: str
    batch: str
    kind: str
    tasks: int
    answered: int
    skipped: int


class RaterWork(msgspec.Struct, frozen=True, kw_only=True):
    """One rater's answers. low, high: the quarter of them that took less, or more, lies beyond; seconds."""

    name: str
    answered: int
    skipped: int
    refused: int
    median: float | None = None
    low: float | None = None
    high: float | None = None


class Present(msgspec.Struct, frozen=True, kw_only=True):
    """Who did something a short while ago. task: 0 if it is not known which."""

    name: str
    what: str
    task: int
    file_name: str
    seconds_ago: float


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A submission that was refused. kept: where its drawing is; wrong: why, as far as a file tells."""

    at: float
    name: str
    task: int
    kept: str
    wrong: tuple[str, ...] = ()


class Dashboard(msgspec.Struct, frozen=True, kw_only=True):
    """Everything on the page but pictures. fresh: answers that came after the newest pull.

    answered: images with an answer. days, hours: the newest last, each with the time at which it begins.
    refused: submissions in as much of the audit log as was read. unreadable: damaged lines of it.
    """

    now: float
    records: str
    pulled_at: float
    pulls: Reconciled
    hint_at: float
    images: int
    answered: int
    answers: int
    fresh: int
    disputed: int
    refused: int
    unreadable: int
    batches: list[BatchProgress]
    raters: list[RaterWork]
    days: list[tuple[float, int]]
    hours: list[tuple[float, int]]
    present: list[Present]
    agreement: AgreementReport | None
    gold: list[tuple[str, RaterGold]]
    refusals: list[Refusal]
    disputes: list[Dispute]


def compose(
    facts: Facts,
    audited: Audited,
    plan: Assignment,
    names: Mapping[str, str],
    present: Sequence[Seen],
    pulls: Reconciled,
    now: float,
    *,
    hint_at: float = 0.0,
    wrong: Mapping[str, tuple[str, ...]] | None = None,
) -> Dashboard:
    """All figures of the page.

    names: rater id → e-mail address. present: who did what last, latest first. hint_at: when Label Studio
    last told of a change, 0 if never. wrong: what was wrong with refused answers, by where they are kept.
    """
    fresh = list(_fresh(facts, audited.submissions))
    answers = [*facts.answers, *fresh]
    times = [answer.at for answer in answers if answer.at is not None]
    refused = [one for one in audited.submissions if one.refused]
    return Dashboard(
        now=now,
        records=facts.records,
        pulled_at=facts.at,
        pulls=pulls,
        hint_at=hint_at,
        images=len(facts.images),
        answered=_answered_images(facts, answers),
        answers=len(answers),
        fresh=len(fresh),
        disputed=facts.disputed,
        refused=len(refused),
        unreadable=audited.unreadable,
        batches=_progress(plan.batches, answers, names),
        raters=_raters(answers, refused, names),
        days=_bars(times, now, DAYS, 86_400),
        hours=_bars(times, now, HOURS, 3600),
        present=[_present(one, facts, now) for one in present],
        agreement=facts.agreement,
        gold=[(names.get(one.rater_id, one.rater_id), one) for one in facts.gold],
        refusals=[
            Refusal(
                at=one.at,
                name=one.email or f"account {one.user}",
                task=one.task,
                kept=one.kept,
                wrong=(wrong or {}).get(one.kept, ()),
            )
            for one in sorted(refused, key=lambda one: -one.at)[:REFUSALS]
        ],
        disputes=_linked(facts.disputes, audited.submissions),
    )


def answers_of(record: ImageRecord) -> Iterable[Answer]:
    """Everybody's answer to an image."""
    for review in record.reviews:
        yield Answer(
            record.image_id,
            review.rater_id,
            review.status,
            _moment(review.extra.get("created_at")),
            review.seconds,
            bool(review.extra.get("earlier_annotations")),
        )


def disagreement(record: ImageRecord, min_iou: float) -> float:
    """How little raters agree about an image, in [0, 1]: 1 if no region was drawn by a second rater.

    Of every region, the share of the other raters who did not draw it; the mean over the regions, those that
    show the same artifact (mask IoU of at least `min_iou`) counted once. 0 with fewer than two answers.
    """
    raters = {review.rater_id for review in record.reviews if review.status in ("annotated", "clean")}
    drawn = [artifact for artifact in record.artifacts if artifact.rater_id in raters]
    if len(raters) < 2 or not drawn:
        return 0.0
    groups = [len(group) for group, _ in clusters(drawn, record.width, record.height, min_iou)]
    return sum((len(raters) - size) / (len(raters) - 1) for size in groups) / len(groups)


def _moment(text: object) -> float | None:
    """A time as Label Studio writes it, `None` for anything else."""
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return None if found is None else (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _fresh(facts: Facts, submissions: Iterable[Submission]) -> Iterable[Answer]:
    """First answers that the audit log knows of, and the records do not yet."""
    known = {(answer.image_id, answer.rater_id) for answer in facts.answers}
    for one in submissions:
        # A task that was made after the pull has no known image; its number serves as well here.
        image, rater = facts.tasks.get(one.task, f"task {one.task}"), f"rater-{one.user}"
        if not one.refused and one.at > facts.at - PULL_SECONDS and (image, rater) not in known:
            known.add((image, rater))
            yield Answer(image, rater, "submitted", one.at)


def _answered_images(facts: Facts, answers: Iterable[Answer]) -> int:
    # The newest tasks, a review's for instance, may be of images that are counted already.
    images = {answer.image_id for answer in answers}
    return len(images & facts.images.keys()) if facts.images else len(images)


def _progress(
    batches: Iterable[Batch], answers: Iterable[Answer], names: Mapping[str, str]
) -> list[BatchProgress]:
    given: dict[str, dict[str, Answer]] = {}
    for answer in answers:
        given.setdefault(names.get(answer.rater_id, answer.rater_id), {})[answer.image_id] = answer
    found = []
    for batch in batches:
        own = given.get(batch.rater, {})
        done = [own[image] for image in set(batch.images) if image in own]
        if batch.kind == "reopened":
            done = [answer for answer in done if answer.again]
        found.append(
            BatchProgress(
                rater=batch.rater,
                batch=batch.batch,
                kind=batch.kind,
                tasks=len(set(batch.images)),
                answered=len(done),
                skipped=sum(answer.status == "skipped" for answer in done),
            )
        )
    return found


def _raters(
    answers: Iterable[Answer], refused: Iterable[Submission], names: Mapping[str, str]
) -> list[RaterWork]:
    by_rater: dict[str, list[Answer]] = {}
    for answer in answers:
        by_rater.setdefault(answer.rater_id, []).append(answer)
    refusals = Counter(f"rater-{one.user}" for one in refused)
    found = []
    for rater in {*by_rater, *refusals}:
        own = by_rater.get(rater, [])
        seconds = [each.seconds for each in own if each.seconds is not None and each.status != "skipped"]
        low, median, high = np.percentile(seconds, (25, 50, 75)).tolist() if seconds else (None,) * 3
        found.append(
            RaterWork(
                name=names.get(rater, rater),
                answered=len(own),
                skipped=sum(each.status == "skipped" for each in own),
                refused=refusals[rater],
                median=median,
                low=low,
                high=high,
            )
        )
    return sorted(found, key=lambda one: (-one.answered, one.name))


def _bars(times: Iterable[float], now: float, count: int, seconds: int) -> list[tuple[float, int]]:
    last = int(now // seconds)
    found = Counter(int(time // seconds) for time in times)
    return [(float(step * seconds), found[step]) for step in range(last - count + 1, last + 1)]


def _present(seen: Seen, facts: Facts, now: float) -> Present:
    return Present(
        name=seen.email,
        what=seen.what,
        task=seen.task,
        file_name=facts.images.get(facts.tasks.get(seen.task, ""), ""),
        seconds_ago=max(now - seen.at, 0.0),
    )


def _linked(disputes: Iterable[Dispute], submissions: Iterable[Submission]) -> list[Dispute]:
    """Disputes with the project of their task, where the log knows it."""
    projects = {one.task: one.project for one in submissions if one.project}
    return [
        msgspec.structs.replace(one, project=one.project or projects.get(one.task, 0)) for one in disputes
    ]
