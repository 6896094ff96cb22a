"""A leak is seen whichever way it came in; a sound release shows none."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from PIL import Image
from verifying import toy, toy_release, toys

from synthscars.images import sha256
from synthscars.metrics import score_image
from synthscars.predictions import Prediction
from synthscars.problems import Problems
from synthscars.records import ImageRecord
from synthscars.settings import VerifySettings
from synthscars.verify import leaks
from synthscars.verify.inputs import read_inputs, read_looks
from synthscars.verify.trivial import nearest_answer, nearest_within

SETTINGS = VerifySettings(rounds=200)


def lookalike(pair: tuple[ImageRecord, bytes], split: str, strength: int) -> tuple[ImageRecord, bytes]:
    """The same picture, a little brighter, as another image of another split."""
    record, data = pair
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=np.int16)
    buffer = io.BytesIO()
    Image.fromarray(np.clip(pixels + strength, 0, 255).astype(np.uint8)).save(buffer, "PNG")
    data = buffer.getvalue()
    name = f"copy of {record.file_name}"
    return replace(record, image_id=sha256(data), split=split, file_name=name, group_id=""), data


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound") / "1.0.0"
    toy_release(folder, toys(train=40, test=24))
    return folder


def gaps(folder: Path) -> dict[str, str]:
    inputs = read_inputs(folder, Problems())
    looks, others = (read_looks(folder, records, Problems()) for records in (inputs.train, inputs.test))
    answer = nearest_answer(inputs.train, looks, inputs.test, others)
    within = [
        score_image(prediction, record)
        for record, prediction in nearest_within(inputs.train, looks, range(len(inputs.train)))
    ]
    to_test = [score_image(answer.say(record), record) for record in inputs.test]
    return {each.metric: each.verdict for each in leaks.copying_gap(within, to_test, SETTINGS, 0)}


def test_a_sound_release_shows_no_leak(sound: Path) -> None:
    assert leaks.split_report(sound).verdict == "passed"
    assert leaks.checked_leaks(sound).verdict == "passed"
    assert gaps(sound) == dict.fromkeys(("fg_iou", "pooled_f1", "rouge_l"), "passed")


def test_a_train_picture_saved_anew_in_test_is_found(tmp_path: Path) -> None:
    pairs = toys(train=20, test=10)
    toy_release(tmp_path / "1.0.0", [*pairs, lookalike(pairs[0], "test", 1)])
    found = leaks.checked_leaks(tmp_path / "1.0.0")
    assert (found.verdict, found.value) == ("failed", 1)
    assert "leak." in found.why


def test_relatives_that_no_hash_knows_are_found_because_copying_works(tmp_path: Path) -> None:
    pairs = toys(train=40, test=0)
    copies = [lookalike(pair, "test", 25) for pair in pairs[:24]]
    toy_release(tmp_path / "1.0.0", [*pairs, *copies])
    assert gaps(tmp_path / "1.0.0") == dict.fromkeys(("fg_iou", "pooled_f1", "rouge_l"), "failed")


def test_what_the_release_says_of_its_own_splits_counts(sound: Path, tmp_path: Path) -> None:
    report = json.loads((sound / "splits.json").read_text())
    for changed, verdict in (({}, "passed"), ({"groups_across": 2}, "failed")):
        (tmp_path / "splits.json").write_text(json.dumps({**report, **changed}))
        assert leaks.split_report(tmp_path).verdict == verdict
    (tmp_path / "splits.json").write_text("{}")
    assert leaks.split_report(tmp_path).verdict == "failed"
    (tmp_path / "splits.json").unlink()
    missing = leaks.split_report(tmp_path)
    assert (missing.verdict, missing.why) == ("not_applicable", "there is no splits.json")


def test_without_artifacts_copying_tells_nothing() -> None:
    clean = [toy(number, "test", clean=True)[0] for number in range(4)]
    said = [score_image(Prediction(image_id=r.image_id, width=r.width, height=r.height), r) for r in clean]
    found = leaks.copying_gap(said, said, SETTINGS, 0)
    assert {each.verdict for each in found} == {"not_applicable"}
