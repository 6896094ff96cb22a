import io
import json
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from synthscars.converters.json_list import open_plain, read_blocks, read_items, split_block
from synthscars.problems import FormatError

# Texts that look like the joints of JSON, and what only Python's json reads and writes.
TEXTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        ['},{"id":', '"}, {"id": 1, "a":', "\\", '\\"', "\\\\", "[", "]", "\\" * 7, "\ud800", '}]}]"']
    ),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
# As tasks are: the same keys in the same order, and things inside of them that start alike.
TASKS = st.builds(
    lambda number, inner, data: {
        "id": number,
        "annotations": [{"id": number, "result": inner}],
        "data": data,
    },
    st.integers(0, 99),
    st.lists(st.fixed_dictionaries({"id": st.integers(0, 99), "annotations": VALUES}), max_size=4),
    VALUES,
)
LISTS = st.lists(VALUES, max_size=12) | st.lists(TASKS, max_size=12)


def items_in(content: bytes, size: int = 1 << 20) -> list[Any]:
    return [json.loads(item.content) for item in read_items(io.BytesIO(content), "some.json", size=size)]


@settings(max_examples=200)
@given(LISTS, st.sampled_from([None, 0, 1, 4, "\t"]), st.booleans(), st.integers(1, 200), st.booleans())
def test_any_list_gives_its_items_whatever_its_indentation_and_the_size_of_the_blocks(
    values: list[Any], indent: Any, ascii_only: bool, size: int, bom: bool
) -> None:
    text = json.dumps(values, indent=indent, ensure_ascii=ascii_only)
    content = (b"\xef\xbb\xbf" if bom else b"") + text.encode("utf-8", "surrogatepass")
    found = items_in(content, size)
    assert json.dumps(found) == json.dumps(values)


@given(LISTS, st.integers(1, 200))
def test_blocks_stand_where_they_say(values: list[Any], size: int) -> None:
    content = json.dumps(values).encode()
    found: list[Any] = []
    for block in read_blocks(io.BytesIO(content), "some.json", size=size):
        assert content[block.offset : block.offset + len(block.content)] == block.content
        items = list(split_block(block))
        assert items
        for item in items:
            assert content[item.offset : item.offset + len(item.content)] == item.content
        if block.decoded is not None:
            assert [bytes(raw) for raw in block.decoded] == [item.content for item in items]
        found += [json.loads(item.content) for item in items]
    assert json.dumps(found) == json.dumps(values)


@settings(max_examples=100)
@given(LISTS, st.data(), st.integers(1, 200))
def test_a_list_that_was_cut_short_is_never_taken_for_a_whole_one(
    values: list[Any], data: st.DataObject, size: int
) -> None:
    content = json.dumps(values).encode()
    cut = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(FormatError, match=r"some\.json"):
        items_in(content[:cut], size)


@pytest.mark.parametrize("size", [1, 4, 1 << 20])
@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "the file is empty"),
        (b" \n ", "the file is empty"),
        (b"\xef\xbb\xbf", "the file is empty"),
        (b'{"id": 1}', "not a list, it starts with"),
        (b"<html>", "not a list, it starts with '<h"),
        (b"\xff\xfe[\x00]\x00", "not a list"),
        (b"[", "it is cut short"),
        (b"[1, 2", "it is cut short"),
        (b'[{"a": "]', "it is cut short"),
        (b"[1] 2", "something follows the end of the list"),
        (b"[{}] [{}]", "something follows the end of the list"),
        (b"[1, 2,]", "a comma is followed by nothing"),
        (b"[" * 20_000, "it is cut short"),
    ],
)
def test_what_is_no_whole_list_is_refused(content: bytes, what: str, size: int) -> None:
    with pytest.raises(FormatError) as caught:
        items_in(content, size)
    assert what in caught.value.message
    assert caught.value.message.startswith("some.json: ")
    assert caught.value.fix


@pytest.mark.parametrize("content", [b"[]", b" [ \n ] \n", b"\xef\xbb\xbf[]"])
@pytest.mark.parametrize("size", [1, 2, 100])
def test_an_empty_list_has_no_items(content: bytes, size: int) -> None:
    assert items_in(content, size) == []


def test_an_item_that_is_no_json_costs_itself_only() -> None:
    content = b'[{"id": 1}, {"id": 2,, "x": [1 2]}, {"id": 3}]'
    first, second, third = read_items(io.BytesIO(content), "some.json", size=8)
    assert (json.loads(first.content), json.loads(third.content)) == ({"id": 1}, {"id": 3})
    with pytest.raises(ValueError, match="property name"):
        json.loads(second.content)


def hostile(size: int) -> bytes:
    """One long text full of what looks like the place between two items, between ordinary items."""
    plain = [{"id": number, "annotations": [], "data": {"x": "y" * 50}} for number in range(2000)]
    trap = {"id": 0, "annotations": ['},{"id": 1, "annotations": ' * (size // 27)], "data": {}}
    return json.dumps([*plain, trap, *plain]).encode()


def test_a_long_text_full_of_brackets_takes_time_and_memory_in_proportion() -> None:
    taken: list[float] = []
    for size in (4_000_000, 16_000_000):
        content = hostile(size)
        started = time.process_time()
        tracemalloc.start()
        assert sum(1 for _ in read_items(io.BytesIO(content), "some.json")) == 4001
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        taken.append(time.process_time() - started)
        # The long item itself, joined from its parts and with brackets around it, and one block's work.
        assert peak < 5 * size + 40_000_000
    assert taken[1] < 8 * taken[0] + 0.5


def test_a_compressed_file_is_unpacked_and_one_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    content = json.dumps([{"id": number} for number in range(20_000)]).encode()
    packed = tmp_path / "some.json.zst"
    packed.write_bytes(zstandard.compress(content[:1000]) + zstandard.compress(content[1000:]))
    with open_plain(packed) as file:
        assert file.read() == content
    whole = packed.read_bytes()
    for cut in (0, 3, len(whole) // 2, len(whole) - 1):
        packed.write_bytes(whole[:cut])
        with pytest.raises(FormatError, match=r"some\.json\.zst"):
            open_plain(packed)
    packed.write_bytes(b"[1, 2, 3]")
    with pytest.raises(FormatError, match=r"some\.json\.zst"):
        open_plain(packed)
    with pytest.raises(FormatError, match="No such file"):
        open_plain(tmp_path / "none.json")
