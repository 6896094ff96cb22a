"""What `load_dataset` makes of a build's configs, and what comes back of them as records."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from releasing import changed, filled_workspace, noise_png, replace_records, sample_record

from synthscars.problems import Problems
from synthscars.records import Artifact, ImageRecord, Review
from synthscars.release import build_release, features, from_row, read_manifest
from synthscars.release.as_format import read
from synthscars.release.configs import default_columns, detection_columns, raters_columns
from synthscars.workspace import Workspace

COUNT = 24
PHOTOGRAPHS = range(100, 104)

_SQUARE = ((4.0, 4.0, 20.0, 4.0, 20.0, 20.0, 4.0, 20.0),)
_ALONE = ((30.0, 4.0, 44.0, 4.0, 44.0, 14.0, 30.0, 14.0),)


def artifact(rater: str, polygons: tuple[tuple[float, ...], ...], **fields: Any) -> Artifact:
    return Artifact(
        artifact_id=f"of {rater}",
        category="structure",
        polygons=polygons,
        phrase="the hand",
        explanation=f"{rater} sees six fingers",
        rater_id=rater,
        **fields,
    )


def review(rater: str, status: str = "annotated") -> Review:
    return Review(rater_id=rater, status=status, content_type="human", scene="A hand")  # type: ignore[arg-type]


def drawn_by_three(seed: int) -> ImageRecord:
    """All draw one region, and `c` one that nobody else saw."""
    return changed(
        sample_record(seed, noise_png(seed)),
        status="annotated",
        artifacts=(
            *(artifact(rater, _SQUARE) for rater in "abc"),
            changed(artifact("c", _ALONE), artifact_id="alone"),
        ),
        reviews=tuple(review(rater) for rater in "abc"),
    )


def photograph(seed: int) -> ImageRecord:
    return changed(
        sample_record(seed, noise_png(seed)),
        origin="real",
        status="unlabelled",
        artifacts=(),
        reviews=(),
        generation=None,
        content_type=None,
    )


@pytest.fixture(scope="module")
def by_id() -> dict[str, ImageRecord]:
    """What goes into the build: images of one rater, of three, one that was merged before, photographs."""
    records = [sample_record(seed, noise_png(seed)) for seed in range(COUNT)]
    records[1::4] = [drawn_by_three(seed) for seed in range(1, COUNT, 4)]
    records[2] = changed(
        records[2],
        status="annotated",
        artifacts=(artifact("expert", _SQUARE, votes=2, agreement=0.9),),
        reviews=(review("a"), review("b")),
    )
    records += [photograph(seed) for seed in PHOTOGRAPHS]
    return {record.image_id: record for record in records}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, by_id: dict[str, ImageRecord]) -> Workspace:
    workspace = filled_workspace(tmp_path_factory.mktemp("configs") / "w", COUNT)
    for seed in PHOTOGRAPHS:
        workspace.add_image(noise_png(seed), photograph(seed).image_id, ".png")
    replace_records(workspace, list(by_id.values()))
    problems = Problems()
    report = build_release(workspace, "1.0.0", problems)
    assert {problem.code for problem in problems} == {"consensus.unconfirmed"}
    assert report.images == COUNT
    assert sum(report.detection.values()) == len(PHOTOGRAPHS)
    return workspace


def rows(folder: Path, config: str, cache: Path, streaming: bool) -> dict[str, tuple[str, dict[str, Any]]]:
    """By image id: the split and the row, with the bytes of the picture."""
    import datasets

    loaded = datasets.load_dataset(str(folder), config, cache_dir=str(cache), streaming=streaming)
    found = {}
    for split, dataset in loaded.items():
        for row in dataset.cast_column("image", datasets.Image(decode=False)):
            assert row["image_id"] not in found, "an image stands in a config once"
            found[row["image_id"]] = (str(split), row)
    return found


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("config", "columns"),
    [("default", default_columns()), ("raters", raters_columns()), ("detection", detection_columns())],
)
def test_every_config_has_its_columns_its_images_and_their_bytes(
    workspace: Workspace,
    by_id: dict[str, ImageRecord],
    tmp_path: Path,
    config: str,
    columns: list[str],
    streaming: bool,
) -> None:
    import datasets

    folder = workspace.release_dir("1.0.0")
    found = rows(folder, config, tmp_path, streaming)
    loaded = datasets.load_dataset(str(folder), config, cache_dir=str(tmp_path), streaming=streaming)
    for dataset in loaded.values():
        assert list(dataset.features) == columns
        assert {name: dataset.features[name] for name in columns} == {
            name: features()[name] for name in columns
        }
    photographs = {photograph(seed).image_id for seed in PHOTOGRAPHS}
    assert set(found) == set(by_id) - (set() if config == "detection" else photographs)
    manifest = read_manifest(folder)
    pictures = {
        sample_record(seed, noise_png(seed)).image_id: noise_png(seed)
        for seed in (*range(COUNT), *PHOTOGRAPHS)
    }
    for image_id, (split, row) in found.items():
        entry = manifest.images.get(image_id) or manifest.detection_images[image_id]
        assert split == entry.split
        assert row["image"] == {"bytes": pictures[image_id], "path": by_id[image_id].file_name}
        assert Image.open(io.BytesIO(row["image"]["bytes"])).size == (row["width"], row["height"])
        assert row["origin"] == (1 if image_id in photographs else 0)


@pytest.mark.parametrize("streaming", [False, True])
def test_a_region_that_nobody_confirmed_is_among_the_raters_and_not_among_the_merged(
    workspace: Workspace, tmp_path: Path, streaming: bool
) -> None:
    folder = workspace.release_dir("1.0.0")
    image_id = drawn_by_three(1).image_id
    _, default = rows(folder, "default", tmp_path, streaming)[image_id]
    (merged,) = default["artifacts"]
    assert (merged["votes"], merged["agreement"]) == (3, 1.0)
    _, row = rows(folder, "raters", tmp_path, streaming)[image_id]
    assert "artifacts" not in row
    assert [(each["rater_id"], each["artifact_id"]) for each in row["rater_artifacts"]] == [
        ("a", "of a"),
        ("b", "of b"),
        ("c", "of c"),
        ("c", "alone"),
    ]
    assert [each["votes"] for each in row["rater_artifacts"]] == [None] * 4
    assert row["rater_list"] == ["a", "b", "c"]


def test_the_records_as_they_were_drawn_come_back_from_the_config_raters(
    workspace: Workspace, by_id: dict[str, ImageRecord], tmp_path: Path
) -> None:
    merged_before = sample_record(2, noise_png(2)).image_id
    for image_id, (split, row) in rows(workspace.release_dir("1.0.0"), "raters", tmp_path, False).items():
        record = from_row(row, split, raters=True)
        if image_id == merged_before:
            assert row["rater_artifacts"] is None, "what each rater drew is not known"
            assert record.artifacts == ()
        else:
            assert record.artifacts == by_id[image_id].artifacts
            assert row["rater_artifacts"] is not None
        assert record.reviews == by_id[image_id].reviews
        assert record.extra == by_id[image_id].extra
        assert record.generation == by_id[image_id].generation


def test_reading_a_release_gives_what_was_merged_or_what_was_drawn(
    workspace: Workspace, by_id: dict[str, ImageRecord]
) -> None:
    folder = workspace.release_dir("1.0.0")
    problems = Problems()
    merged = {record.image_id: record for record in read(folder, problems)}
    assert set(merged) == set(by_id)
    assert not len(problems)
    drawn = {record.image_id: record for record in read(folder, problems, raters=True)}
    merged_before = sample_record(2, noise_png(2)).image_id
    assert set(drawn) == set(by_id) - {merged_before}
    assert [problem.code for problem in problems] == ["row.no_raters"]
    for image_id, record in drawn.items():
        assert record.artifacts == by_id[image_id].artifacts
    assert len(merged[drawn_by_three(1).image_id].artifacts) == 1
    for seed in PHOTOGRAPHS:
        record = merged[photograph(seed).image_id]
        assert (record.status, record.origin, record.artifacts) == ("unlabelled", "real", ())


def test_what_is_not_known_is_null_and_not_a_label(workspace: Workspace, tmp_path: Path) -> None:
    folder = workspace.release_dir("1.0.0")
    for seed in PHOTOGRAPHS:
        _, row = rows(folder, "detection", tmp_path, True)[photograph(seed).image_id]
        assert row["content_type"] is None
        assert row["generation"] is None


def test_drawing_once_more_what_was_drawn_gives_the_same_release(
    workspace: Workspace, by_id: dict[str, ImageRecord], tmp_path: Path
) -> None:
    """The config `raters` has all that a build needs, but of images whose raters are not known."""
    folder = workspace.release_dir("1.0.0")
    drawn = list(read(folder, Problems(), raters=True))
    known = [by_id[record.image_id] for record in drawn]
    found = []
    for name, records in (("first", known), ("again", [changed(each, group_id="") for each in drawn])):
        other = filled_workspace(tmp_path / name, COUNT)
        for seed in PHOTOGRAPHS:
            other.add_image(noise_png(seed), photograph(seed).image_id, ".png")
        splits = {record.image_id: record.split for record in drawn}
        records = [changed(each, split=splits[each.image_id]) for each in records]
        report = build_release(other, "1.0.0", Problems(), records=replace_records(other, records))
        found.append({shard.path: shard.sha256 for shard in read_manifest(report.path).files})
    assert found[0] == found[1]


def test_photographs_that_are_annotated_later_move_to_the_other_configs_and_keep_their_split(
    workspace: Workspace, by_id: dict[str, ImageRecord], tmp_path: Path
) -> None:
    annotated = [photograph(seed).image_id for seed in PHOTOGRAPHS[:2]]
    records = [
        changed(record, status="annotated", artifacts=(artifact("a", _SQUARE),), reviews=(review("a"),))
        if record.image_id in annotated
        else record
        for record in by_id.values()
    ]
    before = read_manifest(workspace.release_dir("1.0.0"))
    source = replace_records(workspace, records)
    report = build_release(workspace, "1.1.0", Problems(), records=source)
    after = read_manifest(report.path)
    for image_id in annotated:
        assert after.images[image_id].split == before.detection_images[image_id].split
        assert image_id not in after.detection_images
    found = rows(report.path, "default", tmp_path, False)
    assert set(annotated) <= set(found)
    assert set(rows(report.path, "detection", tmp_path, False)) == set(by_id)
    # And back: what was annotated is taken back.
    source = replace_records(workspace, list(by_id.values()))
    last = read_manifest(build_release(workspace, "1.2.0", Problems(), records=source).path)
    assert {image: entry.split for image, entry in last.detection_images.items()} == {
        image: entry.split for image, entry in before.detection_images.items()
    }


def test_a_release_of_photographs_and_a_single_annotated_image_opens(tmp_path: Path) -> None:
    workspace = filled_workspace(tmp_path / "w", 1)
    for seed in PHOTOGRAPHS:
        workspace.add_image(noise_png(seed), photograph(seed).image_id, ".png")
    records = [drawn_by_three(0), *(photograph(seed) for seed in PHOTOGRAPHS)]
    report = build_release(workspace, "1.0.0", Problems(), records=replace_records(workspace, records))
    assert len(rows(report.path, "default", tmp_path / "cache", False)) == 1
    for streaming in (False, True):
        found = rows(report.path, "detection", tmp_path / "cache", streaming)
        assert set(found) == {record.image_id for record in records}
