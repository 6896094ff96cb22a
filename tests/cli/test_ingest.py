from __future__ import annotations

import json
import shlex
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from folders import folder_bytes
from pictures import png, write

from synthscars.cli import main

_TEXT = "a cat\nSteps: 5, Sampler: Euler, Seed: 7, Model: some [bold]model[/bold]"


def _run(*arguments: object) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert "Traceback" not in result.output
    return result


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "scars"
    assert _run("init", root, "--name", "Scars").exit_code == 0
    return root


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    return write(tmp_path / "outputs", {"a.png": png(1, parameters=_TEXT), "b.png": png(2), "notes.txt": b""})


@pytest.mark.parametrize("command", ["init", "ingest", "status"])
def test_help_shows_an_example(command: str) -> None:
    result = _run(command, "--help")
    assert result.exit_code == 0
    assert f"synthscars {command}" in result.output.split("Examples:")[1]


def test_init_makes_a_workspace_once(tmp_path: Path) -> None:
    result = _run("init", tmp_path / "new", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"name": "new", "workspace": str(tmp_path / "new")}
    before = folder_bytes(tmp_path)
    again = _run("init", tmp_path / "new")
    assert again.exit_code == 3
    assert "is a workspace already" in again.stderr
    assert folder_bytes(tmp_path) == before


def test_ingest_says_what_became_of_the_files(root: Path, outputs: Path) -> None:
    result = _run("ingest", outputs, "-w", root)
    assert result.exit_code == 0
    assert "2  added" in result.stdout
    assert "1  not images, left alone" in result.stdout
    assert "automatic1111 1" in result.stdout


def test_ingest_exits_with_1_and_names_what_is_bad(root: Path, outputs: Path) -> None:
    write(outputs, {"bad.png": b"", "broken.zip": b"no zip"})
    result = _run("ingest", outputs, "-w", root)
    assert result.exit_code == 1
    assert "2  added" in result.stdout
    assert "image.empty  outputs/bad.png: the file is empty" in result.stderr
    assert "zip.damaged  outputs/broken.zip" in result.stderr


def test_ingest_in_json(root: Path, outputs: Path) -> None:
    with zipfile.ZipFile(outputs / "more.zip", "w") as archive:
        archive.writestr("../evil.png", png(3))
        archive.writestr("c.png", png(3))
    result = _run("ingest", outputs, "-w", root, "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["report"] == {
        "files": 4,
        "added": 3,
        "duplicates": 0,
        "known": 0,
        "quarantined": 0,
        "refused": 1,
        "restored": 0,
        "updated": 0,
        "ignored": {".txt": 1},
        "tools": {"unknown": 2, "automatic1111": 1},
    }
    assert found["dry_run"] is False
    assert [problem["code"] for problem in found["problems"]] == ["zip.unsafe_name", "ingest.ignored"]


def test_a_dry_run_writes_nothing_and_says_so(root: Path, outputs: Path) -> None:
    before = folder_bytes(root)
    result = _run("ingest", outputs, "-w", root, "--dry-run")
    assert result.exit_code == 0
    assert "nothing was written" in result.stdout
    assert "2  would be added" in result.stdout
    assert folder_bytes(root) == before


def test_a_source_that_is_not_there_is_named(root: Path) -> None:
    result = _run("ingest", "missing/*.png", "-w", root)
    assert result.exit_code == 1
    assert "ingest.nothing_found  missing/*.png" in result.stderr


def test_a_path_that_does_not_exist_is_a_usage_error_unless_others_do(root: Path, outputs: Path) -> None:
    alone = _run("ingest", outputs / "missing", "-w", root)
    assert alone.exit_code == 2
    assert "missing does not exist" in alone.stderr
    among = _run("ingest", outputs / "missing", outputs, "-w", root)
    assert among.exit_code == 1
    assert "missing: it does not exist" in among.stderr
    assert "2  added" in among.stdout


def test_images_that_are_gone_are_counted_and_restored(root: Path, outputs: Path) -> None:
    _run("ingest", outputs, "-w", root)
    for path in (root / "images").glob("*/*"):
        path.unlink()
    assert json.loads(_run("status", "-w", root, "--json").stdout)["missing_files"] == 2
    shown = " ".join(_run("status", "-w", root).stdout.split())
    assert "missing files 2 → ingest the originals again" in shown
    assert "2  would be restored" in _run("ingest", outputs, "-w", root, "--dry-run").stdout
    assert "2  restored" in _run("ingest", outputs, "-w", root).stdout
    assert json.loads(_run("status", "-w", root, "--json").stdout)["missing_files"] == 0


def test_a_licence_that_is_given_later_is_said_to_be_taken(root: Path, outputs: Path) -> None:
    _run("ingest", outputs, "-w", root)
    first = _run("ingest", outputs, "-w", root, "--license", "CC0-1.0", "--origin", "real")
    assert first.exit_code == 0
    assert "2  updated" in first.stdout
    before = folder_bytes(root)
    assert "updated" not in _run("ingest", outputs, "-w", root, "--license", "CC0-1.0").stdout
    assert folder_bytes(root) == before
    found = json.loads(_run("status", "-w", root, "--json").stdout)
    assert (found["images"], found["second_names"], found["origins"]) == (2, 0, {"real": 2})


@pytest.mark.parametrize("name", ["wörk space", "it's $HOME"])
def test_the_command_after_init_can_be_pasted(tmp_path: Path, name: str) -> None:
    shown = _run("init", tmp_path / name)
    (line,) = [line for line in shown.stdout.splitlines() if line.startswith("next: ")]
    command, _, _ = line.removeprefix("next: ").partition(" && ")
    assert shlex.split(command) == ["cd", str(tmp_path / name)]


def test_status_names_the_five_most_frequent_models(root: Path, outputs: Path) -> None:
    write(outputs, {f"{n}.png": png(10 + n, parameters=f"{_TEXT}-{n}") for n in range(6)})
    _run("ingest", outputs, "-w", root)
    assert len(json.loads(_run("status", "-w", root, "--json").stdout)["models"]) == 8
    shown = _run("status", "-w", root).stdout
    assert "and 3 more" in shown
    assert "-3 1" in shown
    assert "-4 1" not in shown


def test_status_says_which_pulls_were_not_read(root: Path) -> None:
    for name in ("exports/000001.json.zst", "exports/000002.json.zst", "records/000001.jsonl.zst"):
        write(root, {name: b""})
    assert "2  (1 not read)" in _run("status", "-w", root).stdout


def test_ingest_without_a_workspace_says_how_to_make_one(tmp_path: Path, outputs: Path) -> None:
    result = _run("ingest", outputs, "-w", tmp_path)
    assert result.exit_code == 3
    assert "synthscars init" in result.stderr


def test_ingest_without_a_source_is_a_usage_error(root: Path) -> None:
    assert _run("ingest", "-w", root).exit_code == 2


def test_a_disk_that_is_full_is_an_error_without_a_traceback(
    root: Path, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("synthscars.workspace.Workspace.append_index", full)
    result = _run("ingest", outputs, "-w", root)
    assert result.exit_code == 3
    assert "No space left on device" in result.stderr
    monkeypatch.undo()
    assert _run("ingest", outputs, "-w", root).exit_code == 0


def test_status_counts_everything(root: Path, outputs: Path) -> None:
    write(outputs, {"bad.png": b"", "copy.png": png(2)})
    _run("ingest", outputs, "-w", root)
    _run("ingest", write(outputs.parent / "photos", {"p.png": png(5)}), "-w", root, "--origin", "real")
    found = json.loads(_run("status", "-w", root, "--json").stdout)
    assert found == {
        "name": "Scars",
        "workspace": str(root),
        "images": 3,
        "missing_files": 0,
        "second_names": 1,
        "quarantined": 1,
        "origins": {"synthetic": 2, "real": 1},
        "tools": {"automatic1111": 1, "unknown": 1},
        "models": {"some [bold]model[/bold]": 1, "unknown": 1},
        "exports": 0,
        "records": 0,
        "releases": [],
    }
    shown = _run("status", "-w", root)
    assert shown.exit_code == 0
    assert "3  (synthetic 2, real 1)" in shown.stdout
    assert "some [bold]model[/bold] 1" in shown.stdout
    assert "missing files" not in shown.stdout
    assert "records" not in shown.stdout


def test_status_of_an_empty_workspace(root: Path) -> None:
    result = _run("status", "-w", root)
    assert result.exit_code == 0
    assert "none" in result.stdout


def test_status_lists_releases_by_version(root: Path) -> None:
    # What a killed build leaves is no release.
    for version in ("0.10.0", "0.9.0", "1.0.0", ".tmp-0123-2.0.0", ".replaced-1.0.0"):
        (root / "releases" / version).mkdir(parents=True)
    assert json.loads(_run("status", "-w", root, "--json").stdout)["releases"] == ["0.9.0", "0.10.0", "1.0.0"]
