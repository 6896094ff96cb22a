from itertools import pairwise

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from strategies import texts

from synthscars.caption import Caption, Span, compose, contradicts, ground, parse
from synthscars.problems import FormatError

# The one-line form of the published grammar, put together by hand.
PUBLISHED = (
    "Upon examining the image. I have found: A dog lies on a bed and has five legs. "
    "To elaborate, I have found the following artifacts. "
    "the dog's hind leg:There are three of them. The third grows out of the second. "
    "the lamp:It stands on air, which no lamp does."
)
SCENE = "A dog lies on a bed and has five legs"
ITEMS = (
    ("the dog's hind leg", "There are three of them. The third grows out of the second."),
    ("the lamp", "It stands on air, which no lamp does."),
)

items_of_any_text = st.lists(st.tuples(texts(), texts()), max_size=4)
words = st.lists(st.sampled_from(["the", "left", "hand", "of", "a", "child"]), min_size=1, max_size=4)
sentences = words.map(lambda some: " ".join(some) + ".")
phrases = words.map(" ".join)
well_formed_items = st.lists(
    st.tuples(
        st.text("abcdeé 手'-,", min_size=1, max_size=12),
        st.lists(sentences, min_size=1, max_size=3).map(" ".join),
    ),
    max_size=4,
)


def test_the_published_form_is_composed() -> None:
    assert compose(SCENE, ITEMS) == PUBLISHED


def test_the_published_form_is_taken_apart_with_and_without_its_phrases() -> None:
    assert parse(PUBLISHED) == Caption(SCENE, ITEMS)
    assert parse(PUBLISHED, [phrase for phrase, _ in ITEMS]) == Caption(SCENE, ITEMS)


def test_a_scene_brings_its_own_full_stop_or_gets_one() -> None:
    assert compose("A dog.", ITEMS[1:]) == compose("A dog", ITEMS[1:])
    assert compose("A dog..", ITEMS[1:]) != compose("A dog.", ITEMS[1:])


def test_a_clean_image_has_a_caption_of_its_own() -> None:
    caption = compose("A dog lies on a bed", [])
    assert caption == (
        "Upon examining the image. I have found: A dog lies on a bed. I have found no visible artifacts."
    )
    assert parse(caption) == parse(caption, []) == Caption("A dog lies on a bed", ())


@given(texts(), items_of_any_text)
@example("x. To elaborate, I have found the following artifacts", [("a", "b")])
@example("x. To elaborate, I have found the following artifacts. a:b", [("a", "b")])
@example("x", [("a", "1 b:2"), ("b", "3"), ("a", " a:")])
@example("x. I have found no visible artifacts", [])
@example("x", [("", ""), ("", "")])
def test_any_texts_survive_compose_and_parse_with_their_phrases(scene: str, items) -> None:
    caption = compose(scene, items)
    parts = parse(caption, [phrase for phrase, _ in items])
    assert [phrase for phrase, _ in parts.items] == [phrase for phrase, _ in items]
    assert compose(*parts) == caption


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), well_formed_items)
def test_well_formed_items_are_found_without_their_phrases(scene: str, items) -> None:
    assume("To elaborate" not in scene)
    parts = parse(compose(scene, items))
    assert parts.items == tuple(items)


@given(texts(), items_of_any_text)
@example("x", [("a", "b. I have found no visible artifacts.")])
def test_a_caption_that_is_accepted_is_composed_again(scene: str, items) -> None:
    caption = compose(scene, items)
    try:
        parts = parse(caption)
    except FormatError:
        return
    assert compose(*parts) == caption


@given(st.lists(st.sampled_from([*PUBLISHED.split(" "), "a:", ":", ".", "", "\n"]), max_size=30))
def test_what_is_accepted_out_of_scraps_of_the_grammar_is_composed_again(scraps: list[str]) -> None:
    caption = "Upon examining the image. I have found: " + " ".join(scraps)
    try:
        parts = parse(caption)
    except FormatError:
        return
    assert compose(*parts) == caption


@pytest.mark.parametrize(
    ("caption", "said"),
    [
        ("", "does not start with"),
        ("A dog lies on a bed.", "does not start with"),
        ("Upon examining the image. I have found: A dog.", "has no 'To elaborate"),
        (PUBLISHED[: PUBLISHED.index(" the dog's")], "names none"),
        (PUBLISHED.replace("hind leg:", "hind leg "), "do not start with a phrase and a colon"),
        # As some published captions are: nothing between the sentences.
        (PUBLISHED.replace(". To elaborate", ".To elaborate"), "has no 'To elaborate"),
    ],
)
def test_what_does_not_follow_the_grammar_is_refused_with_the_reason(caption: str, said: str) -> None:
    with pytest.raises(FormatError, match=said):
        parse(caption)


def test_a_phrase_that_is_not_there_is_named() -> None:
    with pytest.raises(FormatError, match="the cat"):
        parse(PUBLISHED, ["the dog's hind leg", "the cat"])


def test_phrases_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(FormatError, match="the dog's hind leg"):
        parse(PUBLISHED, ["the lamp", "the dog's hind leg"])


def test_artifacts_that_nobody_asked_for_are_not_lost_without_a_word() -> None:
    with pytest.raises(FormatError, match="names artifacts"):
        parse(PUBLISHED, [])


def test_text_before_the_first_phrase_is_refused() -> None:
    with pytest.raises(FormatError, match="before its first phrase"):
        parse(PUBLISHED, ["the lamp"])


def _assert_own_spans(caption: str, items) -> None:
    spans = ground(caption, items)
    assert len(spans) == len(items)
    for (phrase, _), span in zip(items, spans, strict=True):
        if not phrase:
            assert span is None
            continue
        assert span is not None
        assert caption[span.start : span.end] == phrase
    found = sorted(span for span in spans if span is not None)
    assert all(first.end <= second.start for first, second in pairwise(found))


@given(texts(), items_of_any_text)
@example("the hand", [("the hand", "the hand"), ("the hand", ""), ("hand", "the hand")])
def test_every_phrase_of_a_composed_caption_has_its_own_span(scene: str, items) -> None:
    caption = compose(scene, items)
    _assert_own_spans(caption, items)
    # In order, the spans are exact: each ends where its colon stands, after the items before it.
    position = len(compose(scene, items)) - sum(len(phrase) + len(text) + 2 for phrase, text in items)
    for (phrase, explanation), span in zip(items, ground(caption, items), strict=True):
        assert span == (Span(position + 1, position + 1 + len(phrase)) if phrase else None)
        position += len(phrase) + len(explanation) + 2


@given(sentences, st.lists(st.tuples(phrases, sentences), min_size=1, max_size=6), st.randoms())
@example("a.", [("the hand of a child", "a."), ("the hand", "a."), ("hand", "a.")], None)
def test_phrases_that_repeat_or_contain_each_other_have_their_own_spans_in_any_order(
    scene: str, items, random
) -> None:
    caption = compose(scene, items)
    shuffled = list(items)
    if random:
        random.shuffle(shuffled)
    else:
        shuffled.reverse()
    _assert_own_spans(caption, shuffled)
    # With its explanation a phrase is found in the very place that it was composed for, but for its twins.
    where = dict(zip(ground(caption, items), items, strict=True))
    for item, span in zip(shuffled, ground(caption, shuffled), strict=True):
        assert where[span] == item


def test_a_short_phrase_does_not_take_its_place_out_of_a_longer_one() -> None:
    caption = "Upon looking: the hand of the child is bent, and the hand too."
    assert ground(caption, [("the hand", ""), ("the hand of the child", "")]) == [Span(49, 57), Span(14, 35)]


def test_a_phrase_prefers_the_place_that_a_colon_follows() -> None:
    caption = compose("the lamp hangs over the dog", [("the dog", "Five legs."), ("the lamp", "On air.")])
    (span,) = ground(caption, [("the lamp", "another text")])
    assert span is not None
    assert caption[span.start : span.end + 1] == "the lamp:"


def test_a_phrase_that_is_nowhere_and_a_twin_too_many_have_no_span() -> None:
    caption = compose("A dog", [("the lamp", "On air.")])
    assert ground(caption, [("the cat", "")]) == [None]
    spans = ground(caption, [("the lamp", "On air."), ("the lamp", "On air.")])
    assert sorted(span is None for span in spans) == [False, True]


def test_nothing_to_ground_gives_nothing() -> None:
    assert ground(PUBLISHED, []) == []
    assert ground("", [("", "")]) == [None]


@given(st.text("abc .", max_size=12), items_of_any_text)
def test_a_composed_caption_contradicts_nothing_that_it_was_composed_of(
    scene: str, items: list[tuple[str, str]]
) -> None:
    assert not contradicts(compose(scene, items), items)
    assert not contradicts(compose(scene, items) + " ", items[::-1])


@pytest.mark.parametrize(
    "items",
    [
        (),
        ITEMS[:1],
        (*ITEMS, ("the bed", "It has three legs.")),
        (ITEMS[0], ("the lamp", "It stands on air.")),
        (ITEMS[0], ("the other lamp", ITEMS[1][1])),
    ],
)
def test_a_caption_contradicts_artifacts_that_were_changed_since(items) -> None:
    assert contradicts(PUBLISHED, items)


def test_a_clean_caption_contradicts_any_artifact_and_free_text_none() -> None:
    assert contradicts(compose(SCENE, ()), ITEMS)
    assert not contradicts(compose(SCENE, ()), ())
    assert not contradicts("A dog with five legs.", ITEMS)
    assert not contradicts("", ITEMS)
    # As LEGION's own scripts write it: not the grammar, so nothing can be said.
    assert not contradicts(PUBLISHED.replace(" To elaborate", "\nTo elaborate"), ITEMS[:1])
