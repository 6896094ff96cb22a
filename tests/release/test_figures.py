"""Figures of the card: only what there is, the same bytes each time, and a text for each."""

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from folders import folder_bytes
from matplotlib.figure import Figure
from PIL import Image
from releasing import changed, filled_workspace, noise_png, sample_record, without_figures

from synthscars.plotting import layout, plotting, save_png, title
from synthscars.problems import Problems
from synthscars.records import Artifact, ImageRecord, Review
from synthscars.release import build_release
from synthscars.release.examples import example_sheet
from synthscars.release.figures import write_figures
from synthscars.release.totals import Totals
from synthscars.taxonomy import load_taxonomy

SPLITS = ["train", "validation", "test"]
PNG = b"\x89PNG\r\n\x1a\n"


def two_raters(record: ImageRecord) -> tuple[ImageRecord, tuple[Artifact, ...]]:
    """The record as if two raters had drawn the same."""
    other = tuple(changed(each, rater_id="rater-2") for each in record.artifacts)
    reviews = (*record.reviews, Review(rater_id="rater-2", status=record.status))
    return changed(record, reviews=reviews), (*record.artifacts, *other)


def totals_of(count: int, *, raters: int = 2) -> tuple[Totals, dict[str, bytes]]:
    totals, pictures = Totals(), {}
    for seed in range(count):
        data = noise_png(seed)
        record = changed(sample_record(seed, data), split=SPLITS[seed % 3])
        pictures[record.image_id] = data
        totals.add(*(two_raters(record) if raters == 2 else (record, record.artifacts)))
    return totals, pictures


def test_every_figure_is_a_picture_with_a_text_and_the_same_twice(tmp_path: Path) -> None:
    totals, pictures = totals_of(24)
    shown = write_figures(tmp_path / "a", "n 1.0.0", SPLITS, totals, pictures.get)
    assert shown == write_figures(tmp_path / "b", "n 1.0.0", SPLITS, totals, pictures.get)
    assert folder_bytes(tmp_path / "a") == folder_bytes(tmp_path / "b")
    names = ["examples.jpg", "composition.png", "sizes.png", "places.png", "agreement.png"]
    assert [each.name for each in shown] == names
    assert sorted(path.name for path in (tmp_path / "a/figures").iterdir()) == sorted(names)
    for each in shown:
        with Image.open(tmp_path / "a/figures" / each.name) as picture:
            picture.load()
            assert not {"Software", "Creation Time", "exif"} & set(picture.info)
        assert len(each.alt) > 30
        assert each.caption.endswith(".")


def test_the_texts_say_the_numbers(tmp_path: Path) -> None:
    totals, _ = totals_of(24)
    about = {each.name: each for each in write_figures(tmp_path, "n", SPLITS, totals)}
    name = load_taxonomy().categories[0].name
    assert f"{name} {totals.of('category', load_taxonomy().categories[0].id)}" in about["composition.png"].alt
    assert "kappa 1.00" in about["agreement.png"].alt


def test_of_what_there_is_nothing_there_is_no_figure(tmp_path: Path) -> None:
    assert write_figures(tmp_path / "none", "n", ["train"], Totals()) == []
    assert not (tmp_path / "none").exists()
    clean = Totals()
    clean.add(ImageRecord(image_id="a", file_name="a", width=9, height=9, split="train", status="clean"))
    assert [each.name for each in write_figures(tmp_path, "n", ["train"], clean)] == ["composition.png"]
    one, _ = totals_of(8, raters=1)
    assert "agreement.png" not in {each.name for each in write_figures(tmp_path, "n", SPLITS, one)}


def test_strange_names_are_only_text(tmp_path: Path) -> None:
    totals, _ = totals_of(4)
    shown = write_figures(tmp_path, "$\\frac{1}{0}$ _x_ " * 30, SPLITS, totals)
    assert len(shown) == 4


def test_an_outline_is_where_the_artifact_is_in_a_picture_of_another_size() -> None:
    data = io.BytesIO()
    Image.new("RGB", (1000, 500), "white").save(data, "PNG")
    ring = (500.0, 100.0, 900.0, 100.0, 900.0, 400.0, 500.0, 400.0)
    artifact = Artifact(artifact_id="a", category="structure", polygons=(ring,))
    record = ImageRecord(
        image_id="a", file_name="a", width=1000, height=500, split="train", artifacts=(artifact,)
    )
    found = example_sheet([record], lambda image_id: data.getvalue())
    assert found is not None
    sheet = np.asarray(found[0].convert("RGB")).astype(int)
    scale = sheet.shape[1] / 1000
    color = np.array([int(load_taxonomy().category("structure").color[k : k + 2], 16) for k in (1, 3, 5)])
    middle = sheet[int(250 * scale)]
    near = np.flatnonzero(np.abs(middle - color).sum(axis=1) < 60)
    assert (near.min() / scale, near.max() / scale) == pytest.approx((500, 900), abs=6)


def test_pictures_lie_beside_each_other_and_what_does_not_decode_is_left_out() -> None:
    records, pictures = [], {}
    for seed in range(1, 8):
        data = noise_png(seed, 60 + seed, 20 * seed)
        record = sample_record(seed, data, 60 + seed, 20 * seed)
        records.append(record)
        pictures[record.image_id] = data
    pictures[records[0].image_id] = b"no picture"
    del pictures[records[1].image_id]
    found = example_sheet(records, pictures.get)
    assert found is not None
    sheet, shown = found
    assert shown == records[2:]
    assert sheet.width == 1600
    assert sheet.height < 5 * 1000
    assert example_sheet(records[:2], pictures.get) is None


def test_a_name_in_another_script_is_left_out_of_the_titles_without_a_warning(tmp_path: Path) -> None:
    totals, _ = totals_of(6)
    assert totals.regions.heat.any()  # Rasterized now, because pycocotools warns of numpy 2.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_figures(tmp_path / "a", "图像 العربية \u202e\x1b 1.0.0", SPLITS, totals)
        write_figures(tmp_path / "b", "العربية 1.0.0", SPLITS, totals)
        write_figures(tmp_path / "c", "1.0.0", SPLITS, totals)
    # Arabic letters are in the font.
    assert folder_bytes(tmp_path / "a") == folder_bytes(tmp_path / "b") != folder_bytes(tmp_path / "c")


def test_letters_that_the_font_does_not_have_are_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with plotting():
            figure = Figure(layout=layout())
            title(figure.subplots(), "模型", "मॉडल 模型")
            save_png(figure, io.BytesIO())


def test_a_release_can_do_without_figures_and_its_card_asks_for_none(tmp_path: Path) -> None:
    workspace = filled_workspace(tmp_path / "w", 6)
    build_release(workspace, "1.0.0", Problems())
    workspace = without_figures(workspace)
    problems = Problems()
    build_release(workspace, "1.0.1", problems)
    with_them, without = (workspace.release_dir(version) for version in ("1.0.0", "1.0.1"))
    assert list((with_them / "figures").iterdir())
    assert "figures/" in (with_them / "README.md").read_text(encoding="utf-8")
    assert not (without / "figures").exists()
    assert "figures/" not in (without / "README.md").read_text(encoding="utf-8")
    assert not [each for each in problems if each.severity == "error"]
