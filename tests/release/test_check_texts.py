import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthscars.release.check.personal import traces_in
from synthscars.release.check.texts import is_placeholder, script_of


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


@pytest.mark.parametrize(
    "text",
    [
        "/home/ann/models/x.safetensors",
        "file:///home/ann/x",
        '{"path": "/Users/ann/Pictures"}',
        "/mnt/c/Users/ann/x",
        r"C:\Users\ann\x.png",
        r'{"path": "D:\\Users\\ann\\x.png"}',
        "c:/users/ann/x",
    ],
)
def test_paths_with_a_user_name_are_found_and_not_repeated(text: str) -> None:
    ((code, what, place),) = traces_in(text, "here")
    assert (code, place) == ("personal.path", "here")
    assert "ann" not in what


@pytest.mark.parametrize(
    "text",
    [
        "a house and a home/office",
        "https://example.org/home/page",
        "/home/user/x",
        r"C:\Users\Public\x",
        "models/home/x",
        "/usr/share/fonts",
        "logo@2x.png",
        "50 apples @ 2 each",
    ],
)
def test_other_paths_and_signs_are_none(text: str) -> None:
    assert list(traces_in(text, "here")) == []


def test_addresses_are_found_and_not_repeated() -> None:
    ((code, what, _),) = traces_in("made by ann.example+art@mail.example.org, 2024", "here")
    assert code == "personal.email"
    assert "ann" not in what


@given(st.text())
def test_no_text_stops_the_check(text: str) -> None:
    is_placeholder(text)
    script_of(text)
    list(traces_in(text, "here"))


@pytest.mark.parametrize("part", ["/", "/a", "a@", "a.", "@", "/home/", "C:\\", "ab", "a@b.", "/home/a/"])
def test_long_texts_take_no_long_time(part: str) -> None:
    text = part * (1_000_000 // len(part))
    start = time.perf_counter()
    is_placeholder(text)
    list(traces_in(text, "here"))
    assert time.perf_counter() - start < 5
