import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from synthscars.cli import main
from synthscars.converters import formats
from synthscars.converters.formats import FORMATS, by_suffix, detect
from synthscars.jsonl import read_records, write_records
from synthscars.problems import Problems, UsageError

GOLDEN = Path(__file__).parent.parent / "data" / "synthscars"
TRAIN = GOLDEN / "train" / "annotations" / "train.json"


def _convert(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["convert", *(str(argument) for argument in arguments)])


def test_the_published_layout_becomes_records_and_comes_back_with_its_images(tmp_path: Path) -> None:
    result = _convert(GOLDEN, tmp_path / "all.jsonl.zst")
    assert result.exit_code == 0, result.output
    assert "3 of 3 images, 4 artifacts" in result.stdout
    assert "explanation.empty" in result.stderr
    assert len(list(read_records(tmp_path / "all.jsonl.zst"))) == 3

    back = tmp_path / "back"
    result = _convert(tmp_path / "all.jsonl.zst", back, "--to", "synthscars-json", "--images", GOLDEN)
    assert result.exit_code == 0, result.output
    written = json.loads((tmp_path / "back/train/annotations/train.json").read_bytes())
    assert written == json.loads(TRAIN.read_bytes())
    for name in ("dog.png", "sign.jpg"):
        copied = tmp_path / "back" / "train" / "images" / name
        assert copied.read_bytes() == (GOLDEN / "train" / "images" / name).read_bytes()


def test_a_layout_is_copied_with_the_images_that_it_brings(tmp_path: Path) -> None:
    result = _convert(GOLDEN, tmp_path / "copy", "--to", "synthscars-json")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "copy").rglob("images/*")) == [
        "dog.png",
        "hand.png",
        "sign.jpg",
    ]


def test_json_says_what_was_done_and_what_was_wrong(tmp_path: Path) -> None:
    result = _convert(TRAIN, tmp_path / "out.jsonl", "--json")
    assert result.exit_code == 0
    said = json.loads(result.stdout)
    assert said == {
        "source": str(TRAIN),
        "from": "synthscars-json",
        "target": str(tmp_path / "out.jsonl"),
        "to": "records",
        "images": 2,
        "artifacts": 3,
        "written": 2,
        "dry_run": False,
        "problems": [],
    }


def test_what_was_set_aside_makes_exit_code_1_and_the_rest_is_converted(tmp_path: Path) -> None:
    entries = json.loads(TRAIN.read_bytes())
    entries[0]["0"]["refs"][0]["segmentation"] = [[1, 1, 2, 2, 3, 3]]
    (tmp_path / "train.json").write_text(json.dumps(entries))
    result = _convert(
        tmp_path / "train.json", tmp_path / "out.jsonl", "--images", GOLDEN / "train" / "images"
    )
    assert result.exit_code == 1
    assert "polygon.no_area" in result.stderr
    assert "image 0, refs[0]" in result.stderr
    assert len(list(read_records(tmp_path / "out.jsonl"))) == 2


def test_label_studio_tasks_are_written_and_read_again(tmp_path: Path) -> None:
    _convert(GOLDEN, tmp_path / "all.jsonl")
    result = _convert(tmp_path / "all.jsonl", tmp_path / "tasks.json", "--to", "labelstudio", "--strict")
    assert result.exit_code == 0, result.output
    assert detect(tmp_path / "tasks.json").name == "labelstudio"
    result = _convert(tmp_path / "tasks.json", tmp_path / "again.jsonl")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "all.jsonl").read_bytes()


def test_images_of_unknown_size_are_not_written_where_sizes_are_needed(tmp_path: Path) -> None:
    shutil.copy(TRAIN, tmp_path / "train.json")
    result = _convert(tmp_path / "train.json", tmp_path / "tasks.json", "--to", "labelstudio", "--json")
    assert result.exit_code == 1
    codes = [problem["code"] for problem in json.loads(result.stdout)["problems"]]
    assert codes == ["image.no_size", "image.no_size", "image.no_folder"]
    assert json.loads((tmp_path / "tasks.json").read_bytes()) == []


def test_a_file_that_exists_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_text("mine")
    result = _convert(TRAIN, tmp_path / "out.jsonl")
    assert result.exit_code == 2
    assert "exists already" in result.stderr
    assert (tmp_path / "out.jsonl").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([TRAIN, "out.json"], "say which: labelstudio, synthscars-json, gcg, coco"),
        ([TRAIN, "out"], "say which: release, synthscars-json, gcg, coco"),
        ([TRAIN, "out.docx"], "does not tell the format"),
        (["nowhere.json", "out.jsonl"], "does not exist"),
        ([TRAIN, "out.jsonl", "--from", "pascal"], "'pascal' is not one of"),
        ([TRAIN, "out", "--to", "loki"], "'loki' is not one of"),
        ([TRAIN, "out.jsonl", "--image-files", "embed"], "records cannot embed images"),
        ([TRAIN, "out.jsonl", "--image-files", "copy"], "leave --image-files away"),
        ([TRAIN, "out.xml", "--image-files", "link"], "name a folder"),
        ([TRAIN, "out.jsonl", "--expect", "colour"], "nothing named colour can be lost"),
        (["strange.json", "out.jsonl"], "the format cannot be told"),
        ([TRAIN, "out.json", "--to", "masks"], "masks is a folder, out.json the name of a file"),
        (["empty", "out.jsonl"], "the folder is empty"),
        (["a.zip", "out.jsonl"], "unpack it"),
        ([GOLDEN / "train/images", "out.jsonl"], "it holds only images"),
        ([TRAIN, "out.jsonl", "--option", "kind=binary"], "records has no option kind=binary"),
        ([TRAIN, "out", "--to", "masks", "-o", "kind=grey"], "options: kind=regions|indexed|binary"),
        ([TRAIN, "out", "--to", "masks", "-o", "kind"], "it is not NAME=VALUE"),
    ],
)
def test_a_call_that_makes_no_sense_is_refused_and_says_what_would(
    tmp_path: Path, monkeypatch, arguments: list, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_text("")
    (tmp_path / "a.zip").write_bytes(b"PK")
    (tmp_path / "empty").mkdir()
    (tmp_path / "strange.json").write_text('[{"a": 1, "b": 2}]')
    result = _convert(*arguments)
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    "content", ["", "{", "[", "[}", "[[[", "null", '{"pictures": [], "annotations": []}']
)
def test_a_file_of_no_known_format_is_not_guessed_at(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(UsageError, match="cannot be told"):
        detect(tmp_path / "a.json")


def test_a_file_that_breaks_off_is_said_to(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"images": [{"id": 1, "file_name": "a.png"}], "annotations": [')
    result = _convert(tmp_path / "a.json", tmp_path / "out.jsonl")
    assert result.exit_code == 2
    assert "not whole JSON" in result.stderr


def test_a_file_that_cannot_be_read_ends_with_exit_code_3_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text(TRAIN.read_text()[:-5])
    result = _convert(tmp_path / "in.json", tmp_path / "out.jsonl")
    assert result.exit_code == 3
    assert "in.json" in result.stderr
    assert "Traceback" not in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["in.json"]


def test_formats_are_told_by_name_and_content(tmp_path: Path) -> None:
    shutil.copy(TRAIN, tmp_path / "DATA.JSON")
    assert detect(tmp_path / "DATA.JSON").name == "synthscars-json"
    assert detect(GOLDEN).name == "synthscars-json"
    assert by_suffix(Path("a.jsonl")).name == by_suffix(Path("a.JSONL.ZST")).name == "records"
    assert by_suffix(Path("a.json.zst")).name == "labelstudio"
    assert by_suffix(Path("a.xml")).name == "cvat"
    assert by_suffix(Path("a.csv")).name == by_suffix(Path("a.regions.jsonl")).name == "regions"


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_in_the_help(name: str) -> None:
    result = _convert("--help")
    assert result.exit_code == 0
    assert f"{name} " in result.stdout
    assert "Examples:" in result.stdout


def test_what_is_lost_is_counted_by_field_and_expected(tmp_path: Path) -> None:
    _convert(GOLDEN, tmp_path / "all.jsonl")
    records = [
        msgspec.structs.replace(record, license="CC0-1.0", group_id="g1")
        for record in read_records(tmp_path / "all.jsonl")
    ]
    write_records(tmp_path / "more.jsonl", records)
    result = _convert(tmp_path / "more.jsonl", tmp_path / "a", "--to", "synthscars-json", "--images", GOLDEN)
    assert result.exit_code == 0, result.output
    assert "Not held by synthscars-json" in result.stderr
    assert re.search(r"license +3 +licences +dog.png", result.stderr)
    assert re.search(r"group_id +3 +groups +dog.png", result.stderr)


def test_strict_takes_no_loss_that_was_not_expected(tmp_path: Path) -> None:
    _convert(GOLDEN, tmp_path / "all.jsonl")
    records = [
        msgspec.structs.replace(record, license="CC0-1.0") for record in read_records(tmp_path / "all.jsonl")
    ]
    write_records(tmp_path / "more.jsonl", records)

    def convert(target: str, *options: str) -> Result:
        to = ("--to", "synthscars-json", "--images", GOLDEN, *options)
        return _convert(tmp_path / "more.jsonl", tmp_path / target, *to)

    assert convert("a", "--strict").exit_code == 1
    refused = convert("b", "--expect", "source", "--expect", "artifact.artifact_id")
    assert refused.exit_code == 1
    assert "not expected to be lost: license" in refused.stderr
    fields = ("license", "source", "artifact.artifact_id")
    expected = convert("c", "--strict", *(f"--expect={field}" for field in fields))
    assert expected.exit_code == 0, expected.output


def test_a_dry_run_says_what_would_be_lost_and_writes_nothing(tmp_path: Path) -> None:
    call = (GOLDEN, tmp_path / "out", "--dry-run", "--json", "--to")
    result = _convert(*call, "masks", "--option", "kind=binary")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert (said["images"], said["written"], said["dry_run"]) == (3, 3, True)
    losses = {one["code"]: one.get("count", 1) for one in said["problems"] if one["code"].startswith("loss.")}
    assert losses["loss.artifact.outline"] == 4
    # Only its writer knows that the published layout gives these images back as they are.
    said = json.loads(_convert(*call, "synthscars-json").stdout)
    assert [one["code"] for one in said["problems"]] == ["explanation.empty"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [name for name, each in FORMATS.items() if each.writes and each.folder])
def test_a_dry_run_reports_what_a_conversion_reports(tmp_path: Path, monkeypatch, name: str) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    (tmp_path / "temporary").mkdir()
    (tmp_path / "some").mkdir()
    shutil.copy(GOLDEN / "train" / "images" / "dog.png", tmp_path / "some")
    _convert(GOLDEN, tmp_path / "all.jsonl")
    call = (tmp_path / "all.jsonl", tmp_path / "out", "--to", name, "--images", tmp_path / "some", "--json")
    dry = json.loads(_convert(*call, "--dry-run").stdout)
    assert not (tmp_path / "out").exists()
    assert not any((tmp_path / "temporary").iterdir())
    wet = json.loads(_convert(*call).stdout)
    said = [sorted(one["problems"], key=str) for one in (dry, wet)]
    if name == "release":  # of which a dry run says less
        said = [[each["count"] for each in one if each["code"] == "loss.image"] for one in said]
    assert said[0] == said[1]
    assert any("not at hand" in each["what"] and each["count"] == 2 for each in wet["problems"])
    assert dry["written"] == wet["written"]


def test_a_dry_run_fails_as_the_conversion_would_and_names_the_target(tmp_path: Path) -> None:
    found = {"label": {"text": "x"}}
    (tmp_path / "a.json").write_text(json.dumps(found))
    call = (GOLDEN, tmp_path / "no" / ("x" * 300), "--to", "coco")
    for options in ([], ["--dry-run"]):
        result = _convert(*call, *options)
        assert result.exit_code == 3
        assert "x" * 300 in result.stderr


@pytest.mark.parametrize("name", [name for name, each in FORMATS.items() if each.writes and each.folder])
def test_names_of_files_need_not_be_utf_8(tmp_path: Path, name: str) -> None:
    _convert(GOLDEN / "train", tmp_path / "lm", "--to", "labelme")
    odd = tmp_path / os.fsdecode(b"source-\xff")
    try:
        (tmp_path / "lm" / "train").rename(odd)
    except OSError:
        pytest.skip("this file system knows only UTF-8")
    for path in [path for path in odd.iterdir() if path.suffix == ".json"]:
        found = json.loads(path.read_bytes())
        del found["imagePath"], found["image_id"]  # then the name of the file tells them
        path.write_text(json.dumps(found))
        for each in odd.glob(f"{path.stem}.*"):
            each.rename(odd / os.fsdecode(b"\xfe" + os.fsencode(each.name)))
    for source in (odd, tmp_path):
        target = tmp_path.with_name(f"{tmp_path.name}-{source.name}-target")
        result = _convert(source, target, "--from", "labelme", "--to", name, "--json")
        assert result.exit_code in (0, 1), result.output
        assert result.exception is None or isinstance(result.exception, SystemExit)
        assert json.loads(result.stdout)["images"] == 2


@pytest.mark.parametrize("how", ["copy", "link"])
def test_images_are_taken_from_where_the_reader_found_them(tmp_path: Path, how: str) -> None:
    """Each format has its own custom; the folder that was named may be the wrong one."""
    (tmp_path / "wrong").mkdir()
    shutil.copytree(GOLDEN / "train", tmp_path / "train")
    _convert(tmp_path / "train", tmp_path / "lm", "--to", "labelme")
    _convert(tmp_path / "train", tmp_path / "dm", "--to", "datumaro")
    sources = [
        (tmp_path / "train" / "annotations" / "train.json", []),
        (tmp_path / "lm" / "train" / "dog.json", []),
        (tmp_path / "dm" / "annotations" / "train.json", []),
        (tmp_path / "lm", ["--images", tmp_path / "wrong"]),
    ]
    for number, (source, options) in enumerate(sources):
        out = tmp_path / str(number)
        result = _convert(source, out, "--to", "coco", "--image-files", how, *options)
        assert result.exit_code == 0, result.output
        copied = list(out.rglob("dog.png"))
        assert len(copied) == 1
        assert copied[0].is_symlink() == (how == "link")
        assert copied[0].read_bytes() == (GOLDEN / "train" / "images" / "dog.png").read_bytes()


def test_a_caption_that_was_overtaken_by_an_edit_is_told_and_composed_anew(tmp_path: Path) -> None:
    _convert(GOLDEN, tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["explanation"] = row["explanation"].replace("grows between the others", "is a fifth")
    with (tmp_path / "b.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    result = _convert(tmp_path / "b.csv", tmp_path / "out", "--to", "synthscars-json", "--images", GOLDEN)
    assert "caption.stale" in result.stderr
    (entry,) = [
        entry
        for item in json.loads((tmp_path / "out/train/annotations/train.json").read_bytes())
        for entry in item.values()
        if entry["img_file_name"] == "dog.png"
    ]
    assert "This one is a fifth." in entry["caption"]
    assert "grows between" not in entry["caption"]


def test_a_choice_that_a_format_leaves_is_made_with_an_option(tmp_path: Path) -> None:
    result = _convert(GOLDEN, tmp_path / "out.json", "--to", "coco", "--option", "segmentation=rle")
    assert result.exit_code == 0, result.output
    annotations = json.loads((tmp_path / "out.json").read_bytes())["annotations"]
    assert annotations
    assert all(isinstance(each["segmentation"]["counts"], str) for each in annotations)
    assert "segmentation: polygons, rle" in CliRunner().invoke(main, ["formats", "coco"]).stdout


def test_a_folder_with_none_of_the_images_is_said_to_be_the_wrong_one(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    result = _convert(TRAIN, tmp_path / "out", "--to", "synthscars-json", "--images", tmp_path / "photos")
    assert result.exit_code == 1
    assert "image.none" in result.stderr


def test_nothing_in_the_source_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("")
    result = _convert(tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    assert result.exit_code == 0
    assert "source.empty" in result.stderr


def test_images_can_be_linked_instead_of_copied(tmp_path: Path) -> None:
    result = _convert(GOLDEN, tmp_path / "out", "--to", "synthscars-json", "--image-files", "link")
    assert result.exit_code == 0, result.output
    linked = tmp_path / "out" / "test" / "images" / "hand.png"
    assert linked.is_symlink()
    assert linked.resolve() == GOLDEN / "test" / "images" / "hand.png"


def test_the_formats_are_there_without_the_command_line(tmp_path: Path) -> None:
    problems = Problems()
    found = list(formats.read(GOLDEN, problems))
    assert formats.write(found, tmp_path / "a.jsonl", problems) == 3
    assert list(formats.read(tmp_path / "a.jsonl", problems)) == found
    done = formats.convert(GOLDEN, tmp_path / "b.jsonl", problems)
    assert (done.from_, done.to, done.images, done.artifacts) == ("synthscars-json", "records", 3, 4)
    with pytest.raises(UsageError, match="there is no format 'pascal'"):
        formats.read(GOLDEN, problems, "pascal")


def test_formats_lists_what_each_can_hold() -> None:
    result = CliRunner().invoke(main, ["formats", "--json"])
    assert result.exit_code == 0, result.output
    by_name = {row["name"]: row for row in json.loads(result.stdout)}
    assert list(by_name) == list(FORMATS)
    assert by_name["records"]["statuses"] == ["unlabelled", "clean", "annotated", "skipped"]
    assert "explanation" not in by_name["yolo"]["artifact"]
    shown = CliRunner().invoke(main, ["formats"])
    assert shown.exit_code == 0, shown.output
    assert all(name in shown.stdout for name in FORMATS)


def test_the_documentation_holds_the_generated_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
    result = CliRunner().invoke(main, ["formats", "--markdown"])
    assert result.stdout in page, "put the output of `synthscars formats --markdown` into docs/formats.md"


def test_a_conversion_that_is_ended_leaves_nothing_behind(tmp_path: Path) -> None:
    record = next(formats.read(GOLDEN, Problems()))
    (tmp_path / "in").mkdir()
    many = (msgspec.structs.replace(record, image_id=f"{number:064x}") for number in range(200_000))
    write_records(tmp_path / "in" / "a.jsonl", many)
    command = [
        sys.executable,
        "-m",
        "synthscars",
        "convert",
        tmp_path / "in" / "a.jsonl",
        tmp_path / "out.json",
    ]
    process = subprocess.Popen([*map(str, command), "--to", "coco"], stderr=subprocess.DEVNULL)
    while not any(path.name.startswith(".tmp-") for path in tmp_path.iterdir()):
        assert process.poll() is None
        time.sleep(0.01)
    process.terminate()
    assert process.wait() == 143
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
