"""Strict validation of one answer: what a rater has to mend before it counts.

Label Studio checks nothing that reaches its API. Answers are read here by the converter that will read them
when they are pulled, and whatever that reports is told to the rater as long as the picture is before them.
Beyond it, an answer must say what the picture is about, be consistent, and be made of regions that are large
enough and described in words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from synthscars import geometry
from synthscars.converters.labelstudio_answers import ImageReader
from synthscars.converters.labelstudio_results import Answers, skip_reason
from synthscars.converters.labelstudio_shapes import shape_of
from synthscars.converters.pictures import SourcePictures
from synthscars.converters.reading import plain, whole
from synthscars.placeholders import is_placeholder
from synthscars.problems import Problem, Problems, Severity
from synthscars.records import Artifact, ImageRecord
from synthscars.shown import short
from synthscars.taxonomy import Taxonomy

MIN_AREA = 100.0
"""Square pixels of the original image: the default of `[platform] min_area`."""

MAX_SHOWN = 8
"""Problems that `message` names; a rater mends one after another."""

_YOU = "you"
_LARGEST_SIDE = 1_000_000
_REGION = "draw it again, or delete it"

# What the converter reports, by its code: what the rater can do about it. What is not here is no fault of
# the answer, or follows from another problem.
_FIXES = {
    "annotation.bad_result": "reload the page and submit again",
    "result.not_read": "delete it, and draw what it marks as a polygon of a category",
    "region.bad_polygon": f"{_REGION}: click three points or more around the place",
    "polygon.crosses_itself": "move its points until no edges cross, or draw it again",
    "polygon.outside": "move its points back onto the picture",
    "region.category": "select it and press the key of one category",
    "label.unknown": "select it and press the key of one category",
    "region.subtype": "select it and choose one subtype",
    "region.subtype_mismatch": "select it and choose a subtype of its category",
    "region.no_phrase": 'write where it is, for instance "the left hand"',
    "region.no_explanation": "write why it is impossible, in a full sentence",
}


class Fault(NamedTuple):
    """Something wrong with a region that can be read: a code, what, and what to do about it."""

    code: str
    what: str
    fix: str


def check_answer(
    answer: Mapping[str, Any], taxonomy: Taxonomy, *, min_area: float = MIN_AREA
) -> list[Problem]:
    """What is wrong with an answer: the body of `POST /api/tasks/{id}/annotations/`, or one of an export.

    An empty list says that it is good. Every problem is an error; `region` names the region as the rater sees
    it (`region 2 (structure: the left hand)`), `""` where it is about the whole answer. min_area: square
    pixels of the original image, whose size the regions themselves tell. Never raises, whatever is in there.
    """
    items = plain(answer.get("result", []))
    if items is None:
        items = []
    if answer.get("was_cancelled") is True:
        return [] if skip_reason(items) else [_NO_REASON]
    drawn = [item for item in items if _is_shape(item)] if isinstance(items, list) else []
    found = Problems()
    base = _image(drawn)
    if drawn and not base.width:
        return [
            _problem("answer.no_size", "the regions do not tell the size of the image", "reload the page")
        ]
    reader = ImageReader(
        "answer", [{"data": {}}], base, found, taxonomy, SourcePictures([None], "labelstudio")
    )
    answers = Answers(reader, _YOU, items)
    names = _names(drawn, answers.artifacts)
    problems = [*_reported(found, names)]
    for artifact in answers.artifacts:
        name = names.get(artifact.artifact_id, "")
        problems += [_problem(*fault, region=name) for fault in faults_of(artifact, min_area=min_area)]
    # Regions in the order in which they are listed, then what concerns the whole answer.
    order = {name: number for number, name in enumerate(names.values())}
    problems.sort(key=lambda problem: order.get(problem.region, len(order)))
    return problems + list(_of_the_whole(answers, bool(drawn)))


def faults_of(artifact: Artifact, *, min_area: float = MIN_AREA) -> Iterator[Fault]:
    """What is wrong with a region beyond what reading it reports: too small, or described by placeholders."""
    size = geometry.area(artifact.polygons)
    if size < min_area:
        yield Fault(
            "region.small",
            f"it covers {size:.3g} square pixels, less than {min_area:g}",
            "draw around all of what is wrong, or delete it if it was a slip",
        )
    for field, text, fix in (
        ("phrase", artifact.phrase, _FIXES["region.no_phrase"]),
        ("explanation", artifact.explanation, _FIXES["region.no_explanation"]),
    ):
        if text and is_placeholder(text):
            yield Fault(f"region.{field}_placeholder", f"the {field} {short(text, 40)!r} says nothing", fix)


def reported(
    records: Iterable[ImageRecord], problems: Problems, *, min_area: float = MIN_AREA
) -> Iterator[ImageRecord]:
    """Pass records on as they are; what `check_answer` would have refused in them becomes problems.

    Only what reading an export does not report by itself. Nothing is set aside for it.
    """
    for record in records:
        for artifact in record.artifacts:
            for code, what, _ in faults_of(artifact, min_area=min_area):
                told = f"{artifact.rater_id}: {what}"
                _tell(problems, record, code, told, region=f"region {artifact.artifact_id}")
        for review in record.reviews:
            name = review.rater_id
            if review.status == "skipped" and not review.extra.get("skip_reason"):
                told = f"{name} skipped the image without a reason"
                _tell(problems, record, "review.no_skip_reason", told, severity="info")
            elif review.status in ("annotated", "clean") and review.content_type is None:
                told = f"{name} did not say what the picture is about"
                _tell(problems, record, "review.no_content_type", told)
        yield record


def _tell(
    problems: Problems,
    record: ImageRecord,
    code: str,
    what: str,
    *,
    severity: Severity = "warning",
    region: str = "",
) -> None:
    fix = "it is kept; ask the rater to change the answer in Label Studio, and pull again"
    problems.add(
        code, what, fix=fix, severity=severity, file=record.file_name, image=record.image_id, region=region
    )


def message(problems: Sequence[Problem]) -> str:
    """The problems as the short text that the editor shows; `""` if there are none."""
    if not problems:
        return ""
    lines = ["This answer cannot be submitted yet. Nothing is lost: mend it and submit again."]
    for problem in problems[:MAX_SHOWN]:
        where = f"{problem.region}: " if problem.region else ""
        fix = f" → {problem.fix}" if problem.fix else ""
        lines.append(f"• {where}{problem.what}{fix}.")
    if len(problems) > MAX_SHOWN:
        lines.append(f"… and {len(problems) - MAX_SHOWN} more.")
    return "\n".join(lines)


def _problem(code: str, what: str, fix: str, region: str = "") -> Problem:
    return Problem(code=code, what=what, fix=fix, region=region)


_NO_REASON = _problem(
    "answer.no_skip_reason",
    "the image is skipped without a reason",
    'choose one under "Skip, because", then press Skip again',
)


def _of_the_whole(answers: Answers, drawn: bool) -> Iterator[Problem]:
    drawn = drawn or bool(answers.artifacts) or answers.rejected > 0
    if answers.no_artifact and drawn:
        yield _problem(
            "answer.contradiction",
            'regions are drawn, and "No visible artifact" is chosen',
            'press n to take "No visible artifact" back, or delete the regions',
        )
    if answers.skip_reason:
        if drawn or answers.no_artifact:
            yield _problem(
                "answer.contradiction",
                "there is an answer, and a reason to skip the image is chosen",
                "press Skip to skip it all the same, or take the reason back by pressing its key again",
            )
        return
    if not drawn and not answers.no_artifact:
        yield _problem(
            "answer.empty",
            "nothing is drawn",
            'press n for "No visible artifact" if you found none, or choose a reason and press Skip',
        )
    if answers.content_type is None:
        yield _problem(
            "answer.no_content_type", "it does not say what the picture is about", "press 7, 8, 9 or 0"
        )


def _reported(found: Problems, names: Mapping[str, str]) -> Iterator[Problem]:
    """What the converter reported, in words for the rater."""
    for problem in found:
        lost = problem.code == "result.not_read" and problem.severity != "error"
        if problem.code not in _FIXES or lost:
            continue
        what = re.split(r"; (?:its raw form|the \w+ is read as)", problem.what.removeprefix(f"{_YOU}: "))[0]
        if place := re.match(r"Self-intersection\[(-?[\d.]+)\S* (-?[\d.]+)", what):
            what = f"its outline crosses itself near x {float(place[1]):.0f}, y {float(place[2]):.0f}"
        elif problem.code == "polygon.crosses_itself":
            what = "its outline touches or crosses itself"
        region = problem.region.removeprefix("region ")
        fix = _FIXES[problem.code]
        yield _problem(problem.code, what, fix, region=names.get(region, problem.region))


def _is_shape(item: Any) -> bool:
    # Where a label is an item of its own, the shape comes twice.
    return isinstance(item, dict) and shape_of(item) != "" and item.get("type") != "labels"


def _image(drawn: Sequence[Mapping[str, Any]]) -> ImageRecord:
    """The image as far as the regions tell: only its size."""
    sizes = [(whole(item.get("original_width")), whole(item.get("original_height"))) for item in drawn]
    known = [size for size in sizes if min(size) > 0 and max(size) <= _LARGEST_SIDE]
    width, height = known[0] if known else (0, 0)
    return ImageRecord(image_id="", file_name="", width=width, height=height)


def _names(drawn: Sequence[Mapping[str, Any]], artifacts: Sequence[Artifact]) -> dict[str, str]:
    """Every region's id and how the rater knows it: its number, category and phrase."""
    read = {artifact.artifact_id: artifact for artifact in artifacts}
    ids = dict.fromkeys(item["id"] for item in drawn if isinstance(item.get("id"), str))
    names: dict[str, str] = {}
    for number, region_id in enumerate(ids, start=1):
        artifact = read.get(region_id)
        about = [artifact.category or "", short(" ".join(artifact.phrase.split()), 40)] if artifact else []
        told = ": ".join(filter(None, about))
        names[region_id] = f"region {number} ({told})" if told else f"region {number}"
    return names
