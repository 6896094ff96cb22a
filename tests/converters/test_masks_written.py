"""Folders of masks: written, listed, and read again."""

import json
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from converting import changed
from folders import folder_bytes
from hypothesis import given
from hypothesis import strategies as st
from mask_folders import BOX, GOLDEN, SIZE, codes, folder_of, grid, pixels, reads, record_of, writes
from pictures import picture
from PIL import Image
from pycocotools import mask as coco
from strategies import records

from synthscars.converters.masks import write
from synthscars.geometry import to_rle
from synthscars.problems import Problems, UsageError, WorkspaceError
from synthscars.records import Artifact, ImageRecord

# Written and read again


def test_the_golden_folder_is_read_with_everything_but_exact_outlines() -> None:
    found, problems = reads(GOLDEN / "regions")
    assert not problems
    assert [(one.file_name, one.status, one.split) for one in found] == [
        ("seed0017.jpg", "annotated", "train"),
        ("seed0025.jpg", "clean", "validation"),
        ("seed0041.jpg", "unlabelled", ""),
    ]
    hand, shadow, smooth = found[0].artifacts
    assert (hand.artifact_id, hand.subtype, hand.rater_id) == ("r1", "deformed", "anna")
    assert (hand.phrase, hand.explanation) == ("the left hand", "It has six fingers.")
    # Pixel by pixel what pycocotools draws of the outlines that were written.
    for artifact, polygons in (
        (hand, [[1.5, 2.5, 7.0, 2.5, 7.0, 9.0]]),
        (shadow, [[8.0, 1, 14, 1, 14, 6, 8, 6], [2.0, 8, 5, 8, 5, 11, 2, 11]]),
    ):
        drawn = coco.decode(coco.merge(coco.frPyObjects(polygons, 12, 16)))
        assert (pixels(artifact) == drawn).all()
    assert (smooth.polygons, smooth.explanation) == ((), "It is all too smooth.")
    assert found[0].reviews[0].seconds == 12.5


def test_the_golden_folder_is_written_again_byte_by_byte(tmp_path: Path) -> None:
    problems = writes(reads(GOLDEN / "regions")[0], tmp_path / "out", GOLDEN / "regions" / "images")
    assert codes(problems) == {"loss.artifact.outline": 1}
    assert folder_bytes(tmp_path / "out") == folder_bytes(GOLDEN / "regions")


@given(records())
def test_masks_are_equal_to_those_of_pycocotools(
    tmp_path_factory: pytest.TempPathFactory, record: ImageRecord
) -> None:
    target = tmp_path_factory.mktemp("masks") / "out"
    writes([record], target, None)
    line = json.loads((target / "masks.jsonl").read_bytes())
    for artifact, name in zip(record.artifacts, line["masks"], strict=True):
        drawn = np.asarray(Image.open(target / name))
        expected = coco.decode(to_rle(artifact.polygons, record.width, record.height))
        assert (drawn == expected * 255).all()


def test_other_tools_see_only_images_and_masks(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "regions", tmp_path / "out")
    (tmp_path / "out" / "masks.jsonl").unlink()
    found, problems = reads(tmp_path / "out")
    assert [(one.file_name, one.split, len(one.artifacts), one.status) for one in found] == [
        ("seed0041.jpg", "", 0, "unlabelled"),
        ("seed0017.jpg", "train", 2, "annotated"),
        ("seed0025.jpg", "validation", 0, "unlabelled"),  # only the list says that it is clean
    ]
    assert not problems


def test_an_indexed_mask_has_the_smaller_region_on_top_and_counts_what_is_hidden(tmp_path: Path) -> None:
    small = Artifact(
        artifact_id="r1", category="physics", polygons=((3.0, 4.0, 5.0, 4.0, 5.0, 6.0, 3.0, 6.0),)
    )
    large = Artifact(artifact_id="r2", category="structure", polygons=(BOX,), phrase="the hand")
    other = Artifact(artifact_id="r3", polygons=((12.0, 1.0, 15.0, 1.0, 15.0, 4.0, 12.0, 4.0),))
    record = record_of(small, large, other, folder=tmp_path, split="train", caption="A man.")
    problems = writes([record], tmp_path / "out", tmp_path / "pictures", kind="indexed")
    mask = Image.open(tmp_path / "out" / "masks" / "train" / "a.png")
    assert mask.mode == "P"
    assert (np.asarray(mask) == grid((2, 3, 8, 9, 2), (3, 4, 5, 6, 1), (12, 1, 15, 4, 4))).all()
    assert json.loads((tmp_path / "out" / "classes.json").read_bytes()) == {
        "background": 0, "physics": 1, "structure": 2, "distortion": 3, "artifact": 4,
    }  # fmt: skip
    hidden = [one for one in problems if one.code == "loss.artifact.outline" and one.severity == "warning"]
    assert [one.count for one in hidden] == [4]
    assert codes(problems)["loss.artifact.phrase"] == 1
    (found,), said = reads(tmp_path / "out")
    assert [one.category for one in found.artifacts] == ["physics", "structure", None]
    assert changed(found, artifacts=()) == changed(record, artifacts=())
    assert not said


def test_an_image_that_is_named_like_a_split_is_not_in_the_way_of_it(tmp_path: Path) -> None:
    artifact = Artifact(artifact_id="r1", polygons=(BOX,))
    named = record_of(artifact, folder=tmp_path, name="val.png")
    named = changed(named, file_name="val")
    other = record_of(artifact, folder=tmp_path, name="other.png", split="validation")
    for kind in ("regions", "binary"):
        writes([named, other], tmp_path / kind, tmp_path / "pictures", kind=kind)
        found, problems = reads(tmp_path / kind)
        assert [(one.file_name, one.split) for one in found] == [("val", ""), ("other.png", "validation")]
        assert not problems


def test_regions_of_one_category_become_one_and_are_counted(tmp_path: Path) -> None:
    one = Artifact(artifact_id="r1", category="structure", polygons=(BOX,))
    other = changed(one, artifact_id="r2", polygons=((12.0, 1.0, 15.0, 1.0, 15.0, 4.0, 12.0, 4.0),))
    record = record_of(one, other, folder=tmp_path)
    for kind in ("indexed", "binary"):
        problems = writes([record], tmp_path / kind, tmp_path / "pictures", kind=kind)
        assert [each.count for each in problems if "became one" in each.what] == [1]
        (found,), said = reads(tmp_path / kind)
        assert [int(pixels(each).sum()) for each in found.artifacts] == [45]
        assert not said


def test_a_binary_mask_is_the_union_of_all_regions(tmp_path: Path) -> None:
    one = Artifact(artifact_id="r1", category="structure", polygons=(BOX,))
    clean = record_of(folder=tmp_path, name="bb.png")
    waiting = record_of(folder=tmp_path, name="ccc.png", status="unlabelled")
    target = tmp_path / "out"
    problems = writes(
        [record_of(one, folder=tmp_path), clean, waiting], target, tmp_path / "pictures", kind="binary"
    )
    masks = {path.name: np.asarray(Image.open(path)) for path in (target / "masks").iterdir()}
    # Also without the list, clean and unlabelled are told apart: one has a mask, and the other has none.
    assert masks.keys() == {"a.png", "bb.png"}
    assert (masks["a.png"] == grid((2, 3, 8, 9, 255))).all()
    assert not masks["bb.png"].any()
    assert codes(problems)["loss.artifact.category"] == 1
    (target / "masks.jsonl").unlink()
    assert [one.status for one in reads(target)[0]] == ["annotated", "clean", "unlabelled"]


def test_images_may_stay_where_they_are(tmp_path: Path) -> None:
    record = record_of(Artifact(artifact_id="r1", polygons=(BOX,)), folder=tmp_path)
    problems = Problems()
    write([record], tmp_path / "out", problems)
    assert not (tmp_path / "out" / "images").exists()
    (found,), _ = reads(tmp_path / "out")
    assert found.image_id == record.image_id
    (found,), said = reads(tmp_path / "out", images=tmp_path / "pictures")
    assert found.image_id == record.image_id
    assert not said


def test_a_name_that_leads_out_of_the_folder_is_not_written(tmp_path: Path) -> None:
    record = record_of(Artifact(artifact_id="r1", polygons=(BOX,)), folder=tmp_path)
    for number, name in enumerate(["../../x.png", "...png", "..", "/etc/x.png", "a/../../y.png"]):
        target = tmp_path / "safe" / str(number) / "out"
        writes([changed(record, file_name=name)], target, tmp_path / "pictures")
        inside = set((tmp_path / "safe" / str(number)).rglob("*.png"))
        assert all(
            path.is_relative_to(target / "masks") or path.is_relative_to(target / "images") for path in inside
        )
        assert len(inside) == 2
        assert reads(target)[0][0].file_name == name  # the list keeps it


def test_an_unknown_kind_and_an_existing_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no kind"):
        writes([], tmp_path / "out", None, kind="nice")
    with pytest.raises(WorkspaceError, match="exists already"):
        writes([], tmp_path, None)


# The list beside the masks


def listed(tmp_path: Path, edit: object) -> tuple[list[ImageRecord], Problems]:
    """The golden folder with the first line of its list edited."""
    root = tmp_path / "out"
    shutil.copytree(GOLDEN / "regions", root)
    lines = (root / "masks.jsonl").read_text().splitlines()
    edited = edit(json.loads(lines[0])) if callable(edit) else edit
    lines[0] = edited if isinstance(edited, str) else json.dumps(edited)
    (root / "masks.jsonl").write_text("\n".join(lines), encoding="utf-8", errors="surrogatepass")
    return reads(root)


@pytest.mark.parametrize(
    "edit",
    [
        "not JSON",
        "{}",
        "[]",
        '{"record": 5}',
        '{"record": {"image_id": 5}, "masks": []}',
        lambda line: {**line, "masks": [5]},
        lambda line: {**line, "record": {**line["record"], "width": "wide"}},
        "[" * 100_000,
    ],
)
def test_a_line_that_is_none_is_reported_and_its_image_read_by_its_masks(
    edit: object, tmp_path: Path
) -> None:
    found, problems = listed(tmp_path, edit)
    assert [one.file_name for one in found] == ["seed0025.jpg", "seed0041.jpg", "seed0017.jpg"]
    assert [len(one.artifacts) for one in found] == [0, 0, 2]
    assert [(one.code, one.image) for one in problems] == [("line.wrong", "line 1")]


@pytest.mark.parametrize("name", ["../../secret.png", "/etc/passwd", "masks/none.png", "", "\0", "x" * 5000])
def test_a_mask_that_is_not_in_the_folder_costs_the_outline_and_not_the_text(
    name: str, tmp_path: Path
) -> None:
    Image.fromarray(grid((0, 0, 9, 9, 255))).save(tmp_path.parent / "secret.png")
    found, problems = listed(tmp_path, lambda line: {**line, "masks": [name, *line["masks"][1:]]})
    assert found[0].artifacts[0].polygons == ()
    assert found[0].artifacts[0].phrase == "the left hand"
    assert len(found[0].artifacts[1].polygons) == 2
    said = next(one for one in problems if one.code == "mask.missing")
    assert (said.image, said.region, said.severity) == ("seed0017.jpg", "artifact r1", "error")
    # And the mask that nobody lists any more is reported as well.
    assert codes(problems)["mask.not_listed"] == 1


def test_fewer_masks_than_artifacts_are_reported(tmp_path: Path) -> None:
    found, problems = listed(tmp_path, lambda line: {**line, "masks": line["masks"][:1]})
    assert [bool(one.polygons) for one in found[0].artifacts] == [True, False, False]
    assert codes(problems)["line.wrong"] == 1


def test_an_image_that_was_exchanged_is_reported(tmp_path: Path) -> None:
    root = tmp_path / "out"
    shutil.copytree(GOLDEN / "regions", root)
    picture(9, *SIZE).save(root / "images" / "train" / "seed0017.jpg")
    _, problems = reads(root)
    assert codes(problems) == {"image.differs": 1}


@given(st.data())
def test_nonsense_in_the_list_never_touches_the_other_images(tmp_path_factory, data: st.DataObject) -> None:
    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=4,
    )

    def edit(line: dict) -> dict:
        key = data.draw(st.sampled_from([*line, *line["record"]]))
        target = line if key in line else line["record"]
        target[key] = data.draw(values)
        return line

    found, _ = listed(tmp_path_factory.mktemp("noise"), edit)
    names = [one.file_name for one in found]
    assert {"seed0025.jpg", "seed0041.jpg"} <= set(names)
    assert [one.status for one in found if one.file_name == "seed0025.jpg"] == ["clean"]


def test_images_that_are_beside_the_masks_are_not_read_again_from_elsewhere(tmp_path: Path) -> None:
    record = record_of(Artifact(artifact_id="r1", polygons=(BOX,)), folder=tmp_path)
    clean = record_of(folder=tmp_path, name="clean.png")
    writes([record, clean], tmp_path / "out", tmp_path / "pictures")
    found, problems = reads(tmp_path / "out", images=tmp_path / "pictures")
    assert [one.file_name for one in found] == ["a.png", "clean.png"]
    folder = folder_of(tmp_path / "found", grid((2, 3, 8, 9, 255)))
    found, said = reads(folder, images=folder / "images")
    assert [one.file_name for one in found] == ["a.png", "b.png"]
    assert not problems
    assert not said


def test_a_listed_image_of_unknown_size_has_the_outlines_of_its_masks(tmp_path: Path) -> None:
    writes([record_of(Artifact(artifact_id="r1", polygons=(BOX,)), folder=tmp_path)], tmp_path / "out", None)
    path = tmp_path / "out" / "masks.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"width":16', b'"width":0'))
    (found,), problems = reads(tmp_path / "out")
    assert pixels(found.artifacts[0]).sum() == 36
    assert not problems


def test_a_mask_of_many_regions_does_not_take_memory_for_each_of_them(tmp_path: Path) -> None:
    values = np.repeat(np.arange(400, dtype=np.uint16).reshape(20, 20), 20, axis=0).repeat(20, axis=1)
    Image.fromarray(values).save(tmp_path / "a.png")
    tracemalloc.start()
    ((found,), _), (_, peak) = reads(tmp_path), tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found.artifacts) == 399
    assert peak < 50 * values.size
