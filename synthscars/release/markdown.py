"""Markdown from texts that come from outside: names, prompts and explanations never become mark-up."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from synthscars.shown import visible


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], *, escaped: bool = False) -> str:
    """A table in Markdown; escaped: the cells are Markdown already."""
    cells = [list(head), ["---"] * len(head)]
    cells += [[cell if escaped else markdown_line(cell) for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)


def markdown_line(text: str) -> str:
    """Text for one line of Markdown: no mark-up, no HTML, no line break, no end of a table cell."""
    line = " ".join(visible(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#!|~$])", r"\\\1", line)


def fenced(text: str, language: str = "") -> str:
    """A block of code that no text can end too early."""
    text = visible(text)
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.strip()}\n{fence}"


def paragraphs(text: str) -> str:
    """Text of several paragraphs, each without mark-up, which stay apart."""
    return "\n\n".join(escaped for part in re.split(r"\n\s*\n", text) if (escaped := markdown_block(part)))


def markdown_block(text: str) -> str:
    """Text as a paragraph of its own: no mark-up, and neither a list, a quotation nor a heading."""
    line = markdown_line(text)
    return re.sub(r"^(\d+)([.)])", r"\1\\\2", re.sub(r"^([-+=])", r"\\\1", line))


def number(count: int, noun: str) -> str:
    """`1 image`, `2,000 images`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
