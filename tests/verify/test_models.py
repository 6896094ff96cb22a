"""Stages: what was trained and predicted once is not done again; a kill costs only what was not complete."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from PIL import Image
from releasing import write_folder
from verifying import blind, nearly, toy_release, toys

import synthscars.legion
from synthscars.legion import matching
from synthscars.predictions import Prediction
from synthscars.problems import Problems
from synthscars.records import Artifact, ImageRecord
from synthscars.settings import VerifySettings
from synthscars.simulate import simulate_image
from synthscars.verify import Plan, Training, Verification, read_verification, verify_release

QUICK = VerifySettings(rounds=200)


class Legion:
    """In place of the model: training writes a folder, prediction knows what `say` knows."""

    def __init__(self, records: list[ImageRecord]) -> None:
        self.known = {record.image_id: record for record in records}
        self.blind = blind([record for record in records if record.split == "train"])
        self.trained: list[bool] = []
        self.predicted: list[str] = []
        self.looked: list[str] = []
        self.killed_after = 10**9

    def train(self, release: Path, target: Path, settings: Any, *, progress: Callable[..., None]) -> Path:
        self.trained.append(settings.shuffle_labels)
        target.mkdir(parents=True, exist_ok=True)
        for step in range(1, 4):
            progress("language", step, 3)
        (target / "config.json").write_text("{}")
        (target / "model.safetensors").write_bytes(b"blind" if settings.shuffle_labels else b"sees")
        told = msgspec.json.encode({"settings": settings, "revision": "None"})
        (target / "training_settings.json").write_bytes(told)
        lines = [{"stage": "language", "epoch": e, "losses": {"text": 2.0 - e}} for e in range(2)]
        (target / "training.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return target

    def predictor(self, checkpoint: Path, device: str = "cpu") -> Legion:
        sees = (checkpoint / "model.safetensors").read_bytes() == b"sees"
        self.say = nearly if sees else self.blind
        self.name = "toy-legion"
        return self

    def predict(
        self, images: Sequence[Image.Image], image_ids: Sequence[str], *, batch_size: int = 8
    ) -> list[Prediction]:
        if len(self.predicted) + len(images) > self.killed_after:
            raise KeyboardInterrupt
        self.predicted += image_ids
        return [self.say(self.known[image_id]) for image_id in image_ids]

    def seen_at_regions(
        self, predictor: Legion, images: Sequence[Image.Image], records: Sequence[ImageRecord]
    ) -> Any:
        assert predictor is self
        assert [image.size for image in images] == [(each.width, each.height) for each in records]
        self.looked += [record.image_id for record in records]
        told = [each for record in records for each in record.artifacts]
        return np.array([[each.polygons[0][0], len(each.phrase)] for each in told], dtype=np.float32)

    def words_of(self, predictor: Legion, artifact: Artifact) -> list[int]:
        return sorted({len(word) for word in artifact.phrase.split()})


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Legion]:
    records = toy_release(tmp_path / "1.0.0", toys(train=32, test=28))
    legion = Legion(records)
    # Not `setattr`, which would load the real ones first.
    monkeypatch.setitem(vars(synthscars.legion), "train", legion.train)
    monkeypatch.setitem(vars(synthscars.legion), "Predictor", legion.predictor)
    monkeypatch.setattr(matching, "seen_at_regions", legion.seen_at_regions)
    monkeypatch.setattr(matching, "words_of", legion.words_of)
    return tmp_path / "1.0.0", legion


def verify(folder: Path, **more: Any) -> Verification:
    plan = Plan(**{"work": folder.parent / "work", **more})
    return verify_release(folder, plan, Problems(), settings=QUICK)


def test_both_models_are_trained_once_and_a_second_run_only_scores(made: tuple[Path, Legion]) -> None:
    folder, legion = made
    first = verify(folder)
    assert first.verified, first.reasons
    assert legion.trained == [False, True]
    assert first.model.made == "trained"
    assert first.shuffled is not None
    assert first.shuffled.digest != first.model.digest
    labelled = [record for record in legion.known.values() if record.artifacts]
    assert first.label_errors.methods == {"matching": len(labelled)}
    assert sorted(legion.looked) == sorted(record.image_id for record in labelled)
    bytes_of = (folder / "verification.json").read_bytes()
    seen = len(legion.predicted)
    assert verify(folder) == first
    assert legion.trained == [False, True]
    assert len(legion.predicted) == seen
    assert len(legion.looked) == len(labelled)
    assert (folder / "verification.json").read_bytes() == bytes_of


def test_other_settings_train_anew(made: tuple[Path, Legion]) -> None:
    folder, legion = made
    verify(folder, shuffled=False)
    verify(folder, shuffled=False, training=Training(epochs=3))
    assert legion.trained == [False, False]


def test_a_killed_prediction_goes_on_where_it_was(made: tuple[Path, Legion]) -> None:
    folder, legion = made
    legion.killed_after = 16
    with pytest.raises(KeyboardInterrupt):
        verify(folder)
    assert not (folder / "verification.json").exists()
    legion.killed_after = 10**9
    before = list(legion.predicted)
    assert verify(folder).verified
    again = legion.predicted[len(before) :]
    assert len(before) == 16
    tested = [each.image_id for each in legion.known.values() if each.split == "test"]
    assert sorted(before + again[: len(tested) - 16]) == sorted(tested)


def test_a_given_checkpoint_is_not_trained_and_the_shuffled_one_as_it_was(
    made: tuple[Path, Legion], tmp_path: Path
) -> None:
    folder, legion = made
    settings = synthscars.legion.TrainingSettings(epochs=4, batch_size=3, seed=5)
    legion.train(folder, tmp_path / "given", settings, progress=lambda *_: None)
    legion.trained.clear()
    found = verify(folder, checkpoint=tmp_path / "given", training=Training(seed=7))
    assert found.verified, found.reasons
    assert legion.trained == [True]
    assert (found.model.made, found.model.training["epochs"]) == ("checkpoint", 4)
    assert found.shuffled is not None
    told = found.shuffled.training
    assert (told["epochs"], told["batch_size"], told["seed"]) == (4, 3, 7)


def test_leaving_out_the_shuffled_labels_is_said_and_is_not_enough(made: tuple[Path, Legion]) -> None:
    folder, legion = made
    found = verify(folder, shuffled=False)
    assert legion.trained == [False]
    assert not found.verified
    assert all("--no-shuffled" in reason for reason in found.reasons)


def test_the_curves_of_the_training_are_on_the_page(made: tuple[Path, Legion]) -> None:
    folder, _ = made
    verify(folder)
    html = (folder / "verification/index.html").read_text(encoding="utf-8")
    assert 'alt="Losses and metrics"' in html
    assert "z-scores from matching" in html


@pytest.mark.slow
def test_the_real_model_after_a_few_steps_is_honestly_not_verified(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    made = [simulate_image(3, number) for number in range(36)]
    splits = ["test" if number % 6 == 5 else "train" for number in range(36)]
    records = [
        msgspec.structs.replace(each.record, split=split) for each, split in zip(made, splits, strict=True)
    ]
    pictures = {each.record.image_id: each.data for each in made}
    write_folder(tmp_path / "1.0.0", "1.0.0", records, pictures)
    training = Training(warmup_epochs=1, epochs=1, detection_epochs=1, max_images=24)
    problems = Problems()
    plan = Plan(training=training, work=tmp_path / "work", device="cpu")
    found = verify_release(tmp_path / "1.0.0", plan, problems, settings=QUICK)
    assert not found.verified
    assert not problems.failed
    failed = {each.name for each in found.criteria if each.verdict == "failed"}
    assert "trivial.mean_mask.fg_iou" in failed
    assert read_verification(tmp_path / "1.0.0").shuffled is not None
    assert found.label_errors.methods["matching"] == sum(len(record.artifacts) for record in records)
