"""Texts that stand where one was to be written later: `todo`, `asdf`, `xxx`."""

from __future__ import annotations

import re

_PLACEHOLDERS = frozenset(
    re.split(
        " ",
        "asdf asdfgh asdfghjkl blah dummy fixme foo foobar lorem n/a nan none null placeholder qwe qwer "
        "qwerty tba tbd test testing todo undefined unknown untitled xx yxcv zxcv",
    )
)
_MARKED = re.compile(r"(?:TODO|FIXME|TBD)\b|[Ll]orem ipsum", re.ASCII)
# One letter three times, or a short part three times over: "xxx", "blablabla". A doubled sign is a word in
# Chinese.
_REPEATED = re.compile(r"(.)\1{2,}|(.{2,4})\2{2,}")
_RUN = re.compile(r"([^\W\d_])\1{5,}")


def is_placeholder(text: str) -> bool:
    """Whether a text stands where one was to be written later."""
    short = text.strip()[:10_000]
    bare = re.sub(r"[\s.…!?,;:_*#\"'()\[\]<>-]+", "", short).casefold()
    return (
        not bare
        or bare in _PLACEHOLDERS
        or _MARKED.match(short) is not None
        or _REPEATED.fullmatch(bare) is not None
        or _RUN.search(short.casefold()) is not None
    )
