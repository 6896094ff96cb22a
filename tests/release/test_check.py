"""Each fault is planted once in a small release, and `check` must find it and nothing else."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image, PngImagePlugin
from releasing import filled_workspace, noise_png

from synthscars.images import sha256
from synthscars.problems import FormatError, Problem, Problems
from synthscars.release import build_release, read_manifest
from synthscars.release.check import check, encode_checks
from synthscars.release.manifest import MANIFEST_NAME

Row = dict[str, Any]
TRAIN = "data/train-00000.parquet"
TEST = "data/test-00000.parquet"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = filled_workspace(tmp_path_factory.mktemp("check") / "w")
    build_release(workspace, "1.0.0", Problems())
    return workspace.release_dir("1.0.0")


@pytest.fixture
def release(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "1.0.0"))


def problems_of(source: Path, **options: Any) -> list[Problem]:
    problems = Problems()
    check(source, problems, **options)
    return list(problems)


def codes(source: Path, **options: Any) -> list[str]:
    return sorted(problem.code for problem in problems_of(source, **options))


def rows_of(release: Path, file: str = TRAIN) -> list[Row]:
    return list(pq.read_table(release / file).to_pylist())


def write_rows(release: Path, rows: list[Row], file: str = TRAIN) -> None:
    """Write rows as a builder would have that made the fault itself: the manifest fits."""
    path = release / file
    pq.write_table(pa.Table.from_pylist(rows, schema=pq.read_schema(path)), path, write_page_index=True)
    manifest = json.loads((release / MANIFEST_NAME).read_text())
    manifest["images"] = {
        row["image_id"]: {"split": each["split"], "group": row["group_id"]}
        for each in manifest["files"]
        for row in rows_of(release, each["path"])
    }
    for each in manifest["files"]:
        each["sha256"] = hashlib.sha256((release / each["path"]).read_bytes()).hexdigest()
    manifest["artifacts"] = sum(
        len(row["artifacts"]) for each in manifest["files"] for row in rows_of(release, each["path"])
    )
    (release / MANIFEST_NAME).write_text(json.dumps(manifest))
    change_card(release, lambda values: count_rows(values, path.name.split("-")[0], len(rows)))


def change_card(release: Path, change: Callable[[Row], object]) -> None:
    """Change the YAML of a card."""
    path = release / "README.md"
    _, text, rest = path.read_text().split("---\n", 2)
    values = yaml.safe_load(text)
    change(values)
    path.write_text(f"---\n{yaml.safe_dump(values, sort_keys=False)}---\n{rest}")


def count_rows(values: Row, split: str, count: int) -> None:
    infos = values["dataset_info"]
    for info in infos if isinstance(infos, list) else [infos]:
        for each in info["splits"]:
            if each["name"] == split:
                each["num_examples"] = count


def with_artifacts(rows: list[Row]) -> Row:
    return next(row for row in rows if len(row["artifacts"]) > 1)


def clean(rows: list[Row]) -> Row:
    return next(row for row in rows if not row["artifacts"])


def other_image(row: Row, data: bytes) -> None:
    """The row is of another image."""
    row["image"] = {"bytes": data, "path": row["file_name"]}
    row["image_id"] = row["group_id"] = sha256(data)


# Sound data


def test_a_sound_release_has_no_problem(sound: Path) -> None:
    assert problems_of(sound) == []


def test_a_release_of_simulated_images_has_none_but_notes_and_licences(tmp_path: Path) -> None:
    from synthscars.jsonl import write_records
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


# One image by itself

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


def says(row: Row, index: int, **texts: str) -> None:
    """An artifact says something else, and so does the caption."""
    artifact = row["artifacts"][index]
    before = f"{artifact['phrase']}:{artifact['explanation']}"
    artifact.update(texts)
    after = f"{artifact['phrase']}:{artifact['explanation']}"
    assert before in row["caption"]
    row["caption"] = row["caption"].replace(before, after)


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


# Files


def test_a_file_that_was_written_again_is_altered(release: Path) -> None:
    pq.write_table(pq.read_table(release / TRAIN), release / TRAIN, write_page_index=True)
    (found,) = problems_of(release)
    assert (found.code, found.file) == ("file.altered", TRAIN)


def test_a_file_that_is_gone_is_missing_and_one_more_is_unlisted(release: Path) -> None:
    (release / TEST).rename(release / "data/test-00001-of-00002.parquet")
    assert codes(release) == ["file.missing", "file.unlisted"]


def test_a_file_that_breaks_off_is_unreadable(release: Path) -> None:
    content = (release / TEST).read_bytes()
    (release / TEST).write_bytes(content[: len(content) // 2])
    assert codes(release) == ["file.altered", "file.unreadable"]


def test_images_that_the_manifest_does_not_fit_are_counted(release: Path) -> None:
    manifest = json.loads((release / MANIFEST_NAME).read_text())
    first, second, third = sorted(manifest["images"])[:3]
    manifest["images"]["0" * 64] = manifest["images"].pop(first)
    manifest["images"][second]["group"] = "other"
    manifest["images"][third]["split"] = "other"
    (release / MANIFEST_NAME).write_text(json.dumps(manifest))
    found = {each.code: each for each in problems_of(release)}
    assert set(found) == {"manifest.image_missing", "manifest.image_unlisted", "manifest.image_moved"}
    assert found["manifest.image_missing"].image == "0" * 64
    assert found["manifest.image_unlisted"].image == first
    assert found["manifest.image_moved"].count == 2


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"artifacts": 7}, "manifest.artifacts"),
        ({"taxonomy_version": "0.0.1"}, "manifest.taxonomy"),
        ({"images": 7}, "manifest.unreadable"),
    ],
)
def test_what_else_is_wrong_with_a_manifest(change: Row, code: str, release: Path) -> None:
    manifest = json.loads((release / MANIFEST_NAME).read_text())
    (release / MANIFEST_NAME).write_text(json.dumps({**manifest, **change}))
    assert codes(release) == [code]


def test_columns_are_compared_with_those_of_a_release(release: Path) -> None:
    (release / MANIFEST_NAME).unlink()
    table = pq.read_table(release / TRAIN)
    wide = table.set_column(table.schema.get_field_index("width"), "width", table["width"].cast("int64"))
    more = wide.append_column("score", pa.array([0.5] * len(table)))
    pq.write_table(more, release / TRAIN, write_page_index=True)
    less = pq.read_table(release / TEST).drop_columns(["caption"])
    pq.write_table(less, release / TEST, write_page_index=True)
    found = codes(release)
    assert found[:4] == ["manifest.missing", "schema.column_added", "schema.type", "schema.wrong"]
    assert set(found[4:]) == {"viewer.features"}


def test_a_row_that_no_record_fits_costs_only_itself(release: Path) -> None:
    rows = rows_of(release)
    rows[0]["extra"] = "no JSON"
    rows[1]["image_id"] = rows[1]["image_id"].upper()
    artifact = with_artifacts(rows[2:])["artifacts"][0]
    artifact["category"] = 17
    write_rows(release, rows)
    problems = Problems()
    report = check(release, problems)
    assert sorted(each.code for each in problems) == ["image.bad_id", "label.unknown", "row.wrong"]
    assert report.images == 24 - 3


@pytest.mark.parametrize(
    "change",
    [
        {"artifacts": [None]},
        {"artifacts": None},
        {"reviews": [None]},
        {"extra": '{"a":' * 5000 + "1" + "}" * 5000},
        {"status": None},
        {"width": None},
    ],
    ids=str,
)
def test_nonsense_in_a_row_never_stops_the_check(change: Row, release: Path) -> None:
    rows = rows_of(release)
    rows[0].update(change)
    (release / MANIFEST_NAME).unlink()
    table = pa.Table.from_pylist(rows, schema=pq.read_schema(release / TRAIN))
    pq.write_table(table, release / TRAIN, write_page_index=True)
    problems = Problems()
    report = check(release, problems)
    assert report.codes == {"manifest.missing": 1, "row.wrong": 1}
    assert report.images == 23


@pytest.mark.parametrize("far", [1e300, -1e308, 3e9])
def test_coordinates_far_outside_are_told_without_a_crash(far: float, release: Path) -> None:
    rows = rows_of(release)
    with_artifacts(rows)["artifacts"][0]["polygons"] = [[1.0, 1.0, far, 1.0, 9.0, 9.0]]
    write_rows(release, rows)
    assert "polygon.outside" in codes(release) or "polygon.no_area" in codes(release)


def test_a_plain_folder_of_the_files_and_a_single_one_are_checked_as_well(sound: Path) -> None:
    assert codes(sound / "data") == ["manifest.missing"]
    assert codes(sound / TEST) == []


def test_a_release_that_has_lost_all_its_data_cannot_be_checked(release: Path) -> None:
    shutil.rmtree(release / "data")
    with pytest.raises(FormatError, match="no Parquet file"):
        problems_of(release)


# Across images


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


# Other formats


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
