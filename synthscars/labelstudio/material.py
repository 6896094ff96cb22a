"""What a plan is made of besides the images: the raters, the scores by which images are put in order, and the
images whose answer is known.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from synthscars.jsonl import read_records, write_records
from synthscars.labelstudio.assignment import GOLD_NAME
from synthscars.labelstudio.roles import people
from synthscars.problems import FormatError, Problems
from synthscars.records import ImageRecord
from synthscars.workspace import Workspace


def annotators(workspace: Workspace) -> list[str]:
    """The addresses of everybody whose role is annotator. Raises `PlatformError` if the file is damaged."""
    return sorted(member.email for member in people(workspace) if member.role == "annotator")


def read_scores(path: Path, images: Iterable[ImageRecord], problems: Problems) -> dict[str, float]:
    """The score of each image, from JSON Lines or CSV with `image_id` or `file_name`, and `score`.

    Whatever gives images an order will do: disagreement between raters, a model's uncertainty. Lines that
    name no image of the workspace, or no number, become problems. Raises `FormatError` if the file is
    neither.
    """
    ids: dict[str, str] = {}
    for record in images:
        ids.setdefault(record.file_name, record.image_id)
        ids[record.image_id] = record.image_id
    scores: dict[str, float] = {}
    for number, row in enumerate(_rows(path), start=1):
        where = f"{path.name}, entry {number}"
        name = str(row.get("image_id") or row.get("file_name") or "")
        if name not in ids:
            what = f"the workspace has no image {name[:80]!r}" if name else "it names no image"
            problems.add("score.no_image", what, severity="warning", file=where, fix="the entry is left out")
            continue
        try:
            score = float(row.get("score"))  # type: ignore[arg-type]
        except (TypeError, ValueError):
            score = math.nan
        if math.isnan(score):
            problems.add(
                "score.no_number",
                f"its score is {str(row.get('score'))[:40]!r}",
                severity="warning",
                file=where,
                image=ids[name],
                fix="the image comes last",
            )
        else:
            scores[ids[name]] = score
    return scores


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        if path.suffix.lower() == ".csv":
            with path.open(encoding="utf-8-sig", newline="") as file:
                yield from csv.DictReader(file)
        else:
            with path.open("rb") as lines:
                for number, line in enumerate(lines, start=1):
                    if line.strip():
                        row = msgspec.json.decode(line)
                        if not isinstance(row, dict):
                            raise FormatError(f"{path}, line {number}: not an object", fix=_FORM)
                        yield row
    except (msgspec.DecodeError, csv.Error, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: {error}", fix=_FORM) from error


_FORM = 'write lines like {"image_id": "…", "score": 0.7}, or a .csv with these columns'


def read_known_answers(
    path: Path, images: Iterable[ImageRecord], problems: Problems
) -> dict[str, ImageRecord]:
    """Records whose answer is known, by image id, from JSON Lines as `consensus` and `simulate` write them.

    Records of other images, or that nobody judged, become problems. Raises `FormatError` if the file is not
    what it should be.
    """
    ids = {image.image_id for image in images}
    known: dict[str, ImageRecord] = {}
    for record in read_records(path):
        if record.image_id not in ids:
            code, what, fix = "gold.unknown_image", "the image is not in the workspace", "ingest it, or "
        elif record.status not in ("annotated", "clean"):
            code, what, fix = "gold.no_answer", f"it is {record.status}: there is no answer to know", ""
        else:
            known[record.image_id] = record
            continue
        problems.add(
            code,
            what,
            severity="warning",
            file=record.file_name,
            image=record.image_id,
            fix=f"{fix}take it out of the file",
        )
    return known


def keep_known_answers(workspace: Workspace, known: Mapping[str, ImageRecord]) -> None:
    """Replace the records whose answer is known. Call it with the workspace locked."""
    target = workspace.platform_dir / GOLD_NAME
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_records(target, (known[each] for each in sorted(known)))
    target.chmod(0o600)


def known_answers(workspace: Workspace) -> dict[str, ImageRecord]:
    """The records whose answer is known, by image id; none if none were given."""
    path = workspace.platform_dir / GOLD_NAME
    return {record.image_id: record for record in read_records(path)} if path.exists() else {}
