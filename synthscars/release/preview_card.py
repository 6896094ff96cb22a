"""A dataset card as HTML: its Markdown as the Hugging Face Hub renders it, its header as the Hub's tags.

Markdown may come from anywhere: HTML in it is shown as text, addresses lead to the web or to headings of the
page only, and pictures are put into the page if they are small files of the release.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from synthscars.release.page import html_text
from synthscars.release.preview import Card, is_inside
from synthscars.shown import short, visible

Env = MutableMapping[str, Any]

_LARGEST_FIGURE = 4_000_000
_MOST_TAGS = 12
_SIGNATURES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}
_GROUPS = (
    ("Tasks", ("task_categories", "task_ids")),
    ("Languages", ("language",)),
    ("Size", ("size_categories",)),
    ("Annotations", ("annotations_creators",)),
    ("Tags", ("tags",)),
    ("License", ("license_name", "license")),
)
_HEADING_ID = "card-"
"""Before the ids of headings, so that none is one of the page's own."""


def header_tags(header: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """What the Hub shows above a card: group → values, in the order of the page."""
    found = []
    for group, keys in _GROUPS:
        values = [text for key in keys for text in _texts(header.get(key))]
        if group == "License":
            # A licence that the Hub does not know is `other`, with its name beside it.
            values = [text for text in values if text != "other"] or values
        if values:
            found.append((group, list(dict.fromkeys(values))))
    configs = header.get("configs")
    names = [each.get("config_name", "default") for each in configs or () if isinstance(each, dict)]
    if names:
        found.append(("Subsets", [str(name) for name in names]))
    return found


def _texts(value: Any) -> list[str]:
    items = value if isinstance(value, list) else [value]
    return [str(item) for item in items if isinstance(item, (str, int, float)) and str(item)]


def tags_html(header: Mapping[str, Any]) -> str:
    """The tags as a list of groups."""
    groups = []
    for group, values in header_tags(header):
        chips = "".join(f"<li>{html_text(short(value, 60))}" for value in values[:_MOST_TAGS])
        more = f"<li>and {len(values) - _MOST_TAGS} more" if len(values) > _MOST_TAGS else ""
        groups.append(f"<div><dt>{group}<dd><ul>{chips}{more}</ul></div>")
    return f'<dl class="tags">{"".join(groups)}</dl>\n'


def card_html(card: Card, folder: Path) -> str:
    """The Markdown of a card as HTML. folder: where its pictures are."""
    markdown = MarkdownIt("commonmark", {"html": False, "linkify": False}, renderer_cls=_Renderer)
    markdown.enable(["table", "strikethrough"])
    return str(markdown.render(visible(card.text), {"folder": folder, "ids": set()}))


class _Renderer(RendererHTML):
    """HTML of tokens; methods are named as tokens are."""

    def heading_open(self, tokens: Sequence[Token], index: int, options: Any, env: Env) -> str:
        """A heading with an id as the Hub gives it, one step lower: the page has its own title."""
        slug = re.sub(r"[^\w\- ]", "", tokens[index + 1].content.lower()).replace(" ", "-")[:80]
        id, number = slug, 1
        while id in env["ids"]:
            id, number = f"{slug}-{number}", number + 1
        env["ids"].add(id)
        return f'<{_lower(tokens[index].tag)} id="{_HEADING_ID}{html_text(id)}">'

    def heading_close(self, tokens: Sequence[Token], index: int, options: Any, env: Env) -> str:
        """The end of a heading."""
        return f"</{_lower(tokens[index].tag)}>\n"

    def table_open(self, tokens: Sequence[Token], index: int, options: Any, env: Env) -> str:
        """A table that scrolls by itself where the page is narrow."""
        return '<div class="wide" tabindex="0"><table>\n'

    def table_close(self, tokens: Sequence[Token], index: int, options: Any, env: Env) -> str:
        """The end of a table."""
        return "</table></div>\n"

    def link_open(self, tokens: Sequence[Token], index: int, options: Any, env: Env) -> str:
        """A link into the web or within the page; one to a file of the release leads nowhere here."""
        target = str(tokens[index].attrGet("href") or "")
        if re.match(r"https?://|mailto:", target, re.IGNORECASE):
            return f'<a href="{html_text(target)}" rel="noopener noreferrer nofollow">'
        if target.startswith("#"):
            return f'<a href="#{_HEADING_ID}{html_text(target[1:])}">'
        return f'<a title="{html_text(target)}">'

    def image(self, tokens: Sequence[Token], index: int, options: Any, env: Env) -> str:
        """A picture of the release; of any other what it shows, in words."""
        token = tokens[index]
        source = str(token.attrGet("src") or "")
        text = self.renderInlineAsText(token.children or [], options, env)
        found = _figure(env["folder"], source)
        if found is None:
            return f'<span class="soft">[{html_text(text or "picture")}: {html_text(source)}]</span>'
        return f'<img src="{found}" alt="{html_text(text)}">'


def _lower(tag: str) -> str:
    return f"h{min(int(tag[1:]) + 1, 6)}"


def _figure(folder: Path, source: str) -> str | None:
    """The address of a picture with its bytes; `None` if it is not a small picture inside the folder."""
    try:
        path = folder / source
        if "://" in source or not is_inside(path, folder) or not path.is_file():
            return None
        if path.stat().st_size > _LARGEST_FIGURE:
            return None
        data = path.read_bytes()
    except (OSError, ValueError):
        return None
    for signature, kind in _SIGNATURES.items():
        if data.startswith(signature):
            return f"data:{kind};base64,{base64.b64encode(data).decode()}"
    return None
