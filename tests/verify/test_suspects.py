"""The review list: planted label errors are at its top, and nothing that is merely hard."""

from pathlib import Path

import numpy as np
import pytest
from verifying import nearly, toy

from synthscars.problems import FormatError
from synthscars.records import Artifact, ImageRecord
from synthscars.verify.plant import plant_errors
from synthscars.verify.suspects import (
    Key,
    LabelError,
    Signal,
    disagreement_signals,
    encode_errors,
    less_usual,
    rank_errors,
    read_errors,
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


def share_found(ranked: list[LabelError], wrong: dict[Key, str], kind: str = "") -> float:
    """The share of the wrong labels that are in the first tenth of the list."""
    top = {(each.image_id, each.artifact_id) for each in ranked[: len(ranked) // 10]}
    asked = {key for key, what in wrong.items() if kind in ("", what)}
    return len(top & asked) / len(asked)


def test_planted_errors_are_found_by_what_a_model_predicts_that_never_saw_the_images() -> None:
    truth = [toy(number, "test")[0] for number in range(300)]
    records, wrong = plant_errors(truth, seed=3)
    predictions = {record.image_id: nearly(record) for record in truth}
    ranked = rank_errors(records, disagreement_signals(records, predictions), "disagreement")
    assert len(ranked) == len(records)
    assert share_found(ranked, dict(wrong)) >= 0.9


def measured(
    records: list[ImageRecord], wrong: dict[Key, str], seed: int, spread: float
) -> dict[Key, Signal]:
    """Evidence with noise, more for what is wrong; the larger a region is, the better its mask is learned.

    spread: of the texts, as that of a lognormal.
    """
    rng = np.random.default_rng(seed)
    found = {}
    for record in records:
        key, side = (record.image_id, "a"), record.artifacts[0].polygons[0][2]
        mask = -np.log(side) + rng.normal(0, 0.3) + 2 * (wrong.get(key) == "mask")
        text = np.exp(rng.normal(0, spread)) + 3 * (wrong.get(key) == "text")
        found[key] = Signal(float(mask), float(text))
    return found


def mistaken(records: list[ImageRecord], seed: int) -> dict[Key, str]:
    order = np.random.default_rng(seed).permutation(len(records)).tolist()
    share = len(records) // 20
    kinds = [*["mask"] * share, *["text"] * share]
    return {(records[number].image_id, "a"): kind for number, kind in zip(order, kinds, strict=False)}


@pytest.mark.parametrize("spread", [0.3, 1.5])
def test_no_channel_crowds_out_the_other_whatever_its_spread(spread: float) -> None:
    records = many(1000)
    wrong = mistaken(records, 1)
    ranked = rank_errors(records, measured(records, wrong, 1, spread), "disagreement")
    assert share_found(ranked, wrong, "mask") >= 0.7
    found = {(each.image_id, "a"): each.channel for each in ranked[:100]}
    assert np.mean([found[key] == kind for key, kind in wrong.items() if key in found]) > 0.8


def test_small_regions_are_not_suspicious_for_being_small() -> None:
    records = many(600)
    ranked = rank_errors(records, measured(records, {}, 2, 0.3), "disagreement")
    by_mask = [each for each in ranked[:60] if each.channel == "mask"]
    sizes = {record.image_id: record.artifacts[0].polygons[0][2] for record in records}
    smallest = sorted(sizes.values())[200]
    assert np.mean([sizes[each.image_id] <= smallest for each in by_mask]) < 0.6  # a third would be chance


def test_a_list_is_read_as_it_was_written_and_a_line_that_is_none_is_named(tmp_path: Path) -> None:
    records = many(30)
    signals = {(r.image_id, "a"): Signal(match=float(n)) for n, r in enumerate(records)}
    ranked = rank_errors(records, signals, "matching")
    path = tmp_path / "label_errors.jsonl"
    path.write_bytes(encode_errors(ranked))
    assert read_errors(path) == ranked
    path.write_bytes(encode_errors(ranked[:2]) + b'{"rank": "first"}\n')
    with pytest.raises(FormatError, match="line 3"):
        read_errors(path)
    path.write_bytes(b'{"x":' + b"[" * 100_000)
    with pytest.raises(FormatError, match="line 1"):
        read_errors(path)


def test_what_does_not_fit_together_is_ranked_by_that_alone() -> None:
    records = many(40)
    misfits = np.random.default_rng(0).normal(0, 1, 40)
    signals = {(r.image_id, "a"): Signal(match=float(m)) for r, m in zip(records, misfits, strict=True)}
    ranked = rank_errors(records, signals, "matching")
    expected = [records[number].image_id for number in np.argsort(-misfits)]
    assert [each.image_id for each in ranked] == expected
    assert {(each.channel, each.method) for each in ranked} == {("match", "matching")}
    assert (ranked[0].mask_z, ranked[0].text_z) == (None, None)
    assert ranked[0].match_z == pytest.approx(robust_z(misfits).max(), abs=1e-3)


def test_a_mask_in_the_wrong_place_says_nothing_about_the_words() -> None:
    truth = [toy(number, "test")[0] for number in range(60)]
    records, wrong = plant_errors(truth, masks=0.1, texts=0, seed=1)
    signals = disagreement_signals(records, {record.image_id: nearly(record) for record in truth})
    for key in wrong:
        assert signals[key].mask > 0.6
        assert signals[key].text == 0


def test_too_few_artifacts_make_no_list() -> None:
    records = many(19)
    signals = {(record.image_id, "a"): Signal(match=0.0) for record in records}
    assert rank_errors(records, signals, "matching") == []


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
