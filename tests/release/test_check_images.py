"""Each fault of one image is planted once in a small release, and `check` must find it and nothing else."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin
from planting import (
    TRAIN,
    Row,
    clean,
    codes,
    other_image,
    problems_of,
    rows_of,
    says,
    with_artifacts,
    write_rows,
)
from releasing import noise_png

Plant = Callable[[list[Row]], Row]


def first_artifact(change: Callable[[Row], None]) -> Plant:
    def plant(rows: list[Row]) -> Row:
        row = with_artifacts(rows)
        change(row["artifacts"][0])
        return row

    return plant


def whole_row(change: Callable[[Row], None], pick: Callable[[list[Row]], Row] = with_artifacts) -> Plant:
    def plant(rows: list[Row]) -> Row:
        row = pick(rows)
        change(row)
        return row

    return plant


def moved(polygons: list[list[float]]) -> Callable[[Row], None]:
    return lambda artifact: artifact.update(polygons=polygons)


def gps_png() -> bytes:
    exif = Image.Exif()
    exif[0x8825] = {0: b"\2\3\0\0", 1: "N", 2: (48.0, 8.0, 0.0)}
    return png_with(exif=exif)


def png_with(**saved: Any) -> bytes:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(noise_png(901))).save(buffer, "PNG", **saved)
    return buffer.getvalue()


def text_chunk(text: str) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text("workflow", text)
    return info


def two_frames() -> bytes:
    buffer = io.BytesIO()
    frames = [Image.open(io.BytesIO(noise_png(seed))).convert("RGB") for seed in (901, 903)]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def deep() -> bytes:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(noise_png(901))).convert("L").convert("I;16").save(buffer, "PNG")
    return buffer.getvalue()


def artist() -> Image.Exif:
    exif = Image.Exif()
    exif[0x013B] = "Ann Example"
    return exif


BOW_TIE = [[1.0, 1.0, 9.0, 9.0, 9.0, 1.0, 1.0, 7.0]]

FAULTS: dict[str, tuple[str, Plant]] = {
    "an image that is another file": (
        "image.altered",
        whole_row(lambda row: row["image"].update(bytes=noise_png(900))),
    ),
    "no image": ("image.missing", whole_row(lambda row: row["image"].update(bytes=None))),
    "an image that is cut off": (
        "image.damaged",
        whole_row(lambda row: other_image(row, noise_png(902)[:-900])),
    ),
    "an image that is none": ("image.unknown_format", whole_row(lambda row: other_image(row, b"not one"))),
    "an empty image": ("image.empty", whole_row(lambda row: other_image(row, b""))),
    "an image of two frames": ("image.animated", whole_row(lambda row: other_image(row, two_frames()))),
    "an image of 16 bits": ("viewer.pixels", whole_row(lambda row: other_image(row, deep()))),
    "another size": ("image.size", whole_row(lambda row: row.update(width=row["width"] + 1))),
    "a ring of two points": ("polygon.few_points", first_artifact(moved([[1.0, 1.0, 5.0, 5.0]]))),
    "a ring on one line": ("polygon.no_area", first_artifact(moved([[1.0, 1.0, 2.0, 2.0, 5.0, 5.0]]))),
    "an odd ring": ("polygon.odd", first_artifact(moved([[1.0, 1.0, 2.0, 9.0, 5.0, 5.0, 4.0]]))),
    "no ring": ("artifact.no_polygon", first_artifact(moved([]))),
    "a wrong box": ("artifact.bbox", first_artifact(lambda each: each.update(bbox=[0.0, 0.0, 1.0, 1.0]))),
    "a wrong area": ("artifact.area", first_artifact(lambda each: each.update(area=each["area"] * 1.001))),
    "two artifacts of one id": (
        "artifact.repeated_id",
        whole_row(lambda row: row["artifacts"][1].update(artifact_id=row["artifacts"][0]["artifact_id"])),
    ),
    "a caption of other artifacts": (
        "caption.stale",
        whole_row(lambda row: row.update(caption=row["caption"].replace("Image", "Picture"))),
    ),
    "a phrase that is not in a free caption": (
        "phrase.not_in_caption",
        whole_row(lambda row: row.update(caption=", ".join(each["phrase"] for each in row["artifacts"][1:]))),
    ),
    "an empty explanation": ("explanation.empty", whole_row(lambda row: says(row, 0, explanation=" "))),
    "an empty phrase": ("phrase.empty", whole_row(lambda row: says(row, 0, phrase=""))),
    "a placeholder": ("text.placeholder", whole_row(lambda row: says(row, 0, phrase="asdf"))),
    "another script": (
        "text.script",
        whole_row(lambda row: says(row, 0, explanation="На руке шесть пальцев.")),
    ),
    "a subtype of another category": (
        "label.wrong_category",
        first_artifact(lambda each: each.update(category=(each["category"] + 1) % 3)),
    ),
    "a rater without review": ("rater.no_review", first_artifact(lambda each: each.update(rater_id="x"))),
    "another list of raters": ("rater.list", whole_row(lambda row: row.update(rater_list=["a", "b"]))),
    "two reviews of a rater": (
        "rater.repeated",
        whole_row(
            lambda row: row.update(reviews=row["reviews"] * 2, rater_list=row["rater_list"] * 2),
        ),
    ),
    "clean with artifacts": ("status.has_artifacts", whole_row(lambda row: row.update(status=1))),
    "annotated without artifacts": ("status.no_artifact", whole_row(lambda row: row.update(status=2), clean)),
    "clean against all reviews": (
        "status.contradicts_reviews",
        whole_row(lambda row: row["reviews"][0].update(status=2), clean),
    ),
    "an image that nobody judged": (
        "status.not_judged",
        whole_row(lambda row: row.update(status=0, reviews=[], rater_list=[]), clean),
    ),
    "no licence": ("license.missing", whole_row(lambda row: row.update(license=""))),
    "a path in other fields": (
        "personal.path",
        whole_row(lambda row: row.update(extra='{"from": {"file": "C:\\\\Users\\\\Ann\\\\x.png"}}')),
    ),
    "an address in an artifact's other fields": (
        "personal.email",
        first_artifact(lambda each: each.update(extra='{"by": ["ann@example.org"]}')),
    ),
    "a path in a text chunk": (
        "personal.path",
        whole_row(lambda row: other_image(row, png_with(pnginfo=text_chunk('{"vae": "/home/ann/vae"}')))),
    ),
    "an address in EXIF": (
        "personal.email",
        whole_row(lambda row: other_image(row, png_with(exif=described("by ann@example.org")))),
    ),
    "a place in EXIF": ("personal.gps", whole_row(lambda row: other_image(row, gps_png()))),
    "a name in EXIF": ("personal.exif", whole_row(lambda row: other_image(row, png_with(exif=artist())))),
}


def described(text: str) -> Image.Exif:
    exif = Image.Exif()
    exif[0x010E] = text
    return exif


@pytest.mark.parametrize(("code", "plant"), FAULTS.values(), ids=FAULTS)
def test_a_fault_of_one_image_is_named_and_nothing_else(code: str, plant: Plant, release: Path) -> None:
    rows = rows_of(release)
    row = plant(rows)
    write_rows(release, rows)
    (found,) = problems_of(release)
    assert found.code == code
    assert found.fix
    if code != "license.missing":  # told by source
        assert found.image == row["image_id"]
        assert found.file == TRAIN


@pytest.mark.parametrize(
    ("code", "polygons", "severity"),
    [
        ("polygon.outside", [[1.0, 1.0, 90.0, 1.0, 9.0, 9.0]], "error"),
        ("polygon.crosses_itself", BOW_TIE, "warning"),
    ],
)
def test_a_ring_that_can_be_drawn_is_measured_as_well(
    code: str, polygons: list[list[float]], severity: str, release: Path
) -> None:
    rows = rows_of(release)
    artifact = with_artifacts(rows)["artifacts"][0]
    artifact["polygons"] = polygons
    write_rows(release, rows)
    assert codes(release) == ["artifact.area", "artifact.bbox", code]
    (found,) = (each for each in problems_of(release) if each.code == code)
    assert found.severity == severity
    assert found.region == f"artifact {artifact['artifact_id']}"


def test_metadata_of_the_generation_are_searched_and_not_repeated(release: Path) -> None:
    rows = rows_of(release)
    row = next(row for row in rows if row["generation"])
    row["generation"]["raw"] = '{"parameters": "a cat\\nModel: /home/annabelle/m.safetensors"}'
    row["generation"]["parameters"] = '{"Author": "annabelle@example.org"}'
    write_rows(release, rows)
    first, second = sorted(problems_of(release), key=lambda each: each.code)
    assert (first.code, first.region) == ("personal.email", "generation.parameters.Author")
    assert (second.code, second.region) == ("personal.path", "generation.raw.parameters")
    assert "annabelle" not in str(first) + str(second)


def test_raters_named_by_their_addresses_are_counted_once(release: Path) -> None:
    rows = rows_of(release)
    for row in rows:
        row["rater_list"] = ["ann@example.org"]
        for each in (*row["reviews"], *row["artifacts"]):
            each["rater_id"] = "ann@example.org"
    write_rows(release, rows)
    (found,) = problems_of(release)
    assert (found.code, found.count) == ("personal.rater", 1)
