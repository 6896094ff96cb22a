import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from official import defective, entry, layout
from pictures import encoded, view

from synthscars.cli import main
from synthscars.jsonl import read_records
from synthscars.workspace import Workspace


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return defective(tmp_path_factory.mktemp("official") / "SynthScars")


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    files = {"train/images/a.png": encoded(view(1), "PNG"), "test/images/b.png": encoded(view(2), "PNG")}
    return layout(tmp_path / "sound", {"train": [entry("a.png")], "test": [entry("b.png")]}, files)


def _import(*arguments: object) -> Result:
    runner = CliRunner(env={"COLUMNS": "200", "SYNTHSCARS_WORKSPACE": ""})
    return runner.invoke(main, ["import", *(str(argument) for argument in arguments)])


def test_defects_are_a_table_of_code_count_what_was_done_and_an_example(
    official: Path, tmp_path: Path
) -> None:
    result = _import(official, tmp_path / "out.jsonl.zst")
    assert result.exit_code == 1, result.output  # a polygon was set aside
    lines = {line.split()[0]: line.split() for line in result.stdout.splitlines() if line.strip()}
    assert lines["picture.twin"][1] == "1"
    assert lines["picture.annotated_again"][1] == "2"
    assert lines["polygon.rounding"][1] == "2"
    assert lines["refs"] == ["refs", "17", "2"]
    assert "set aside" in " ".join(lines["polygon.no_area"])
    assert "polygon.no_area" in result.stderr
    assert "image 7, refs[1]" in result.stderr
    assert "picture.twin" not in result.stderr
    assert "15 records with 18 artifacts" in result.stdout
    assert len(list(read_records(tmp_path / "out.jsonl.zst"))) == 15


def test_names_of_splits_are_shown_as_they_are(tmp_path: Path) -> None:
    files = {"train [old]/images/a.png": encoded(view(1), "PNG")}
    source = layout(tmp_path / "in", {"train [old]": [entry("a.png")]}, files)
    assert "train [old]" in _import(source, tmp_path / "out.jsonl").stdout


def test_to_look_what_is_wrong_no_workspace_is_needed(official: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = _import(official, "--dry-run")
    assert result.exit_code == 1, result.output
    assert "picture.twin" in result.stdout
    assert "nothing was written" in result.stdout
    assert _import(official).exit_code == 3


def test_json_has_counts_defects_and_every_problem(official: Path, tmp_path: Path) -> None:
    result = _import(official, "--json", "--dry-run", tmp_path / "out.jsonl")
    said = json.loads(result.stdout)
    assert said["dry_run"] is True
    assert not (tmp_path / "out.jsonl").exists()
    assert said["report"]["splits"]["train"]["annotated_again"] == 3
    (again,) = (each for each in said["defects"] if each["code"] == "picture.annotated_again")
    assert (again["count"], again["severity"]) == (2, "warning")
    assert again["done"] == "kept as several raters' answers"
    assert sum(each["count"] for each in said["defects"]) == len(said["problems"])


def test_a_sound_folder_goes_into_a_workspace_and_the_next_command_is_named(
    sound: Path, tmp_path: Path
) -> None:
    Workspace.create(tmp_path / "scars")
    result = _import(sound, "-w", tmp_path / "scars", "--license", "CC0-1.0")
    assert result.exit_code == 0, result.output
    records = tmp_path / "scars" / "imports" / "sound.jsonl.zst"
    assert (
        f"release build 0.1.0 -w {(tmp_path / 'scars').resolve()} --records {records.resolve()}"
        in result.stderr.replace("\n", "")
    )
    assert {record.license for record in read_records(records)} == {"CC0-1.0"}

    built = CliRunner().invoke(
        main, ["release", "build", "0.1.0", "-w", str(tmp_path / "scars"), "--records", str(records)]
    )
    assert built.exit_code == 0, built.output


def test_an_annotation_can_be_made_final(official: Path, tmp_path: Path) -> None:
    result = _import(official, tmp_path / "out.jsonl", "--final", "train/5", "--json")
    said = json.loads(result.stdout)
    whats = [each["what"] for each in said["problems"] if each["code"] == "picture.annotated_again"]
    assert any("counts alone, as you chose" in what for what in whats)
    result = _import(official, tmp_path / "other.jsonl", "--final", "99")
    assert result.exit_code == 2
    assert "there is no annotation 99" in result.stderr


def test_calls_that_make_no_sense_are_refused(sound: Path, tmp_path: Path) -> None:
    Workspace.create(tmp_path / "scars")
    taken = tmp_path / "taken.jsonl"
    taken.write_text("")
    archive = tmp_path / "SynthScars.zip"
    archive.write_bytes(b"PK")
    for arguments, said in (
        ([sound, tmp_path / "a.jsonl", "-w", tmp_path / "scars"], "leave one out"),
        ([sound, tmp_path / "a.json"], "is no name for records"),
        ([sound, taken], "exists already"),
        ([archive, tmp_path / "a.jsonl"], "unpack it"),
        ([tmp_path / "nowhere"], "does not exist"),
    ):
        result = _import(*arguments)
        assert result.exit_code == 2, result.output
        assert said in result.stderr
    assert _import(tmp_path, tmp_path / "a.jsonl").exit_code == 3  # no annotation file


def test_a_workspace_named_by_the_environment_is_no_contradiction(sound: Path, tmp_path: Path) -> None:
    runner = CliRunner(env={"SYNTHSCARS_WORKSPACE": str(tmp_path)})
    result = runner.invoke(main, ["import", str(sound), str(tmp_path / "a.jsonl")])
    assert result.exit_code == 0, result.output
