"""Whatever a text holds, in Markdown it stays a text: compared with what markdown-it makes of it."""

from __future__ import annotations

import html
import json
import re

from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from synthscars.release.markdown import fenced, markdown_block, markdown_line, markdown_table
from synthscars.shown import escape_json, visible

SIGNS = "ab <>&*_`[]()#!|~\\-+=.1\n\t:/\"'$^{}@\r\x00\u202e\x1b\u2028\u200b"
texts = st.text(st.sampled_from(SIGNS), max_size=25)


def rendered(text: str) -> str:
    return str(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text))


def tags(text: str) -> list[str]:
    return re.findall(r"<(\w+)", rendered(text))


@settings(max_examples=300, deadline=None)
@given(texts)
def test_a_line_is_shown_as_it_was_written(text: str) -> None:
    page = rendered(f"x {markdown_line(text)} y")
    assert re.findall(r"<(\w+)", page) == ["p"]
    shown = html.unescape(re.sub("<[^>]+>", "", page))
    assert shown.split() == f"x {visible(text)} y".split()


@settings(max_examples=300, deadline=None)
@given(texts)
def test_a_paragraph_is_no_list_heading_or_quotation(text: str) -> None:
    assert set(tags(markdown_block(text))) <= {"p"}


@settings(max_examples=200, deadline=None)
@given(texts, texts)
def test_a_table_has_the_cells_that_it_was_given(first: str, second: str) -> None:
    table = markdown_table(["h", "i"], [[first, second]])
    assert tags(table) == ["table", "thead", "tr", "th", "th", "tbody", "tr", "td", "td"]


@settings(max_examples=200, deadline=None)
@given(texts)
def test_nothing_ends_a_block_of_code_too_early(text: str) -> None:
    assert tags(f"{fenced(text)}\n\nend") == ["pre", "code", "p"]


@given(st.text())
def test_json_says_the_same_after_it_was_escaped(text: str) -> None:
    assert json.loads(escape_json(json.dumps(text, ensure_ascii=False))) == text
