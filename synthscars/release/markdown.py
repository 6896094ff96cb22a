"""Markdown from texts that come from outside: names, prompts and explanations never become mark-up."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], *, escaped: bool = False) -> str:
    """A table in Markdown; escaped: the cells are Markdown already."""
    cells = [list(head), ["---"] * len(head)]
    cells += [[cell if escaped else markdown_line(cell) for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)


def markdown_line(text: str) -> str:
    """Text for one line of Markdown: no mark-up, no HTML, no line break, no end of a table cell."""
    line = " ".join(text.split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#!|~])", r"\\\1", line)
