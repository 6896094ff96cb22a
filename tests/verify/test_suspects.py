"""The review list: planted label errors are at its top, and nothing that is merely hard."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from verifying import nearly, toy

from synthscars.problems import Problems
from synthscars.records import Artifact, ImageRecord
from synthscars.verify.plant import plant_errors
from synthscars.verify.suspects import (
    Key,
    LabelError,
    disagreement_signals,
    dynamics_signals,
    less_usual,
    merged,
    rank_errors,
    robust_z,
)


def many(count: int, seed: int = 0) -> list[ImageRecord]:
    """Records with one artifact each, of sizes that differ by a factor of a hundred."""
    rng = np.random.default_rng(seed)
    sides = np.exp(rng.uniform(np.log(5), np.log(60), count))
    return [
        ImageRecord(
            image_id=f"{number:064x}",
            file_name=f"{number}.png",
            width=100,
            height=100,
            status="annotated",
            split="train",
            artifacts=(
                Artifact(
                    artifact_id="a",
                    polygons=((1.0, 1.0, 1 + side, 1.0, 1 + side, 1 + side, 1.0, 1 + side),),
                    phrase=f"place {number % 5}",
                    explanation="It is odd.",
                ),
            ),
        )
        for number, side in enumerate(sides.tolist())
    ]


def training(
    path: Path,
    records: list[ImageRecord],
    wrong: dict[Key, str],
    seed: int,
    *,
    unsure_text: float = 0.3,
    epochs: int = 8,
) -> Path:
    """What training writes down: small regions are learned late, wrong labels hardly, and all with noise.

    unsure_text: how much the difficulty of texts differs, as the spread of a lognormal.
    """
    rng = np.random.default_rng(seed)
    count = len(records)
    size = np.log([record.artifacts[0].polygons[0][2] for record in records])
    size = (size - size.mean()) / size.std()
    bad = {
        kind: np.array([wrong.get((r.image_id, "a")) == kind for r in records]) for kind in ("mask", "text")
    }
    hard, wordy = rng.normal(0, 0.6, count), np.exp(rng.normal(0, unsure_text, count))
    lines = []
    for epoch in range(epochs):
        done = (epoch + 1) / epochs
        fit = -1.5 + 3 * done + 0.6 * size + hard + rng.normal(0, 0.5, count)
        never = -3 + 0.5 * done + 0.3 * size + rng.normal(0, 0.5, count)
        iou = 1 / (1 + np.exp(-np.where(bad["mask"], never, fit)))
        loss = 2.5 * np.exp(-2.2 * done) * wordy * np.exp(rng.normal(0, 0.2, count))
        loss += bad["text"] * 1.5 * np.exp(-0.5 * done) * np.exp(rng.normal(0, 0.4, count))
        for record, one, other in zip(records, iou.tolist(), loss.tolist(), strict=True):
            line = {"image_id": record.image_id, "artifact_id": "a", "epoch": epoch, "stage": "language"}
            lines.append({**line, "mask_iou": one, "mask_loss": 2 * (1 - one), "text_loss": other})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def share_found(ranked: list[LabelError], wrong: dict[Key, str], kind: str = "") -> float:
    """The share of the wrong labels that are in the first tenth of the list."""
    top = {(each.image_id, each.artifact_id) for each in ranked[: len(ranked) // 10]}
    asked = {key for key, what in wrong.items() if kind in ("", what)}
    return len(top & asked) / len(asked)


def mistaken(records: list[ImageRecord], seed: int) -> dict[Key, str]:
    order = np.random.default_rng(seed).permutation(len(records)).tolist()
    tenth = len(records) // 20
    kinds = [*["mask"] * tenth, *["text"] * tenth]
    return {(records[number].image_id, "a"): kind for number, kind in zip(order, kinds, strict=False)}


@pytest.mark.parametrize("seed", range(3))
def test_seven_of_ten_planted_errors_are_in_the_first_tenth(seed: int, tmp_path: Path) -> None:
    records = many(1000, seed)
    wrong = mistaken(records, seed)
    path = training(tmp_path / "dynamics.jsonl", records, wrong, seed)
    ranked = rank_errors(records, dynamics_signals(path, Problems()), "dynamics")
    assert share_found(ranked, wrong) >= 0.7
    assert share_found(ranked, wrong, "mask") >= 0.7
    assert share_found(ranked, wrong, "text") >= 0.7
    found = {(each.image_id, "a"): each.channel for each in ranked[:100]}
    right = [found[key] == kind for key, kind in wrong.items() if key in found]
    assert np.mean(right) > 0.9


def test_no_channel_crowds_out_the_other_whatever_its_spread(tmp_path: Path) -> None:
    records = many(1000)
    wrong = mistaken(records, 1)
    path = training(tmp_path / "dynamics.jsonl", records, wrong, 1, unsure_text=1.5)
    ranked = rank_errors(records, dynamics_signals(path, Problems()), "dynamics")
    assert share_found(ranked, wrong, "mask") >= 0.7


def test_small_regions_are_not_suspicious_for_being_small(tmp_path: Path) -> None:
    records = many(600)
    path = training(tmp_path / "dynamics.jsonl", records, {}, 2)
    ranked = rank_errors(records, dynamics_signals(path, Problems()), "dynamics")
    by_mask = [each for each in ranked[:60] if each.channel == "mask"]
    sizes = {record.image_id: record.artifacts[0].polygons[0][2] for record in records}
    smallest = sorted(sizes.values())[200]
    small = np.mean([sizes[each.image_id] <= smallest for each in by_mask])
    assert small < 0.6  # a third would be chance


def test_planted_errors_are_found_by_what_a_model_predicts_that_never_saw_the_images() -> None:
    truth = [toy(number, "test")[0] for number in range(300)]
    records, wrong = plant_errors(truth, seed=3)
    predictions = {record.image_id: nearly(record) for record in truth}
    ranked = rank_errors(records, disagreement_signals(records, predictions), "disagreement")
    assert len(ranked) == len(records)
    assert share_found(ranked, dict(wrong)) >= 0.9


def test_a_mask_in_the_wrong_place_says_nothing_about_the_words() -> None:
    truth = [toy(number, "test")[0] for number in range(60)]
    records, wrong = plant_errors(truth, masks=0.1, texts=0, seed=1)
    signals = disagreement_signals(records, {record.image_id: nearly(record) for record in truth})
    for key in wrong:
        assert signals[key].mask > 0.6
        assert signals[key].text == 0


def test_a_line_that_is_none_is_told_and_costs_no_other(tmp_path: Path) -> None:
    records = many(30)
    path = training(tmp_path / "dynamics.jsonl", records, {}, 0, epochs=1)
    path.write_text(path.read_text() + '{"image_id": 5}\nnonsense\n\n')
    problems = Problems()
    assert len(dynamics_signals(path, problems)) == 30
    (found,) = problems
    assert (found.code, found.what.split()[0]) == ("dynamics.line", "2")


def test_losses_that_are_no_numbers_do_not_count(tmp_path: Path) -> None:
    line = {"image_id": "i", "artifact_id": "a", "epoch": 0, "mask_iou": 0.5}
    other = {**line, "artifact_id": "b", "text_loss": None, "mask_loss": 1e999}
    path = tmp_path / "dynamics.jsonl"
    path.write_bytes(msgspec.json.encode(line) + b"\n" + msgspec.json.encode(other) + b"\n")
    found = dynamics_signals(path, Problems())
    assert all(np.isnan(signal.text) for signal in found.values())
    assert found["i", "a"].mask == found["i", "b"].mask == 0


def test_too_few_artifacts_make_no_list() -> None:
    records = many(19)
    signals = {(record.image_id, "a"): (0.0, 0.0) for record in records}
    assert rank_errors(records, signals, "dynamics") == []  # type: ignore[arg-type]


def test_robust_z_is_that_of_median_and_mad_and_forgets_nothing() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(5, 2, 999)
    values[:5] = 1e6
    z = robust_z(values)
    middle = np.median(values)
    assert z == pytest.approx((values - middle) / (1.4826 * np.median(np.abs(values - middle))))
    assert robust_z(np.full(9, 3.0)).tolist() == [0.0] * 9
    some = np.array([1.0, np.nan, 3.0, 2.0])
    assert np.isnan(robust_z(some)).tolist() == [False, True, False, False]
    mostly_equal = robust_z(np.array([0.0] * 9 + [1.0]))
    assert mostly_equal[-1] > 3


def test_what_is_usual_for_its_size_is_taken_off() -> None:
    rng = np.random.default_rng(0)
    size = rng.uniform(0, 1, 2000)
    rest = less_usual(10 * size + rng.normal(0, 0.1, 2000), size)
    assert abs(np.corrcoef(rest, size)[0, 1]) < 0.35
    assert np.std(rest) < 0.5
    values = rng.normal(0, 1, 20)
    assert np.array_equal(less_usual(values, size[:20]), values)  # too few to compare


def test_several_lists_take_turns_and_each_keeps_its_order() -> None:
    def errors(name: str, count: int) -> list[LabelError]:
        return [
            LabelError(
                rank=rank, image_id=name, artifact_id=str(rank), file_name="", split="", channel="mask",
                mask_z=0.0, text_z=0.0, method="dynamics",
            )
            for rank in range(1, count + 1)
        ]  # fmt: skip

    found = merged([errors("long", 8), errors("short", 2), []])
    assert [each.rank for each in found] == list(range(1, 11))
    assert [each.image_id for each in found].index("short") == 4
    for name in ("long", "short"):
        own = [int(each.artifact_id) for each in found if each.image_id == name]
        assert own == sorted(own)
