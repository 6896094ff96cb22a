"""`synthscars simulate`."""

import json
from pathlib import Path

from click.testing import CliRunner, Result
from PIL import Image

from synthscars.cli import main
from synthscars.simulate import read_truth


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_it_counts_what_it_drew(tmp_path: Path) -> None:
    result = run("simulate", tmp_path / "out", "-n", 3, "--photographs", 1, "--seed", 2, "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    records = read_truth(Path(told["truth"]))
    assert (told["images"], told["photographs"]) == (3, 1)
    assert told["artifacts"] == sum(len(record.artifacts) for record in records)
    assert sum(told["subtypes"].values()) == told["artifacts"]
    assert told["clean"] == sum(record.status == "clean" for record in records)


def test_it_says_where_things_are(tmp_path: Path) -> None:
    result = run("simulate", tmp_path / "out", "-n", 1, "--photographs", 1)
    assert result.exit_code == 0, result.stderr
    assert "1 simulated images" in result.stdout
    assert "1 simulated photographs" in result.stdout
    assert "ground_truth.jsonl" in result.stdout


def test_backgrounds_and_their_licence_can_be_given(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    Image.linear_gradient("L").resize((300, 300)).save(tmp_path / "mine/one.png")
    options = ("--backgrounds", tmp_path / "mine", "--background-license", "CC-BY-4.0")
    result = run("simulate", tmp_path / "out", "-n", 1, *options)
    assert result.exit_code == 0, result.stderr
    (record,) = read_truth(tmp_path / "out/ground_truth.jsonl")
    assert record.license == "CC-BY-4.0"
    assert record.source.endswith("one.png")


def test_a_folder_without_pictures_and_nothing_to_draw_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = run("simulate", tmp_path / "out", "--backgrounds", tmp_path / "empty")
    assert result.exit_code == 2
    assert "no picture" in result.stderr
    result = run("simulate", tmp_path / "out", "-n", 0)
    assert result.exit_code == 2
    assert "nothing to draw" in result.stderr
    assert not (tmp_path / "out").exists()
