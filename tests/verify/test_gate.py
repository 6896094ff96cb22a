"""What must hold: each criterion passes for a model that earns it, and fails for one that does not."""

import msgspec
import pytest
from verifying import blind, knows, nearly, silent, toys

from synthscars.metrics import ImageScore, score_image, value_of
from synthscars.settings import VerifySettings
from synthscars.verify import gate
from synthscars.verify.result import Criterion, Scored
from synthscars.verify.trivial import trivial_answers

PAIRS = toys(train=40, test=40, photographs=12)
TRAIN = [record for record, _ in PAIRS if record.split == "train"]
TEST = [record for record, _ in PAIRS if record.split == "test"]
DEFAULTS = VerifySettings(rounds=300)
SEED = 0


def scores(say: object, records: object = None) -> list[ImageScore]:
    chosen = TEST if records is None else records
    return [score_image(say(record), record) for record in chosen]  # type: ignore[operator, attr-defined]


def others() -> list[tuple[Scored, list[ImageScore]]]:
    found = []
    for answer in trivial_answers(TRAIN, SEED):
        said = scores(answer.say)
        figures = gate.figures_of(said, answer.metrics, DEFAULTS, SEED)
        found.append(
            (
                Scored(
                    name=answer.name,
                    kind="trivial",
                    title=answer.title,
                    metrics=answer.metrics,
                    figures=figures,
                ),
                said,
            )
        )
    return found


OTHERS = others()


def verdicts(criteria: list[Criterion]) -> dict[str, str]:
    return {each.name: each.verdict for each in criteria}


def test_a_model_that_looks_beats_every_trivial_answer() -> None:
    found = gate.better_than(scores(nearly), OTHERS, DEFAULTS, SEED)
    assert set(verdicts(found).values()) == {"passed"}
    assert {each.name.split(".")[1] for each in found} == {answer.name for answer, _ in OTHERS}
    assert {each.metric for each in found} == set(gate.GATED)


@pytest.mark.parametrize("name", [answer.name for answer, _ in OTHERS])
def test_a_model_that_says_what_a_trivial_answer_says_fails_against_it(name: str) -> None:
    (said,) = (said for answer, said in OTHERS if answer.name == name)
    found = gate.better_than(said, OTHERS, DEFAULTS, SEED)
    own = [each for each in found if each.name.startswith(f"trivial.{name}.")]
    assert own
    assert all(each.verdict == "failed" and each.value == 0 for each in own)


def test_the_value_is_the_difference_of_the_figures_and_lies_in_its_interval() -> None:
    ours = scores(nearly)
    for each in gate.better_than(ours, OTHERS, DEFAULTS, SEED):
        (theirs,) = (said for answer, said in OTHERS if f".{answer.name}." in each.name)
        first, second = value_of(each.metric, ours), value_of(each.metric, theirs)
        assert first is not None
        assert second is not None
        assert each.value == pytest.approx(first - second)
        assert each.low is not None
        assert each.high is not None
        assert each.low <= each.value <= each.high


def test_the_lower_end_decides_and_not_the_value() -> None:
    """The same mean gain on few and on many images: only the many are proof."""
    annotated = [record for record in TEST if record.artifacts]
    lucky = {record.image_id for record in annotated[::4]}

    def gain(count: int) -> Criterion:
        records = annotated[:count]
        ids = {record.image_id for record in records}
        theirs = [
            (answer, [each for each in said if each.image_id in ids])
            for answer, said in OTHERS
            if answer.name == "all_background"
        ]
        ours = [score_image((knows if r.image_id in lucky else silent)(r), r) for r in records]
        return gate.better_than(ours, theirs, DEFAULTS, SEED)[0]

    few, many = gain(4), gain(32)
    assert few.value == many.value == 0.25
    assert (few.verdict, many.verdict) == ("failed", "passed")


def test_the_margin_is_asked_for_and_can_be_set() -> None:
    ours = scores(nearly)
    for margin, verdict in ((0.05, "passed"), (1.0, "failed")):
        settings = msgspec.structs.replace(
            DEFAULTS, mask_margin=margin, text_margin=margin, detection_margin=margin
        )
        assert set(verdicts(gate.better_than(ours, OTHERS, settings, SEED)).values()) == {verdict}


def test_what_the_test_split_cannot_tell_is_not_applicable_and_says_why() -> None:
    synthetic = [record for record in TEST if record.origin == "synthetic"]
    ids = {record.image_id for record in synthetic}
    theirs = [(a, [each for each in said if each.image_id in ids]) for a, said in OTHERS]
    found = gate.better_than(scores(nearly, synthetic), theirs, DEFAULTS, SEED)
    (detection,) = (each for each in found if each.metric == "detection_auroc")
    assert detection.verdict == "not_applicable"
    assert "one origin" in detection.why


def test_a_model_on_shuffled_labels_that_tells_nothing_passes() -> None:
    found = gate.collapsed(scores(nearly), scores(blind(TRAIN)), OTHERS, DEFAULTS, SEED)
    passed = verdicts(found)
    assert {name.split(".")[1] for name in passed} == {"beaten", "collapsed"}
    assert {passed[f"shuffled.beaten.{metric}"] for metric in ("fg_iou", "pooled_f1", "rouge_l")} == {
        "passed"
    }


def test_a_model_on_shuffled_labels_that_still_knows_the_test_split_fails() -> None:
    passed = verdicts(gate.collapsed(scores(nearly), scores(nearly), OTHERS, DEFAULTS, SEED))
    assert set(passed.values()) == {"failed"}


def test_without_such_a_model_it_fails_unless_nobody_asks_for_it() -> None:
    for asked, verdict in ((True, "failed"), (False, "not_applicable")):
        settings = msgspec.structs.replace(DEFAULTS, shuffled=asked)
        found = gate.collapsed(scores(nearly), None, OTHERS, settings, SEED, "left out with --no-shuffled")
        assert set(verdicts(found).values()) == {verdict}
        assert {each.why for each in found} == {"left out with --no-shuffled"}


def test_too_few_test_images_are_no_proof() -> None:
    annotated = [record for record in TEST if record.artifacts]
    for count, verdict in ((19, "failed"), (20, "passed")):
        assert gate.enough_images(scores(knows, annotated[:count]), DEFAULTS).verdict == verdict


def test_only_what_failed_is_a_reason() -> None:
    found = [
        *gate.better_than(scores(silent), OTHERS, DEFAULTS, SEED),
        gate.enough_images(scores(silent), DEFAULTS),
    ]
    failed = [each for each in found if each.verdict == "failed"]
    assert 0 < len(failed) < len(found)
    assert len(gate.reasons_of(found)) == len(failed)
    assert gate.reasons_of([each for each in found if each.verdict == "passed"]) == ()


def test_the_same_seed_gives_the_same_intervals() -> None:
    first, second, other = (
        gate.better_than(scores(nearly), OTHERS, DEFAULTS, seed) for seed in (SEED, SEED, 1)
    )
    assert first == second
    assert first != other
