"""A training run at reduced size, by the code that trains the real one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from synthscars.legion import Predictor, TrainingSettings, train
from synthscars.legion import trainer as trainer_module
from synthscars.problems import ReleaseError, UsageError

pytestmark = pytest.mark.slow

SHORT = TrainingSettings(warmup_epochs=1, epochs=2, detection_epochs=2, max_images=12, show=2, batch_size=4)


@pytest.fixture(scope="module")
def trained(drawn_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(drawn_release, tmp_path_factory.mktemp("trained") / "model", SHORT)


def lines(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def test_the_log_tells_of_every_epoch_of_every_stage(trained: Path) -> None:
    told = [(line["stage"], line["epoch"]) for line in lines(trained, "training.jsonl")]
    assert told == [
        *[("warmup", 0), ("words", 0), ("language", 0), ("language", 1)],
        *[("detection", 0), ("detection", 1)],
    ]
    first, second = (line for line in lines(trained, "training.jsonl") if line["stage"] == "language")
    assert second["losses"]["text"] < first["losses"]["text"]
    assert set(first["validation"]) == {"fg_iou", "regions", "true_regions"}


def test_the_gallery_shows_truth_and_answer(trained: Path) -> None:
    pictures = sorted(path.name for path in (trained / "gallery").iterdir())
    assert pictures == ["language-000.png", "language-001.png"]
    with Image.open(trained / "gallery" / pictures[0]) as picture:
        assert min(picture.size) > 200


def test_what_was_trained_predicts_images_of_any_size(trained: Path) -> None:
    predictor = Predictor(trained)
    images = [Image.new("RGB", size, "grey") for size in ((64, 48), (300, 500), (40, 40))]
    found = predictor.predict(images, ["a", "b", "c"], batch_size=2)
    assert [(each.image_id, each.width, each.height) for each in found] == [
        ("a", 64, 48),
        ("b", 300, 500),
        ("c", 40, 40),
    ]
    assert all(0 <= (each.synthetic or 0) <= 1 for each in found)
    alone = predictor.predict(images[1:2], ["b"])
    assert alone[0].text == found[1].text
    assert predictor.name.startswith("legion-")


def test_a_run_that_was_killed_goes_on_to_the_same_weights(
    drawn_release: Path, trained: Path, tmp_path: Path
) -> None:
    """Killed in the second epoch of the language stage; the undisturbed run is `trained`.

    The same but for the last digits: matrix products round by where in memory their operands lie. An epoch
    that was done twice, or a lost state of the optimizer, moves weights by the learning rate, 1e-3.
    """

    class Killed(BaseException):
        pass

    def kill(stage: str, done: int, total: int) -> None:
        if stage == "language" and done == total - 1:
            raise Killed

    with pytest.raises(Killed):
        train(drawn_release, tmp_path / "model", SHORT, progress=kill)
    assert not (tmp_path / "model" / "model.safetensors").exists()
    train(drawn_release, tmp_path / "model", SHORT)
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (tmp_path / "model", trained))
    assert ours.keys() == theirs.keys()
    for name, weight in ours.items():
        np.testing.assert_allclose(weight, theirs[name], rtol=0, atol=5e-5, err_msg=name)
    first, second = (lines(folder, "training.jsonl") for folder in (tmp_path / "model", trained))
    told = ("stage", "epoch", "step")
    assert [[line.get(key) for key in told] for line in first] == [
        [line.get(key) for key in told] for line in second
    ]


def test_a_streamed_release_is_trained_on_photographs_and_all(drawn_release: Path, tmp_path: Path) -> None:
    settings = TrainingSettings(
        warmup_epochs=1, epochs=1, detection_epochs=2, show=0, batch_size=8, streaming=True
    )
    folder = train(drawn_release, tmp_path / "model", settings)
    told = [(line["stage"], line["epoch"]) for line in lines(folder, "training.jsonl")]
    assert told == [("warmup", 0), ("words", 0), ("language", 0), ("detection", 0), ("detection", 1)]
    # Both kinds were seen: with one kind alone there is a note instead of a loss.
    assert all("detection" in line["losses"] for line in lines(folder, "training.jsonl")[-2:])
    assert not (folder / "work" / "cache").exists()


def test_a_folder_of_another_run_is_not_written_over(drawn_release: Path, trained: Path) -> None:
    other = TrainingSettings(warmup_epochs=1, epochs=1, max_images=12)
    with pytest.raises(ReleaseError, match="other settings"):
        train(drawn_release, trained, other)


def test_a_release_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="cannot be loaded"):
        train(tmp_path / "nothing", tmp_path / "model", SHORT)


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UsageError, match="not trained from scratch"):
        TrainingSettings(preset="paper")
    with pytest.raises(UsageError, match="there is no preset huge"):
        TrainingSettings(preset="huge")
    with pytest.raises(UsageError, match="epochs is negative"):
        TrainingSettings(epochs=-1)
    with pytest.raises(UsageError, match="batch size"):
        TrainingSettings(batch_size=0)


def test_a_line_of_the_log_replaces_the_one_of_its_epoch_and_what_came_after(tmp_path: Path) -> None:
    log = tmp_path / "training.jsonl"
    for epoch in range(3):
        trainer_module.log_line(log, {"stage": "warmup", "epoch": epoch, "losses": {}})
    trainer_module.log_line(log, {"stage": "warmup", "epoch": 1, "losses": {"dice": 1.0}})
    assert [(line["epoch"], line["losses"]) for line in lines(tmp_path, "training.jsonl")] == [
        (0, {}),
        (1, {"dice": 1.0}),
    ]
