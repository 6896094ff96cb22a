"""Reads what the dashboard needs from the workspace, and no more often than it has to.

Records are read again when a pull has written new ones, the audit log from where it was read up to. All of it
takes time: call it in a thread, one call at a time.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
from PIL import Image

from synthscars.companion.dashboard_data import (
    Answer,
    Audited,
    Dashboard,
    Dispute,
    Facts,
    Submission,
    answers_of,
    compose,
    disagreement,
)
from synthscars.companion.guard_answers import REJECTED_NAME
from synthscars.companion.guard_audit import FOLDER_NAME, Entry
from synthscars.companion.presence import Seen
from synthscars.companion.reconcile import Reconciled
from synthscars.drawing import draw_artifacts
from synthscars.images import open_image, upright
from synthscars.jsonl import read_records
from synthscars.labelstudio.assignment import read_assignment
from synthscars.labelstudio.material import known_answers
from synthscars.labelstudio.review import disputed, said_of
from synthscars.labelstudio.roles import people
from synthscars.metrics.gold import score_raters
from synthscars.problems import ImageError
from synthscars.records import Artifact, ImageRecord, Review
from synthscars.release.agreement import Agreement
from synthscars.release.page import jpeg_uri
from synthscars.workspace import Workspace

DISPUTES = 6
"""Pictures on the page."""

SIDE, SHORTER_SIDE = 560, 384
"""Pixels of a picture's longer side, and what its shorter one has at least, so that its key can be read."""

FILES = 31
"""Days of the audit log that are read."""

_SUBMITTED = re.compile(r"/api/tasks/[0-9]+/annotations/?")
_CHANGED = re.compile(r"/api/annotations/[0-9]+/?")
_KEPT_FILE = re.compile(rf"{REJECTED_NAME}/([0-9A-Za-z-]+\.json)")


_Rated = TypeVar("_Rated", Artifact, Review)


class Reader:
    """Keeps what was read of one workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._audit = AuditReader(workspace.platform_dir / FOLDER_NAME)
        self._read: tuple[object, ...] = ()
        self._facts = Facts()
        self.pictures: dict[str, str] = {}
        """Image id → address of a small picture with everybody's outlines, for the worst disputes."""

    def read(self, present: Sequence[Seen], pulls: Reconciled, now: float, hint_at: float) -> Dashboard:
        """The dashboard as of now.

        Raises `SynthScarsError` if the records or a file of the platform cannot be read.
        """
        audited = self._audit.read()
        names = self._names(audited)
        self._refresh(names)
        kept = {one.kept for one in audited.submissions[-1000:] if _KEPT_FILE.fullmatch(one.kept)}
        return compose(
            self._facts,
            audited,
            read_assignment(self._workspace),
            names,
            present,
            pulls,
            now,
            hint_at=hint_at,
            wrong={each: self._wrong(each) for each in kept},
        )

    def _names(self, audited: Audited) -> dict[str, str]:
        """Rater id → e-mail address: of those with a role, and of who else has submitted something."""
        found = {f"rater-{one.user}": one.email for one in audited.submissions if one.email}
        return found | {f"rater-{one.id}": one.email for one in people(self._workspace)}

    def _refresh(self, names: Mapping[str, str]) -> None:
        """Read the newest records, if they are others than those that were read last."""
        found = self._workspace.numbered(self._workspace.records_dir, ".jsonl.zst")
        if not found:
            return
        state = found[-1].stat()
        key = (found[-1], state.st_mtime_ns, state.st_size, tuple(sorted(names.items())))
        if key == self._read:
            return
        self._facts, worst = read_facts(
            found[-1],
            state.st_mtime,
            known_answers(self._workspace),
            names,
            self._workspace.settings.consensus.min_iou,
        )
        self.pictures = {
            record.image_id: picture
            for record in worst
            if (picture := _picture(self._workspace.find_image(record.image_id), record, names))
        }
        self._read = key

    def _wrong(self, kept: str) -> tuple[str, ...]:
        """Why an answer was refused, as its file tells."""
        path = self._workspace.platform_dir / kept
        try:
            return tuple(msgspec.json.decode(path.read_bytes(), type=_Rejected).wrong)
        except FileNotFoundError:
            return ()
        except (msgspec.DecodeError, OSError) as error:
            return (f"{kept} cannot be read: {error}",)


class _Rejected(msgspec.Struct):
    wrong: list[str] = []


def read_facts(
    path: Path,
    written: float,
    known: Mapping[str, ImageRecord],
    names: Mapping[str, str],
    min_iou: float,
) -> tuple[Facts, list[ImageRecord]]:
    """What a file of records tells, and the records that raters disagree about most, worst first.

    written: when. known: records whose answer is known, by image id. Raises `FormatError` if it cannot be
    read.
    """
    images: dict[str, str] = {}
    tasks: dict[int, str] = {}
    answers: list[Answer] = []
    golden: list[ImageRecord] = []
    worst: list[tuple[float, str, ImageRecord]] = []
    agreement, count = Agreement(), 0
    for record in read_records(path):
        images[record.image_id] = record.file_name
        tasks.update(dict.fromkeys(_tasks(record), record.image_id))
        answers.extend(answers_of(record))
        if record.image_id in known:
            golden.append(record)
        if len(record.reviews) < 2:
            continue
        merged = any(artifact.votes is not None for artifact in record.artifacts)
        agreement.add(record, None if merged else record.artifacts)
        if not merged and disputed([record], min_iou=min_iou):
            count += 1
            item = (disagreement(record, min_iou), record.image_id, record)
            (heapq.heappush if len(worst) < DISPUTES else heapq.heappushpop)(worst, item)
    report = agreement.report()
    shown = [record for _, _, record in sorted(worst, key=lambda item: (-item[0], item[1]))]
    scores = {image_id: score for score, image_id, _ in worst}
    facts = Facts(
        records=path.name,
        at=written,
        images=images,
        tasks=tasks,
        answers=tuple(answers),
        agreement=report if report.images else None,
        gold=tuple(score_raters(golden, known)),
        disputed=count,
        disputes=tuple(
            Dispute(
                record.image_id,
                record.file_name,
                scores[record.image_id],
                said_of(_named(record, names)),
                next(iter(_tasks(record)), 0),
            )
            for record in shown
        ),
    )
    return facts, shown


def _tasks(record: ImageRecord) -> list[int]:
    found = record.extra.get("label_studio_tasks")
    return [one for one in found if isinstance(one, int)] if isinstance(found, list) else []


def _named(record: ImageRecord, names: Mapping[str, str]) -> ImageRecord:
    """The record with raters' addresses in place of their numbers."""
    replace = msgspec.structs.replace
    return replace(
        record,
        artifacts=tuple(
            replace(one, rater_id=names.get(one.rater_id, one.rater_id)) for one in record.artifacts
        ),
        reviews=tuple(replace(one, rater_id=names.get(one.rater_id, one.rater_id)) for one in record.reviews),
    )


def _picture(path: Path | None, record: ImageRecord, names: Mapping[str, str]) -> str:
    """A small picture with everybody's outlines, `""` if the image is gone or damaged."""
    try:
        image = upright(open_image(path.read_bytes())) if path else None
    except (FileNotFoundError, ImageError):
        image = None
    if image is None:
        return ""
    named = _named(record, names)
    factor = min(max(SIDE / max(image.size), SHORTER_SIDE / min(image.size)), 1.0)
    small = image.resize([max(round(side * factor), 1) for side in image.size], Image.Resampling.LANCZOS)
    drawn = draw_artifacts(
        small, [_scaled(one, factor) for one in named.artifacts], labels=False, line=4, raters=named.raters
    )
    return jpeg_uri(drawn, 2 * SIDE)


def _scaled(artifact: Artifact, factor: float) -> Artifact:
    rings = tuple(tuple(value * factor for value in ring) for ring in artifact.polygons)
    return msgspec.structs.replace(artifact, polygons=rings)


class AuditReader:
    """Reads the lines that were added to the audit log since it was read last."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[str, int] = {}
        self._found: list[Submission] = []
        self._unreadable = 0

    def read(self) -> Audited:
        """Every submission of the last days, in the order of the log."""
        for path in sorted(self._folder.glob("????-??-??.jsonl"))[-FILES:]:
            with path.open("rb") as file:
                file.seek(self._read.get(path.name, 0))
                for line in file:
                    if not line.endswith(b"\n"):
                        break  # it is being written
                    self._read[path.name] = self._read.get(path.name, 0) + len(line)
                    # Most lines are drafts.
                    if b"annotations" in line:
                        self._add(line)
        return Audited(tuple(self._found), self._unreadable)

    def _add(self, line: bytes) -> None:
        try:
            entry = msgspec.json.decode(line, type=Entry)
        except msgspec.DecodeError:
            self._unreadable += 1
            return
        new = entry.method == "POST" and _SUBMITTED.fullmatch(entry.path)
        changed = entry.method == "PATCH" and _CHANGED.fullmatch(entry.path)
        refused = entry.status == 400
        if not ((new or changed) and refused) and not (new and entry.status == 201):
            return
        self._found.append(
            Submission(
                entry.at.timestamp(), entry.user, entry.email, entry.task, entry.project, refused, entry.kept
            )
        )
