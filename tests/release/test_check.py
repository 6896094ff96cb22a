"""What is checked as a whole: sound releases, the report, other formats."""

from __future__ import annotations

import json
from pathlib import Path

from planting import codes, problems_of, rows_of, write_rows
from releasing import changed, noise_png, sample_record

from synthscars.jsonl import write_records
from synthscars.problems import Problems
from synthscars.release import build_release, read_manifest
from synthscars.release.check import check, encode_checks


def test_a_sound_release_has_no_problem(sound: Path) -> None:
    assert problems_of(sound) == []


def test_a_release_of_simulated_images_has_none_but_notes_and_licences(tmp_path: Path) -> None:
    from synthscars.simulate import write_simulated
    from synthscars.simulate.write import read_truth
    from synthscars.workspace import Workspace

    truth = read_truth(write_simulated(tmp_path / "out", 8))
    workspace = Workspace.create(tmp_path / "w", "simulated")
    for record in truth:
        path = tmp_path / "out/images" / record.file_name
        workspace.add_image(path.read_bytes(), record.image_id, path.suffix)
    write_records(workspace.next_numbered(workspace.records_dir, ".jsonl.zst"), truth)
    build_release(workspace, "1.0.0", Problems())
    problems = Problems()
    report = check(workspace.release_dir("1.0.0"), problems)
    assert (report.images, report.decoded) == (8, 8)
    assert [each for each in problems if each.severity != "info" and each.code != "license.missing"] == []


def test_the_report_is_the_same_however_many_threads_there_are(release: Path) -> None:
    rows = rows_of(release)
    for row in rows[::3]:
        row["license"] = ""
        row["width"] += 1
    rows[4]["image_id"] = "no id"
    write_rows(release, rows)

    def report(workers: int) -> bytes:
        problems = Problems()
        return encode_checks(check(release, problems, workers=workers), problems)

    assert report(1) == report(5)
    assert b"image.size" in report(1)
    assert str(release).encode() not in report(1)


# Other formats


def test_records_alone_are_checked_for_sizes_that_no_image_may_have(tmp_path: Path) -> None:
    records = [
        changed(sample_record(seed, noise_png(seed)), **size)
        for seed, size in enumerate(({}, {"width": 10_000_000}, {"width": 2**40, "height": 0}))
    ]
    write_records(tmp_path / "r.jsonl", records)
    problems = Problems()
    check(tmp_path / "r.jsonl", problems)
    found = [problem for problem in problems if problem.code == "image.too_large"]
    assert [problem.image for problem in found] == [record.image_id for record in records[1:]]


def test_the_published_layout_is_checked_with_the_defects_that_its_reader_finds() -> None:
    problems = Problems()
    source = Path(__file__).parents[1] / "data/synthscars"
    report = check(source, problems)
    assert (report.format, report.images, report.decoded) == ("synthscars-json", 3, 3)
    assert report.splits == {"test": 1, "train": 2}
    assert report.codes == {
        "bbox.missing": 1,
        "caption.not_in_grammar": 1,
        "category.missing": 1,
        "explanation.empty": 1,
        "license.missing": 2,
        "polygon.rounding": 1,
    }
    assert all(not Path(each.file).is_absolute() for each in problems)


def test_records_are_checked_without_their_images(tmp_path: Path, sound: Path) -> None:
    from synthscars.converters.formats import convert

    target = tmp_path / "all.jsonl"
    convert(sound, target, Problems())
    assert codes(target) == ["image.not_looked_at"]
    line = json.loads(target.read_text().splitlines()[1])
    line.update(status="annotated", artifacts=[], caption="")
    target.write_text(json.dumps(line) + "\n")
    assert codes(target) == ["image.not_looked_at", "status.no_artifact"]


def test_the_manifest_of_the_planted_releases_is_read_as_any_other(release: Path) -> None:
    write_rows(release, rows_of(release))
    assert len(read_manifest(release).images) == 24
    assert codes(release) == []
