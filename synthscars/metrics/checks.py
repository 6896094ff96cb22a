"""What can be used of a prediction, and what is told about the rest."""

from __future__ import annotations

import msgspec

from synthscars.metrics.text import MAX_TEXT
from synthscars.predictions import Prediction
from synthscars.problems import FormatError, Problem, Problems, Severity
from synthscars.records import ImageRecord
from synthscars.taxonomy import load_taxonomy

MAX_REGIONS = 300
"""Regions of one prediction that are looked at: every one is compared with every true one."""

MARKS = ("[SEG]", "<p>", "</p>")


def usable_prediction(
    prediction: Prediction | None, record: ImageRecord, problems: Problems | None
) -> Prediction | None:
    """The prediction as far as it can be used, `None` if it cannot; see `tell` for `problems`."""
    if prediction is None:
        return None
    image = record.image_id
    if prediction.image_id != image:
        raise FormatError(f"the prediction of image {prediction.image_id} was given for image {image}")
    if (prediction.width, prediction.height) != (record.width, record.height):
        tell(
            problems,
            "prediction.size",
            f"the prediction is for {prediction.width} x {prediction.height} pixels, the image has "
            f"{record.width} x {record.height} ({record.file_name}); it counts as an empty answer",
            fix="scale outlines and masks to the upright image, and say its size",
            image=image,
        )
        return None
    if len(prediction.regions) > MAX_REGIONS:
        tell(
            problems,
            "prediction.regions",
            f"{len(prediction.regions)} regions; the first {MAX_REGIONS} count",
            fix="leave out the regions that the model is least sure of",
            image=image,
        )
        prediction = msgspec.structs.replace(prediction, regions=prediction.regions[:MAX_REGIONS])
    texts = [prediction.text, *(text for r in prediction.regions for text in (r.phrase, r.explanation))]
    if max(map(len, texts)) > MAX_TEXT:
        what = f"a text of {max(map(len, texts)):,} characters; the first {MAX_TEXT:,} are compared"
        tell(problems, "prediction.long_text", what, image=image, severity="warning")
    if any(mark in prediction.text for mark in MARKS):
        tell(
            problems,
            "prediction.marks",
            f"the text holds marks ({', '.join(mark for mark in MARKS if mark in prediction.text)}), which "
            "are compared as if they were words",
            fix="take them out: the text is the caption alone",
            image=image,
            severity="warning",
        )
    known = load_taxonomy()
    labels = {*known.category_ids, *known.subtype_ids}
    told = {label for region in prediction.regions for label in (region.category, region.subtype) if label}
    unknown = sorted(told - labels)
    if unknown:
        tell(
            problems,
            "prediction.label",
            f"the taxonomy has no {', '.join(unknown)[:200]}; it counts as a wrong label",
            fix=f"the categories are {', '.join(known.category_ids)}",
            image=image,
            severity="warning",
        )
    return prediction


def tell(
    problems: Problems | None,
    code: str,
    what: str,
    *,
    image: str,
    fix: str = "",
    region: str = "",
    severity: Severity = "error",
) -> None:
    """Report a problem, or raise `FormatError` if it is an error and nobody collects them."""
    problem = Problem(code=code, what=what, fix=fix, severity=severity, image=image, region=region)
    if problems is not None:
        problems.extend([problem])
    elif problem.severity == "error":
        raise FormatError(f"{problem.where}: {what}", fix=fix)
