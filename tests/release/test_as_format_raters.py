"""What every rater drew, from records through a release into other formats."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from pycocotools.coco import COCO
from releasing import by_raters, noise_png, raters_workspace, sample_record

from synthscars.cli import main
from synthscars.converters import FORMATS, convert, read
from synthscars.converters import write as write_format
from synthscars.problems import Problems, UsageError
from synthscars.records import ImageRecord
from synthscars.release import build_release, read_manifest

COUNT = 16
DRAWN = {
    record.image_id: record
    for record in (by_raters(sample_record(seed, noise_png(seed)), seed) for seed in range(COUNT))
}
"""What went into the release, before anything was merged."""


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of images that three raters judged, two images merged before, and three photographs."""
    workspace = raters_workspace(tmp_path_factory.mktemp("raters") / "w", COUNT)
    build_release(workspace, "1.0.0", Problems())
    return workspace.release_dir("1.0.0")


def of_raters(source: Path, name: str | None = None) -> tuple[dict[str, ImageRecord], Problems]:
    problems = Problems()
    options = {"raters": "true"} if name == "release" else {}
    return {record.image_id: record for record in read(source, problems, name, options=options)}, problems


def released(folder: Path) -> tuple[set[str], set[str]]:
    """Images of a release of which it is known what raters drew, and of which it is not."""
    known: dict[bool, set[str]] = {True: set(), False: set()}
    for path in (folder / "data").glob("*.parquet"):
        for row in pq.read_table(path, columns=["image_id", "rater_artifacts"]).to_pylist():
            known[row["rater_artifacts"] is not None].add(row["image_id"])
    return known[True], known[False]


def test_a_release_gives_back_what_every_rater_drew(release: Path) -> None:
    known, unknown = released(release)
    assert known
    assert len(unknown) == 2
    found, problems = of_raters(release, "release")
    photographs = set(read_manifest(release).detection_images)
    assert set(found) == known | photographs
    for image_id in known:
        expected = DRAWN[image_id]
        assert found[image_id].artifacts == expected.artifacts
        assert (found[image_id].status, found[image_id].reviews) == (expected.status, expected.reviews)
    assert all(not found[each].artifacts and found[each].status == "unlabelled" for each in photographs)
    assert {(each.code, each.severity) for each in problems} == {("row.no_raters", "warning")}
    assert sum(each.count for each in problems) == 2


def test_through_coco_the_regions_of_every_rater_are_equal_to_those_before_the_release(
    release: Path, tmp_path: Path
) -> None:
    problems = Problems()
    target = tmp_path / "raters.json"
    options = {"raters": "true", "segmentation": "polygons"}
    done = convert(release, target, problems, to="coco", options=options)
    known, _ = released(release)
    assert done.written == len(known) + 3
    assert "caption.stale" not in {each.code for each in problems}
    again, _ = of_raters(target)
    for image_id in known:
        assert again[image_id].artifacts == DRAWN[image_id].artifacts
        assert again[image_id].reviews == DRAWN[image_id].reviews
    # What KaLOS reads: who looked at an image, and whose each annotation is.
    coco = COCO(target)
    lists = {each["sha256"]: each["rater_list"] for each in coco.dataset["images"] if each["sha256"] in known}
    assert {tuple(sorted(each)) for each in lists.values()} == {("anna", "ben", "carla")}
    drawn = {
        each["id"]: [one["rater_id"] for one in coco.imgToAnns[each["id"]]] for each in coco.dataset["images"]
    }
    assert sum(map(len, drawn.values())) == sum(len(DRAWN[image_id].artifacts) for image_id in known)


def test_without_the_option_regions_are_the_merged_ones(release: Path, tmp_path: Path) -> None:
    for options in ({}, {"raters": "false"}):
        records = {each.image_id: each for each in read(release, Problems(), options=options)}
        known, unknown = released(release)
        assert known | unknown < set(records)
        assert all(one.votes for each in records.values() for one in each.artifacts)


def test_answers_as_drawn_do_not_become_a_release_unmerged(release: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="were not merged"):
        convert(release, tmp_path / "out", Problems(), to="release", options={"raters": "true"})
    assert not (tmp_path / "out").exists()


def test_an_option_goes_to_the_format_that_has_it_and_an_unknown_one_names_all(
    release: Path, tmp_path: Path
) -> None:
    for options, message in (
        ({"raters": "yes"}, "release → coco has no option raters=yes"),
        ({"kind": "binary"}, "release → coco has no option kind=binary"),
    ):
        with pytest.raises(UsageError, match=message) as caught:
            convert(release, tmp_path / "out.json", Problems(), to="coco", options=options)
        assert caught.value.fix == "options: raters=false|true, segmentation=polygons|rle"
    with pytest.raises(UsageError, match="reading release has no option segmentation=rle"):
        list(read(release, Problems(), options={"segmentation": "rle"}))
    with pytest.raises(UsageError, match="writing coco has no option raters=true"):
        write_format([], tmp_path / "out.json", Problems(), "coco", options={"raters": "true"})
    assert list(tmp_path.iterdir()) == []


def test_no_name_is_an_option_for_reading_one_format_and_for_writing_another() -> None:
    reading = {name for each in FORMATS.values() for name in each.read_options}
    assert reading == {"raters"}
    assert reading.isdisjoint(name for each in FORMATS.values() for name in each.options)


def test_the_command_line_takes_it_and_the_page_of_the_format_tells_of_it(
    release: Path, tmp_path: Path
) -> None:
    target = tmp_path / "raters.json"
    call = [release, target, "--from", "release", "--to", "coco", "--option", "raters=true", "--json"]
    result = CliRunner().invoke(main, ["convert", *map(str, call)])
    assert result.exit_code == 0, result.output
    known, _ = released(release)
    expected = sum(len(DRAWN[image_id].artifacts) for image_id in known)
    assert (
        json.loads(result.stdout)["artifacts"]
        == len(json.loads(target.read_bytes())["annotations"])
        == expected
    )
    told = CliRunner().invoke(main, ["formats", "release"]).stdout
    assert "Option when read, raters: false, true." in told
    (entry,) = json.loads(CliRunner().invoke(main, ["formats", "release", "--json"]).stdout)
    assert entry["read_options"] == {"raters": ["false", "true"]}
