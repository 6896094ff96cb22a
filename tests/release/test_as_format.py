"""A release as a format of `synthscars convert`: taken apart, and written."""

import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from folders import folder_bytes
from release_format import COUNT, DESCRIBING, MERGED, PICTURES, SQUARE, said, written
from releasing import changed, filled_workspace, noise_png

from synthscars.consensus import adjudicate
from synthscars.converters import formats
from synthscars.converters.pictures import TargetPictures
from synthscars.images import sha256
from synthscars.problems import Problems, UsageError, WorkspaceError
from synthscars.records import Artifact, Review
from synthscars.release import build_release, features, read_manifest
from synthscars.release import shards as shards_module
from synthscars.release.as_format import images_of, read
from synthscars.release.splits import SPLITS
from synthscars.workspace import Workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = filled_workspace(tmp_path_factory.mktemp("release") / "w", COUNT)
    build_release(workspace, "1.0.0", Problems())
    return workspace


# Images


def test_the_images_come_out_byte_for_byte_into_another_format(workspace: Workspace, tmp_path: Path) -> None:
    target, problems = tmp_path / "published", Problems()
    done = formats.convert(workspace.release_dir("1.0.0"), target, problems, to="synthscars-json")
    assert (done.images, done.written) == (COUNT, COUNT)
    assert "loss.image" not in said(problems)
    for record in read(workspace.release_dir("1.0.0"), Problems()):
        copy = target / record.split / "images" / record.file_name
        assert copy.read_bytes() == PICTURES[record.image_id]


def test_the_images_come_out_of_a_single_file_as_well(workspace: Workspace, tmp_path: Path) -> None:
    (path,) = (workspace.release_dir("1.0.0") / "data").glob("test-*")
    formats.convert(path, tmp_path / "published", Problems(), to="synthscars-json")
    ids = [record.image_id for record in read(path, Problems())]
    copies = {sha256(copy.read_bytes()) for copy in (tmp_path / "published").rglob("*.png")}
    assert copies == set(ids)


def test_asked_in_order_each_row_group_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards_module, "ROW_GROUP_ROWS", 4)
    written([changed(one, split="train") for one in MERGED], tmp_path / "out")
    records = list(read(tmp_path / "out", Problems()))
    original, groups = pq.ParquetFile.read_row_group, []

    def count(self: pq.ParquetFile, group: int, **options: object) -> pa.Table:
        if options["columns"] == ["image.bytes"]:
            groups.append(group)
        return original(self, group, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", count)
    find = images_of(tmp_path / "out")
    assert [find(one.image_id) for one in records] == [PICTURES[one.image_id] for one in records]
    assert groups == list(range(6))
    assert find("0" * 64) is None


def test_many_threads_may_ask_for_images(workspace: Workspace) -> None:
    find, wrong = images_of(workspace.release_dir("1.0.0")), []

    def ask() -> None:
        wrong.extend(image_id for image_id, data in PICTURES.items() if find(image_id) != data)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# Writing


def test_what_is_converted_equals_what_is_built(workspace: Workspace, tmp_path: Path) -> None:
    target = tmp_path / "noise" / "1.0.0"
    problems = written(MERGED, target)
    assert not len(problems)
    built, converted = folder_bytes(workspace.release_dir("1.0.0")), folder_bytes(target)
    # The manifest names no records, and the card does not say that they were merged here.
    assert set(built) - set(converted) == {"GUIDELINE.md", "checks.json"}
    assert {name for name in converted if built[name] != converted[name]} == DESCRIBING
    ours, theirs = read_manifest(target), read_manifest(workspace.release_dir("1.0.0"))
    assert (ours.name, ours.version) == (theirs.name, theirs.version)
    assert (ours.images, ours.files, ours.splits) == (theirs.images, theirs.files, theirs.splits)
    assert ours.inputs == {}
    card = (target / "README.md").read_text()
    assert "converted from another format" in card
    assert "Label Studio" not in card


def test_a_release_of_a_release_is_the_same(workspace: Workspace, tmp_path: Path) -> None:
    problems = Problems()
    formats.convert(workspace.release_dir("1.0.0"), tmp_path / "noise" / "1.0.0", problems, to="release")
    assert not len(problems)
    again = folder_bytes(tmp_path / "noise" / "1.0.0")
    built = folder_bytes(workspace.release_dir("1.0.0"))
    assert set(built) - set(again) == {"GUIDELINE.md", "checks.json"}
    assert {name for name in again if built[name] != again[name]} == DESCRIBING


def test_the_order_of_the_records_and_the_number_of_threads_change_no_byte(tmp_path: Path) -> None:
    written(MERGED, tmp_path / "a" / "noise", workers=1)
    written(MERGED[::-1], tmp_path / "b" / "noise", workers=5)
    assert folder_bytes(tmp_path / "a") == folder_bytes(tmp_path / "b")


@pytest.mark.parametrize("streaming", [False, True])
def test_load_dataset_opens_a_converted_release(tmp_path: Path, streaming: bool) -> None:
    import datasets

    written(MERGED, tmp_path / "noise")
    loaded = datasets.load_dataset(
        str(tmp_path / "noise"), cache_dir=str(tmp_path / "cache"), streaming=streaming
    )
    assert set(loaded) == set(SPLITS)
    seen = {row["image_id"]: row["image"].size for rows in loaded.values() for row in rows}
    assert seen == dict.fromkeys(PICTURES, (48, 32))
    assert loaded["train"].features == features()


def test_splits_of_the_source_are_kept_and_the_other_images_assigned(tmp_path: Path) -> None:
    asked = [changed(one, split="validation") for one in MERGED[:4]]
    asked += [changed(MERGED[4], split="holdout"), *MERGED[5:]]
    problems = written(asked, tmp_path / "out")
    assert said(problems, "warning") == ["split.unknown"]
    found = {one.image_id: one.split for one in read(tmp_path / "out", Problems())}
    assert {found[one.image_id] for one in MERGED[:4]} == {"validation"}
    assert set(found.values()) == set(SPLITS)


def test_groups_stay_together_and_their_new_names_are_counted(tmp_path: Path) -> None:
    twins = [changed(one, group_id="twins") for one in MERGED[:5]]
    problems = written([*twins, *MERGED[5:]], tmp_path / "out")
    (loss,) = problems
    assert (loss.code, loss.count, loss.severity) == ("loss.group_id", 5, "info")
    found = {one.image_id: one for one in read(tmp_path / "out", Problems())}
    assert {found[one.image_id].group_id for one in twins} == {min(one.image_id for one in twins)}
    assert len({found[one.image_id].split for one in twins}) == 1
    again = written(list(found.values()), tmp_path / "again")
    assert not len(again)


def test_what_cannot_be_in_a_release_is_left_out_counted_and_in_the_manifest(tmp_path: Path) -> None:
    line = Artifact(artifact_id="a", polygons=((1.0, 1.0, 2.0, 2.0),))
    nowhere = changed(MERGED[0], image_id="f" * 64)
    records = [
        changed(MERGED[1], status="unlabelled", artifacts=()),
        changed(MERGED[2], status="unlabelled"),  # with regions that nobody stands for
        changed(MERGED[3], status="skipped", artifacts=(), extra={"skip_reason": "disputed"}),
        changed(MERGED[5], artifacts=(line,)),
        changed(MERGED[6], artifacts=(Artifact(artifact_id="a", phrase="somewhere"),)),
        nowhere,
        *MERGED[7:],
    ]
    problems = written(records, tmp_path / "out")
    counts = {one.code: (one.count, one.severity) for one in problems if one.code.startswith("loss.")}
    assert counts["loss.artifact.outline"] == (1, "warning")
    assert counts["loss.image"] == (1, "error")
    assert sum(one.count for one in problems if one.code == "loss.status") == 4
    assert "record.no_artifact_left" in said(problems, "error")
    manifest = read_manifest(tmp_path / "out")
    assert manifest.left_out == {
        "disputed": 1,
        "image.missing": 1,
        "no outline": 1,
        "record.no_artifact_left": 1,
        "unlabelled": 2,
    }
    assert manifest.set_aside == {
        nowhere.image_id: "image.missing",
        MERGED[5].image_id: "record.no_artifact_left",
    }
    assert len(manifest.images) == COUNT - 7
    assert "disputed 1" in (tmp_path / "out" / "README.md").read_text()


def test_a_file_that_is_not_the_original_counts_as_not_at_hand(tmp_path: Path) -> None:
    other = tmp_path / "other.png"
    other.write_bytes(noise_png(99))
    wrong = {MERGED[1].image_id: other, MERGED[2].image_id: b"else", MERGED[3].image_id: tmp_path / "gone"}
    pictures = TargetPictures(lambda image_id: wrong.get(image_id, PICTURES[image_id]))
    problems = written(MERGED, tmp_path / "out", pictures=pictures)
    (loss,) = [one for one in problems if one.severity == "error"]
    assert (loss.code, loss.count) == ("loss.image", 3)
    assert len(read_manifest(tmp_path / "out").images) == COUNT - 3


def test_regions_that_leave_the_image_are_cut_off_at_its_edge(tmp_path: Path) -> None:
    beyond = Artifact(artifact_id="a", polygons=((40.0, 1.0, 60.0, 1.0, 60.0, 9.0, 40.0, 9.0),))
    problems = written([changed(MERGED[1], artifacts=(beyond,))], tmp_path / "out")
    assert "polygon.outside" in said(problems, "warning")
    again = Problems()
    (record,) = read(tmp_path / "out", again)
    assert max(record.artifacts[0].polygons[0][::2]) == 48
    assert not len(again)


def test_answers_that_wait_to_be_merged_are_refused_before_any_image_is_read(tmp_path: Path) -> None:
    two = tuple(Review(rater_id=name, status="annotated") for name in ("anna", "ben"))
    drawn = tuple(
        Artifact(artifact_id="a", polygons=(SQUARE,), rater_id=name, phrase="the hand")
        for name in ("anna", "ben")
    )
    waiting = changed(MERGED[1], reviews=two, artifacts=drawn)
    asked: list[str] = []
    with pytest.raises(UsageError, match=r"1 of 24 images .* not merged") as refused:
        written([waiting, *MERGED[:1], *MERGED[2:]], tmp_path / "out", pictures=TargetPictures(asked.append))
    assert "synthscars consensus" in refused.value.fix
    assert asked == []
    assert list(tmp_path.iterdir()) == []
    (merged,) = adjudicate([waiting], Problems())
    written([merged], tmp_path / "out")
    (found,) = read(tmp_path / "out", Problems())
    assert found.artifacts == merged.artifacts
    assert found.reviews == two


def test_regions_beside_a_label_of_clean_make_an_image_annotated(tmp_path: Path) -> None:
    problems = written([changed(MERGED[1], status="clean")], tmp_path / "out")
    assert "status.contradiction" in said(problems, "warning")
    assert [one.status for one in read(tmp_path / "out", Problems())] == ["annotated"]


@pytest.mark.parametrize(
    "artifact",
    [
        Artifact(
            artifact_id="r1",
            polygons=((*(float(value) for n in range(3000) for value in (n / 100, 1 + n % 2)), 15.0, 30.0),),
        ),
        Artifact(
            artifact_id="r1", polygons=(SQUARE,), phrase="اليد اليسرى", explanation="👩🏽‍🎨 \x00 e\u0301."
        ),
        Artifact(artifact_id="r1", polygons=(SQUARE,), explanation="It melts away. " * 700_000),
        Artifact(artifact_id="r1", polygons=((1.0, 1.0, 9.0, 9.0, 9.0, 1.0, 1.0, 12.0),)),
        Artifact(artifact_id="r1", polygons=(SQUARE, (0.1, 0.2, 1 / 3, 20.0, 31.7, 9.0))),
    ],
    ids=["6,000 numbers", "any script", "10 MB", "crosses itself", "two rings, exact"],
)
def test_hard_artifacts_come_back(tmp_path: Path, artifact: Artifact) -> None:
    problems = written([changed(MERGED[1], artifacts=(artifact,))], tmp_path / "out")
    assert said(problems, "error") == []
    (found,) = read(tmp_path / "out", Problems())
    assert found.artifacts == (artifact,)


def test_numbers_that_fit_no_column_cost_no_other_image(tmp_path: Path) -> None:
    (artifact, *others) = MERGED[3].artifacts
    many = changed(MERGED[3], artifacts=(changed(artifact, votes=2**40), *others))
    vast = changed(MERGED[2], width=2**40)
    problems = written([many, vast, MERGED[1]], tmp_path / "out")
    assert said(problems, "error") == ["image.too_large"]
    assert said(problems, "warning") == ["artifact.out_of_range"]
    found = {one.image_id: one for one in read(tmp_path / "out", Problems())}
    assert set(found) == {MERGED[3].image_id, MERGED[1].image_id}
    assert found[MERGED[3].image_id].artifacts[0].extra["votes"] == 2**40


@pytest.mark.parametrize(
    ("folder", "options", "expected"),
    [
        ("scars", {}, ("scars", "0.1.0")),
        ("scars/1.2.0", {}, ("scars", "1.2.0")),
        ("scars/1.2.0", {"version": "2.0.0", "name": "mine"}, ("mine", "2.0.0")),
    ],
)
def test_name_and_version_are_those_of_the_folder_unless_given(
    tmp_path: Path, folder: str, options: dict, expected: tuple[str, str]
) -> None:
    written(MERGED, tmp_path / folder, **options)
    manifest = read_manifest(tmp_path / folder)
    assert (manifest.name, manifest.version) == expected
    assert f"# {expected[0]} {expected[1]}" in (tmp_path / folder / "README.md").read_text()


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        written(MERGED, tmp_path / "out.parquet")
    with pytest.raises(UsageError, match="not a version"):
        written(MERGED, tmp_path / "out", version="one")
    for how in ("none", "link"):
        with pytest.raises(UsageError, match="images in its files"):
            written(MERGED, tmp_path / "out", pictures=TargetPictures(PICTURES.get, how))
    assert list(tmp_path.iterdir()) == []


def test_a_release_without_images_says_why_it_is_empty(tmp_path: Path) -> None:
    problems = written(MERGED, tmp_path / "out", pictures=TargetPictures())
    (empty,) = [one for one in problems if one.code == "release.empty"]
    assert "image.missing 24" in empty.what
    assert list(read(tmp_path / "out", Problems())) == []


def test_a_failed_conversion_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("synthscars.release.write.write_card", fail)
    with pytest.raises(WorkspaceError, match="No space"):
        written(MERGED, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
