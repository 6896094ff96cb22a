"""Reads the answers of all raters about one image out of Label Studio's tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from synthscars.converters.labelstudio_images import OUR_DATA, find_image, image_url, name_in
from synthscars.converters.labelstudio_kept import KEY, OTHERS, kept_fields
from synthscars.converters.labelstudio_results import Answers, first_part, join_parts, skip_reason
from synthscars.converters.labelstudio_shapes import shape_of
from synthscars.converters.labelstudio_tasks import SKIP_REASON, UNDECIDED, Json
from synthscars.converters.pictures import SourcePictures
from synthscars.converters.reading import Where, is_number, text, unknown_fields, whole
from synthscars.problems import Problems, Severity
from synthscars.records import Artifact, ImageRecord, Review, Status
from synthscars.taxonomy import Taxonomy

_PARSED = {
    *("id", "result", "completed_by", "was_cancelled", "lead_time", "task", "project", "result_count"),
    # Names the account's address.
    "created_username",
}
_PARSED_OF_DRAFTS = _PARSED - {"id", "result", "lead_time"} | {"user"}


class ImageReader:
    """Reads the tasks of one image; holds what every problem has to name.

    tasks: their data name an image (`image_key`). known: what the workspace knows about it. pictures: finds
    the file of an image that is known by its place only.
    """

    def __init__(
        self,
        source: str,
        tasks: list[Json],
        known: ImageRecord | None,
        problems: Problems,
        taxonomy: Taxonomy,
        pictures: SourcePictures,
    ) -> None:
        data = tasks[0]["data"]
        self.foreign = known is None and not text(data.get("image_id"))
        name = known.file_name if known else text(data.get("file_name")) or name_in(image_url(data))
        self.where = f"{source}, task {tasks[0].get('id')}{f', {name}' if name else ''}"
        self.image_id = known.image_id if known else text(data.get("image_id"))
        self.tasks = tasks
        self.problems = problems
        self.taxonomy = taxonomy
        self.rejected: list[Json] = []
        self.size_reported = False
        self.base = known or self._from_task(name, pictures)
        self.image_id = self.base.image_id

    def at(self, region: str = "") -> Where:
        """The place of a problem; region: the id of a region."""
        return Where(self.problems, self.where, self.image_id, region and f"region {region}")

    def warn(
        self, code: str, what: str, *, fix: str, region: str = "", severity: Severity = "warning"
    ) -> None:
        """Report a problem of this image; region: the id of a region."""
        self.problems.add(
            code,
            what,
            severity=severity,
            file=self.where,
            image=self.image_id,
            region=region and f"region {region}",
            fix=fix,
        )

    def record(self) -> ImageRecord:
        """The image with everybody's regions and answers."""
        reviews: list[Review] = []
        artifacts: list[Artifact] = []
        drafts = unsubmitted(self.tasks, self.at())
        # One project has a task for each image; several projects may have one each.
        projects = [task.get("project") for task in self.tasks]
        if len(set(map(str, projects))) < len(projects):
            ids = ", ".join(str(task.get("id")) for task in self.tasks)
            self.warn(
                "task.repeated",
                f"{len(self.tasks)} tasks show this image ({ids}); read as one",
                fix="nothing is lost; `synthscars platform push` takes away those that nobody has begun",
            )
        for rater_id, answers in self._by_rater().items():
            review, regions = self._review(rater_id, answers)
            reviews.append(review)
            artifacts += regions
        status = status_of(artifacts, reviews)
        told = {"skip_reason": _why_skipped(reviews)} if status == "skipped" else {}
        return msgspec.structs.replace(
            self.base,
            status=status,
            content_type=agreed(reviews) or self.base.content_type,
            artifacts=tuple(artifacts),
            reviews=tuple(reviews),
            extra={
                **self.base.extra,
                **self._extra(drafts),
                **{key: why for key, why in told.items() if why},
            },
        )

    def _from_task(self, name: str, pictures: SourcePictures) -> ImageRecord:
        data = self.tasks[0]["data"]
        width, height = whole(data.get("width")), whole(data.get("height"))
        told = width > 0 and height > 0
        if not told:
            width, height = self._size_from_results()
        image_id = self.image_id
        if self.foreign:
            name, found = find_image(image_url(data), (width, height), pictures, self.at())
            image_id, width, height = found.image_id, found.width, found.height
        elif not width:
            found = pictures.find(name, self.at(), image_id=image_id)
            width, height = found.width, found.height
        if not width or not (told or self.foreign):
            self.warn(
                "image.no_size",
                "the task's data hold no size of the image",
                fix="convert where the images are at hand, or write width and height into the data",
                severity="warning" if width or self.foreign else "error",
            )
        fields = kept_fields(self.tasks[0], self.at())
        # Foreign fields of a task are written again; all of them, where none is ours.
        others = {"data": unknown_fields(data, () if self.foreign else OUR_DATA)}
        meta = self.tasks[0].get("meta")
        others["meta"] = unknown_fields(meta, (KEY,)) if isinstance(meta, dict) else {}
        others = {key: value for key, value in others.items() if value}
        if others:
            fields["extra"] = {**fields.get("extra", {}), OTHERS: others}
        return ImageRecord(image_id=image_id, file_name=name, width=width, height=height, **fields)

    def _size_from_results(self) -> tuple[int, int]:
        for item in self._items("annotations"):
            width, height = whole(item.get("original_width")), whole(item.get("original_height"))
            if width and height:
                return width, height
        return 0, 0

    def _extra(self, drafts: list[Json]) -> Json:
        found = {
            "label_studio_tasks": [task.get("id") for task in self.tasks],
            "rejected_regions": self.rejected,
            "predictions": self._listed("predictions"),
            "drafts": drafts,
        }
        return {key: value for key, value in found.items() if value}

    @property
    def unconfirmed(self) -> int:
        """Predicted regions of this image that no rater made their own."""
        confirmed = {
            item.get("id")
            for item in self._items("annotations")
            if isinstance(item.get("id"), str) and str(item.get("origin")).startswith("prediction")
        }
        predicted = {
            (number, item["id"])
            for number, one in enumerate(self._listed("predictions"))
            for item in _dicts(one.get("result"))
            if isinstance(item.get("id"), str) and shape_of(item)
        }
        # The parts of one artifact (`ID~2`) count once, as they did when it was written.
        whole = {(one, name) for one, name in predicted if (one, first_part(name)) not in predicted}
        return sum(region_id not in confirmed for _, region_id in whole)

    def _listed(self, field: str) -> list[Json]:
        return [entry for task in self.tasks for entry in _dicts(task.get(field))]

    def _items(self, field: str) -> list[Json]:
        return [item for entry in self._listed(field) for item in _dicts(entry.get("result"))]

    # One rater

    def _by_rater(self) -> dict[str, list[Json]]:
        raters: dict[str, list[Json]] = {}
        for task in self.tasks:
            given = task.get("annotations", [])
            if not isinstance(given, list):
                self.warn(
                    "task.bad_annotations",
                    "the annotations are not a list",
                    fix="pull again, or export as JSON from Label Studio",
                    severity="error",
                )
                self.rejected.append({"annotations": given})
                continue
            for annotation in given:
                if not isinstance(annotation, dict):
                    self.warn(
                        "annotation.not_an_object",
                        "an annotation is not an object",
                        fix="pull again, or export as JSON from Label Studio",
                        severity="error",
                    )
                    self.rejected.append({"annotation": annotation})
                    continue
                raters.setdefault(self._rater_id(annotation), []).append(annotation)
        return raters

    def _rater_id(self, annotation: Json) -> str:
        who = annotation.get("completed_by")
        number = who.get("id") if isinstance(who, dict) else who
        if isinstance(number, int) and not isinstance(number, bool) and number >= 0:
            return f"rater-{number}"
        self.warn(
            "annotation.no_rater",
            f"annotation {annotation.get('id')} does not say who made it",
            fix="its account may have been deleted; it is kept as a rater of its own",
        )
        # Not one name for all of them: only the latest answer of each rater counts.
        number = annotation.get("id")
        return f"rater-unknown-{number}" if isinstance(number, int) else "rater-unknown"

    def _review(self, rater_id: str, given: list[Json]) -> tuple[Review, list[Artifact]]:
        *earlier, latest = sorted(given, key=_precedence)
        extra: Json = {
            "annotation_id": latest.get("id"),
            **_nameless(latest, _PARSED),
        }
        if earlier:
            which = "the ground truth" if latest.get("ground_truth") is True else "the latest"
            # In another project it came back to its rater on purpose; in the same, they answered twice.
            projects = {str(one.get("project")) for one in given}
            self.warn(
                "annotation.repeated",
                f"{rater_id} answered {len(given)} times; {which}, annotation {latest.get('id')}, counts",
                fix="the other answers are kept in the review's extra",
                severity="info" if len(projects) == len(given) else "warning",
            )
            extra["earlier_annotations"] = [{**one, "completed_by": rater_id} for one in earlier]
        items = latest.get("result", [])
        if latest.get("was_cancelled") is True:
            if items:
                extra["result"] = items
            if reason := skip_reason(items):
                extra["skip_reason"] = reason
            review = Review(rater_id=rater_id, status="skipped", seconds=_seconds(latest), extra=extra)
            return review, []
        answers = Answers(self, rater_id, items)
        if answers.relations:
            extra["relations"] = answers.relations
        if answers.other:
            extra["other_results"] = answers.other
        artifacts = join_parts(answers.artifacts)
        if (artifacts or answers.rejected) and answers.no_artifact:
            self.warn(
                "annotation.contradiction",
                f"{rater_id} drew regions and chose 'no visible artifact'; the regions count",
                fix="ask the rater which holds, and let them change the answer in Label Studio",
            )
        status: Status = "annotated"
        if not artifacts and answers.rejected:
            # Still an answer that something is wrong: it must weigh against those who found nothing.
            extra["unreadable"] = "no region could be read"
        elif not artifacts and answers.no_artifact:
            status = "clean"
        elif not artifacts and answers.skip_reason:
            # Submitted, but with a reason why it cannot be judged: as good as skipped.
            status, extra["result"], extra["skip_reason"] = "skipped", items, answers.skip_reason
        elif not artifacts:
            status, extra["skip_reason"] = "skipped", UNDECIDED
            self.warn(
                "annotation.empty",
                f"{rater_id} drew no region and did not choose 'no visible artifact'; read as skipped",
                fix="ask the rater to draw a region or to choose 'no visible artifact', and pull again",
            )
        if answers.skip_reason and status != "skipped":
            self.warn(
                "annotation.contradiction",
                f"{rater_id} chose a reason to skip and answered all the same; the answer counts",
                fix="ask the rater which holds, and let them change the answer in Label Studio",
            )
            reasons = [item for item in _dicts(items) if item.get("from_name") == SKIP_REASON]
            extra["other_results"] = [*extra.get("other_results", []), *reasons]
        review = Review(
            rater_id=rater_id,
            status=status,
            content_type=answers.content_type,
            scene=answers.scene,
            seconds=_seconds(latest),
            extra=extra,
        )
        return review, artifacts

    def check_size(self, item: Json) -> None:
        """Report, once per image, a size that differs from the upright one: percent fit any size."""
        size = (item.get("original_width"), item.get("original_height"))
        upright = (self.base.width, self.base.height)
        if self.size_reported or size in ((None, None), upright):
            return
        self.size_reported = True
        if size == upright[::-1]:
            self.warn(
                "image.size_swapped",
                f"the regions were drawn on {size[0]} x {size[1]} pixels, upright the image has "
                f"{upright[0]} x {upright[1]}; read on the upright size",
                fix="check that the regions lie where they should: the picture may have been shown turned",
            )
        else:
            self.warn(
                "image.size_differs",
                f"the regions were drawn on {size[0]} x {size[1]} pixels, the image has "
                f"{upright[0]} x {upright[1]}; read on the latter",
                fix="check that the regions lie where they should: the file may have been replaced",
            )


def unsubmitted(tasks: list[Json], where: Where) -> list[Json]:
    """Reports answers that were begun and not submitted, and returns what of them is to be kept."""
    # Numbers of drafts, or whole drafts: that depends on the way the task was exported.
    drafts = [draft for task in tasks if isinstance(task.get("drafts"), list) for draft in task["drafts"]]
    if drafts:
        where.add(
            "draft.not_submitted",
            f"{len(drafts)} drafts were not submitted; they are no answers, and are kept in extra",
            "ask the raters to submit them",
            severity="info",
        )
    return [_nameless(draft, _PARSED_OF_DRAFTS) for draft in _dicts(drafts)]


def status_of(artifacts: Sequence[Artifact], reviews: Sequence[Review]) -> Status:
    """The state of an image by what all its raters drew and answered."""
    if artifacts:
        return "annotated"
    if not reviews:
        return "unlabelled"
    # Whoever drew something that cannot be read did see artifacts: others cannot make the image clean.
    statuses = {review.status for review in reviews}
    return "clean" if "clean" in statuses and "annotated" not in statuses else "skipped"


def _why_skipped(reviews: Sequence[Review]) -> str:
    """The reason that most raters gave, `""` if none did."""
    given = [str(review.extra.get("skip_reason") or "") for review in reviews]
    counted = Counter(reason for reason in given if reason and reason != UNDECIDED)
    return min(counted, key=lambda reason: (-counted[reason], reason), default="")


def agreed(reviews: Sequence[Review]) -> str | None:
    """The content type that all who named one agree on."""
    found = {review.content_type for review in reviews if review.content_type}
    return found.pop() if len(found) == 1 else None


def _precedence(annotation: Json) -> tuple[bool, str, int]:
    """The greatest counts: the one that an adjudicator marked as ground truth, else the latest."""
    when = annotation.get("updated_at") or annotation.get("created_at")
    number = annotation.get("id")
    return (
        annotation.get("ground_truth") is True,
        when if isinstance(when, str) else "",
        number if isinstance(number, int) else 0,
    )


def _seconds(annotation: Json) -> float | None:
    seconds = annotation.get("lead_time")
    return float(seconds) if seconds is not None and is_number(seconds) else None


def _dicts(value: Any) -> list[Json]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _nameless(values: Json, without: Iterable[str]) -> Json:
    """What there is besides some fields, without people's names, which snapshots put in place of a number."""
    return {
        key: value.get("id") if isinstance(value, dict) and "email" in value else value
        for key, value in unknown_fields(values, without).items()
        if value not in (None, {})
    }
