import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthscars.placeholders import is_placeholder
from synthscars.release.check.texts import script_of


@pytest.mark.parametrize(
    "text",
    [
        "todo",
        "TODO: describe",
        "asdf",
        "asdfasdf asdf",
        "xxx",
        "...",
        "?",
        "aaaaaaaaa",
        "N/A",
        "Lorem ipsum dolor",
    ],
)
def test_placeholders_are_told(text: str) -> None:
    assert is_placeholder(text)


@pytest.mark.parametrize(
    "text",
    [
        "the left hand",
        "todo el brazo",
        "the sign with xxx on it",
        "the dodo",
        "妈妈的手",
        "人人",
        "1000000 fingers",
        "text",
        "the test tube",
    ],
)
def test_what_somebody_meant_is_no_placeholder(text: str) -> None:
    assert not is_placeholder(text)


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("six fingers", "latin"),
        ("шесть пальцев", "cyrillic"),
        ("指が六本あります", "han"),
        ("손가락이 여섯 개", "hangul"),
        ("ستة أصابع", "arabic"),
        ("the sign МИР here", "latin"),
        ("6 %", ""),
    ],
)
def test_the_script_is_that_of_most_letters(text: str, script: str) -> None:
    assert script_of(text) == script


@given(st.text())
def test_no_text_stops_the_check(text: str) -> None:
    is_placeholder(text)
    script_of(text)


@pytest.mark.parametrize("part", ["a", "ab", "abc.", "... ", "todo "])
def test_long_texts_take_no_long_time(part: str) -> None:
    text = part * (300_000 // len(part))
    is_placeholder(text)  # quadratic time would be hours
