"""What is seen only across images: leaks, twins, copied texts, missing licences."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from planting import TEST, clean, codes, other_image, problems_of, rows_of, says, with_artifacts, write_rows

from synthscars.release.check import texts


def test_one_image_in_two_rows_is_repeated_and_in_two_splits_leaks(release: Path) -> None:
    rows = rows_of(release)
    write_rows(release, [*rows, rows[0]])
    assert codes(release) == ["image.repeated"]
    write_rows(release, rows)
    write_rows(release, [*rows_of(release, TEST), rows[0]], TEST)
    assert codes(release) == ["leak.image", "manifest.image_moved"]


def test_a_group_in_two_splits_leaks(release: Path) -> None:
    rows = rows_of(release)
    rows[0]["group_id"] = rows_of(release, TEST)[0]["group_id"]
    write_rows(release, rows)
    (found,) = problems_of(release)
    assert found.code == "leak.group"
    assert "test and train" in found.what


def test_one_prompt_and_seed_in_two_splits_leak(release: Path) -> None:
    rows, test = rows_of(release), rows_of(release, TEST)
    generation = next(row for row in rows if row["generation"])["generation"]
    test[0]["generation"] = generation
    write_rows(release, test, TEST)
    (found,) = problems_of(release)
    assert found.code == "leak.generation"


def smooth(seed: int) -> Image.Image:
    """A picture of a few soft spots, which survives encoding."""
    cells = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize((48, 32), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (encoded(smooth(1), "JPEG", quality=95), [("leak.lookalike", "error")]),
        (
            encoded(smooth(1).point([*[min(v + 3, 255) for v in range(256)]] * 3), "PNG"),
            [("leak.lookalike", "warning")],
        ),
        (encoded(smooth(2), "PNG"), []),
    ],
    ids=["encoded anew", "a little brighter", "another picture"],
)
def test_a_picture_that_looks_alike_in_another_split_leaks(
    other: bytes, expected: list[tuple[str, str]], release: Path
) -> None:
    rows, test = rows_of(release), rows_of(release, TEST)
    other_image(clean(rows), encoded(smooth(1), "PNG"))
    other_image(test[0], other)
    write_rows(release, rows)
    write_rows(release, test, TEST)
    assert [(each.code, each.severity) for each in problems_of(release)] == expected


def test_twins_in_one_split_are_a_note_unless_they_share_a_group(release: Path) -> None:
    rows = rows_of(release)
    other_image(rows[0], encoded(smooth(1), "PNG"))
    other_image(rows[1], encoded(smooth(1), "JPEG", quality=95))
    write_rows(release, rows)
    (found,) = problems_of(release)
    assert (found.code, found.severity) == ("image.twin", "info")
    rows[1]["group_id"] = rows[0]["group_id"]
    write_rows(release, rows)
    assert codes(release) == []


@pytest.mark.parametrize(("images", "severity"), [(4, None), (5, "warning")])
def test_an_explanation_on_every_fourth_image_was_copied(
    images: int, severity: str | None, release: Path
) -> None:
    rows = rows_of(release)
    for row in [row for row in rows if row["artifacts"]][:images]:
        says(row, 0, explanation="This  is Impossible." if images % 2 else "This is impossible.")
    write_rows(release, rows)
    assert [(each.code, each.severity) for each in problems_of(release)] == (
        [("text.copied", severity)] if severity else []
    )


def test_many_explanations_on_some_images_each_are_one_note(
    release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "COPIED_IMAGES", 2)
    rows = rows_of(release)
    annotated = [row for row in rows if row["artifacts"]]
    for number, row in enumerate(annotated[:4]):
        says(row, 0, explanation=f"This is impossible, way {number // 2}.")
    write_rows(release, rows)
    (found,) = problems_of(release)
    assert (found.code, found.severity, found.count) == ("text.copied", "info", 2)
    assert "2 of" in found.what
    assert "1 more explanations" in found.what


def test_many_texts_in_two_scripts_are_a_note(release: Path) -> None:
    rows = rows_of(release)
    for row in rows:
        for index in range(len(row["artifacts"])):
            says(row, index, explanation=f"На руке {index} пальцев из {row['image_id'][:6]}.")
    write_rows(release, rows)
    (found,) = problems_of(release)
    assert (found.code, found.severity) == ("text.scripts", "info")


def test_a_licence_is_missing_once_for_each_source(release: Path) -> None:
    rows = rows_of(release)
    for number, row in enumerate(rows[:6]):
        row.update(license=" ", source=f"{'a' if number % 3 else 'b'}/images/{number}.png")
    write_rows(release, rows)
    assert [(each.code, each.count) for each in problems_of(release)] == [
        ("license.missing", 4),
        ("license.missing", 2),
    ]


def test_artifacts_without_category_are_counted(release: Path) -> None:
    rows = rows_of(release)
    for artifact in with_artifacts(rows)["artifacts"]:
        artifact.update(category=None, subtype=None)
    write_rows(release, rows)
    (found,) = problems_of(release)
    assert (found.code, found.severity) == ("category.missing", "info")
