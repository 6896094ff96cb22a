"""All codes that the check gives, with how severe each is and what it means: `release check --codes`.

Readers of other formats give more, about what only their format can get wrong.
"""

from __future__ import annotations

from typing import NamedTuple


class Code(NamedTuple):
    """severity: the usual one, or two where it depends. meaning: what was seen."""

    severity: str
    meaning: str


CODES: dict[str, Code] = {
    # The order is that in which a release is looked at.
    "source.empty": Code("warning", "there is no image in it"),
    "file.missing": Code("error", "the manifest lists a file that is not there"),
    "file.altered": Code("error", "a file is not the one that was built (sha256 differs)"),
    "file.unlisted": Code("error", "a Parquet file that the manifest does not know"),
    "file.unreadable": Code("error", "a file cannot be read as Parquet"),
    "schema.wrong": Code("error", "a file lacks columns or has other classes, so that it cannot be read"),
    "schema.column_missing": Code("error", "a file lacks a column that no record needs"),
    "schema.column_added": Code("info", "a file has a column that a release does not have"),
    "schema.type": Code("warning", "a column has another type"),
    "row.unreadable": Code("error", "rows are damaged"),
    "row.wrong": Code("error", "a row does not fit the columns"),
    "manifest.missing": Code("info", "there is no manifest to compare with"),
    "manifest.unreadable": Code("error", "the manifest cannot be read"),
    "manifest.taxonomy": Code("warning", "the release has another version of the taxonomy"),
    "manifest.image_unlisted": Code("error", "images are in the files, not in the manifest"),
    "manifest.image_missing": Code("error", "images are in the manifest, not in the files"),
    "manifest.image_moved": Code("error", "images are in another split or group than the manifest says"),
    "manifest.artifacts": Code("error", "the manifest counts other artifacts than the files have"),
    "viewer.row_group_rows": Code("warning", "row groups have more rows than the Hub's viewer shows quickly"),
    "viewer.row_group_bytes": Code("warning", "row groups have more bytes than the Hub's viewer reads"),
    "viewer.page_index": Code("warning", "row groups have no index of pages"),
    "viewer.no_card": Code("warning", "there is no README.md"),
    "viewer.card": Code("error, warning", "the YAML of README.md cannot be read, or names no configs"),
    "viewer.data_files": Code("error", "README.md names files that are not there"),
    "viewer.features": Code("error", "README.md tells of other columns than the files have"),
    "viewer.num_examples": Code("error", "README.md counts other rows than the files have"),
    "viewer.pixels": Code("error, warning", "the pixels of an image do not fit into RGB"),
    "image.bad_id": Code("error", "image_id is no sha256"),
    "image.missing": Code("error", "a row has no image in it"),
    "image.altered": Code("error", "an image is not the file that its id names"),
    "image.unreadable": Code("error", "the file of an image cannot be read"),
    "image.empty": Code("error", "the file of an image is empty"),
    "image.unknown_format": Code("error", "it is not an image in a known format"),
    "image.too_large": Code("error", "an image has too many pixels"),
    "image.animated": Code("error", "an image has more than one frame"),
    "image.damaged": Code("error", "an image cannot be decoded"),
    "image.size": Code("error", "an image has another size than its record"),
    "image.repeated": Code("error", "two rows have the same image"),
    "image.twin": Code("info", "two images of one split are one picture, encoded or scaled anew"),
    "image.not_looked_at": Code("info", "the files of images are not at hand"),
    "polygon.odd": Code("error", "a ring has a coordinate too many"),
    "polygon.not_finite": Code("error", "a coordinate is no number"),
    "polygon.few_points": Code("error", "a ring has fewer than three points"),
    "polygon.no_area": Code("error", "a ring covers nothing"),
    "polygon.crosses_itself": Code("warning", "a ring crosses itself"),
    "polygon.outside": Code("error, warning", "a ring leaves the image; a warning outside of releases"),
    "artifact.no_polygon": Code("error", "an artifact has no outline"),
    "artifact.bbox": Code("error", "the box of an artifact is not that of its outline"),
    "artifact.area": Code("error", "the area of an artifact is not that of its outline"),
    "artifact.repeated_id": Code("error", "two artifacts of an image have one id"),
    "caption.stale": Code("warning", "the caption says something else than the artifacts"),
    "phrase.not_in_caption": Code("warning", "the caption has no place for a phrase"),
    "phrase.empty": Code("warning", "a phrase is empty"),
    "explanation.empty": Code("warning", "an explanation is empty"),
    "text.placeholder": Code("warning", "a text is a placeholder: `todo`, `asdf`, `xxx`"),
    "text.copied": Code("warning, info", "many images have one explanation; a warning from a quarter on"),
    "text.script": Code("warning", "a text is in other letters than the rest"),
    "text.scripts": Code("info", "many texts are in other letters than the rest"),
    "text.language": Code("warning", "a text is in another language than the rest"),
    "text.languages": Code("info", "many texts are in another language than the rest"),
    "label.unknown": Code("error", "a label is not in the taxonomy"),
    "label.wrong_category": Code("error", "a subtype belongs to another category"),
    "category.missing": Code("info", "artifacts have no category"),
    "rater.no_review": Code("warning", "somebody drew artifacts and has no review"),
    "rater.repeated": Code("warning", "somebody reviewed an image more than once"),
    "rater.list": Code("error", "rater_list does not fit the reviews"),
    "status.has_artifacts": Code("error", "an image has artifacts, and its status says otherwise"),
    "status.no_artifact": Code("error", "an image is annotated, and has no artifact"),
    "status.contradicts_reviews": Code("warning", "all reviews contradict the status"),
    "status.not_judged": Code("warning", "nobody said what is wrong with an image"),
    "leak.image": Code("error", "one image is in two splits"),
    "leak.group": Code("error", "images of one group are in two splits"),
    "leak.generation": Code("error", "images of one prompt and seed are in two splits"),
    "leak.lookalike": Code(
        "error, warning", "pictures in two splits look alike; an error if they are the same"
    ),
    "leak.not_compared": Code("warning", "there were too many pictures alike to compare all"),
    "personal.path": Code("warning", "a path with the name of a user"),
    "personal.host": Code("warning", "the name of a computer in a path"),
    "personal.email": Code("warning", "an e-mail address"),
    "personal.secret": Code("warning", "a key, a token or a password"),
    "personal.gps": Code("warning", "where an image was taken"),
    "personal.exif": Code("warning", "the name of somebody, or the number of a camera, in metadata"),
    "personal.rater": Code("warning", "ids of raters are their e-mail addresses"),
    "license.missing": Code("warning", "images of a source have no licence"),
    "drift.not_compared": Code("warning", "the version before cannot be read"),
    "drift.split": Code("warning, info", "other shares of the splits than in the version before"),
    "drift.status": Code("warning, info", "other shares of clean and annotated images"),
    "drift.origin": Code("warning, info", "other shares of synthetic and real images"),
    "drift.content_type": Code("warning, info", "other shares of content types"),
    "drift.category": Code("warning, info", "other shares of categories"),
    "drift.subtype": Code("warning, info", "other shares of subtypes"),
    "drift.generator": Code("warning, info", "other shares of generators"),
    "drift.source": Code("warning, info", "other shares of sources"),
    "drift.rater": Code("warning, info", "other shares of raters"),
    "drift.artifacts_per_image": Code("warning, info", "more or fewer artifacts per image"),
    "drift.area_share": Code("warning, info", "larger or smaller artifacts"),
    "drift.vertices": Code("warning, info", "more or fewer points per outline"),
    "drift.phrase_length": Code("warning, info", "longer or shorter phrases"),
    "drift.explanation_length": Code("warning, info", "longer or shorter explanations"),
    "drift.agreement": Code("warning, info", "raters agree more or less"),
    "drift.vanished": Code("warning", "a category, subtype or content type is gone"),
    "drift.new_rater": Code("warning", "one new rater answered most of the new images"),
}


def codes_markdown() -> str:
    """The codes as a Markdown table, as the documentation has it."""
    lines = [f"| `{name}` | {code.severity} | {code.meaning} |" for name, code in CODES.items()]
    return "\n".join(["| code | severity | tells that |", "|---|---|---|", *lines])
