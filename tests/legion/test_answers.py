"""The marked answer and the way back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from synthscars.caption import compose
from synthscars.legion.answers import MARKERS, SEG, answer_text, take_apart

words = st.text("abcdefgh ,'", min_size=1, max_size=30).map(str.strip).filter(bool)
items = st.lists(st.tuples(words, words), max_size=5)


def test_an_answer_is_the_caption_with_marks_around_its_phrases() -> None:
    text = answer_text("A cat", [("the left ear", "It has two tips.")])
    assert text == (
        "Upon examining the image. I have found: A cat. To elaborate, I have found the following artifacts. "
        "<p> the left ear </p> [SEG]:It has two tips."
    )


@given(words, items)
def test_taken_apart_an_answer_gives_the_caption_and_its_pairs_back(
    scene: str, pairs: list[tuple[str, str]]
) -> None:
    caption, found = take_apart(answer_text(scene, pairs))
    assert caption == compose(scene, pairs)
    assert [(item.phrase, item.explanation) for item in found] == pairs
    assert [item.seg for item in found] == list(range(len(pairs)))


@given(words, items)
def test_there_is_one_seg_for_every_pair_whatever_the_texts_say(
    scene: str, pairs: list[tuple[str, str]]
) -> None:
    marked = [(f"{phrase} [SEG] </p>", f"<p> {explanation} [SEG]") for phrase, explanation in pairs]
    text = answer_text(f"[SEG] {scene}", marked)
    assert text.count(SEG) == len(pairs)
    assert len(take_apart(text)[1]) == len(pairs)


@given(st.text("<p>/[SEG] :ab.", max_size=60))
def test_nothing_that_a_model_may_write_stops_it(text: str) -> None:
    caption, found = take_apart(text)
    assert not any(marker in caption for marker in MARKERS) or len(caption) < len(text) or not found
    assert all(0 <= item.seg < max(text.count(SEG), 1) for item in found)


def test_an_answer_that_was_cut_off_gives_the_phrases_that_are_whole() -> None:
    whole = answer_text("A cat", [("the left ear", "It has two tips."), ("the tail", "It floats.")])
    caption, found = take_apart(whole[: whole.index("the tail") + 3])
    assert [item.phrase for item in found] == ["the left ear"]
    assert found[0].explanation.startswith("It has two tips.")
    assert "<p>" not in caption


def test_a_seg_without_a_phrase_is_counted_and_not_answered() -> None:
    _, found = take_apart("odd [SEG] <p> the tail </p> [SEG]:It floats.")
    assert [(item.phrase, item.seg) for item in found] == [("the tail", 1)]
