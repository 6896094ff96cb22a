from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from strategies import texts

from synthscars.metrics.text import MAX_TEXT, common_words, rouge_l

WORDS = st.lists(st.sampled_from(["the", "hand", "has", "six", "fingers", "A", "of.", "é"]), max_size=30)


@given(WORDS, WORDS)
def test_it_equals_rouge_score(first: list[str], second: list[str]) -> None:
    reference, answer = " ".join(first), " ".join(second)
    expected = RougeScorer(["rougeL"]).score(reference, answer)["rougeL"].fmeasure
    assert rouge_l(reference, answer) == expected


@given(texts(), texts())
def test_it_equals_rouge_score_for_any_text(reference: str, answer: str) -> None:
    assert rouge_l(reference, answer) == RougeScorer(["rougeL"]).score(reference, answer)["rougeL"].fmeasure


def test_a_hand_worked_case() -> None:
    # "the hand fingers" is common: 3 of 5 words of the truth, 3 of 4 of the answer.
    assert common_words(["the", "left", "hand", "six", "fingers"], ["the", "hand", "many", "fingers"]) == 3
    assert rouge_l("the left hand six fingers", "the hand many fingers") == 2 * 0.6 * 0.75 / 1.35


def test_no_words_are_no_agreement() -> None:
    assert rouge_l("", "") == rouge_l("the hand", "") == rouge_l("دست", "دست") == 0


def test_an_endless_answer_ends() -> None:
    assert 0 < rouge_l("the hand " * 500, "the hand " * 10**6) < 1
    assert rouge_l("x " * MAX_TEXT, "x " * MAX_TEXT) == 1
