"""Artifacts on real pictures: which pictures, whose, and that only what is planted is marked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synthscars.problems import UsageError
from synthscars.simulate import read_backgrounds, read_truth, simulate_image, write_simulated
from synthscars.simulate.backgrounds import chosen
from synthscars.simulate.image import draw


def picture(path: Path, size: tuple[int, int] = (400, 300), seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = np.random.default_rng(seed).integers(60, 200, (size[1] // 20, size[0] // 20, 3), dtype=np.uint8)
    Image.fromarray(cells).resize(size).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    picture(tmp_path / "data/pictures/animal/cat.png")
    picture(tmp_path / "data/pictures/b.jpg", (600, 400), seed=1)
    (tmp_path / "data/pictures/notes.txt").write_text("not a picture")
    (tmp_path / "data/SOURCES.csv").write_text(
        "file,repository,path,license\npictures/b.jpg,someone/photos,raw/b.jpg,CC-BY-4.0\n"
    )
    return tmp_path / "data/pictures"


def test_source_licence_and_content_type_are_read(folder: Path) -> None:
    cat, other = read_backgrounds(folder, "CC0-1.0")
    assert (cat.source, cat.license, cat.content_type) == ("animal/cat.png", "CC0-1.0", "animal")
    assert (other.source, other.license) == ("someone/photos/raw/b.jpg", "CC-BY-4.0")
    assert other.content_type is None
    assert read_backgrounds(folder)[0].license == ""


def test_pictures_that_cannot_be_used_are_all_named(folder: Path) -> None:
    picture(folder / "small.png", (200, 300))
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 not really")
    (folder / "elsewhere.png").symlink_to(folder.parent.parent / "outside.png")
    picture(folder.parent.parent / "outside.png")
    with pytest.raises(UsageError) as caught:
        read_backgrounds(folder)
    for name in ("small.png", "broken.jpg", "elsewhere.png"):
        assert name in caught.value.message
    (folder.parent / "empty").mkdir()
    with pytest.raises(UsageError, match="no picture"):
        read_backgrounds(folder.parent / "empty")
    with pytest.raises(UsageError, match="not a folder"):
        read_backgrounds(folder / "b.jpg")


def test_the_record_says_what_the_image_was_made_from(folder: Path) -> None:
    found = read_backgrounds(folder)
    records = [simulate_image(0, index, chosen(found, 0, index)).record for index in range(4)]
    assert {record.source for record in records} == {
        "synthscars simulate/someone/photos/raw/b.jpg",
        "synthscars simulate/animal/cat.png",
    }
    for record in records:
        on_cat = record.source.endswith("cat.png")
        assert record.license == ("" if on_cat else "CC-BY-4.0")
        assert record.content_type == ("animal" if on_cat else None)
        assert record.origin == "synthetic"
    # All images on one background belong together, whatever is planted on them.
    assert len({(record.source, record.group_id) for record in records}) == 2
    assert all(record.group_id for record in records)


def test_only_what_is_planted_changes_and_is_marked(folder: Path) -> None:
    found = read_backgrounds(folder)
    for index in range(6):
        background = chosen(found, 0, index)
        planted = np.asarray(draw(0, index, background=background).image, dtype=int)
        plain = np.asarray(draw(0, index, plant=False, background=background).image, dtype=int)
        changed = np.abs(planted - plain).max(axis=2) > 10
        artifacts = simulate_image(0, index, background).record.artifacts
        assert changed.any() == bool(artifacts)


def test_a_folder_of_backgrounds_makes_a_series(folder: Path, tmp_path: Path) -> None:
    found = read_backgrounds(folder)
    truth = write_simulated(tmp_path / "one", 2, backgrounds=found)
    again = write_simulated(tmp_path / "two", 2, backgrounds=found)
    assert truth.read_bytes() == again.read_bytes()
    assert {record.group_id for record in read_truth(truth)} != {""}
    with pytest.raises(UsageError):  # the drawn scenes of the same seed are other images
        write_simulated(tmp_path / "one", 2)


def test_real_photographs_serve_as_backgrounds(shared_data: Path) -> None:
    found = read_backgrounds(shared_data / "photographs")
    assert len(found) >= 40
    assert all(background.license for background in found)
    record = simulate_image(0, 1, chosen(found, 0, 1)).record
    assert record.license == chosen(found, 0, 1).license
