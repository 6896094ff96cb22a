"""Files that somebody has been at: any JSON value in any place of a sound one."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

_KEYS = st.sampled_from(["a", "label", "size"])
VALUES = st.recursive(
    st.sampled_from([None, True, -1, 0, 1e300, 10**30, float("nan"), float("inf"), "", "\ud800", [], {}]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner),
    max_leaves=4,
)


@st.composite
def with_nonsense(draw: st.DrawFn, sound: Any) -> Any:
    """The value, which is changed in place, with nonsense somewhere inside."""
    *way, last = draw(st.sampled_from(places(sound)[1:]))
    inner = sound
    for key in way:
        inner = inner[key]
    inner[last] = draw(VALUES)
    return sound


def places(value: Any) -> list[tuple[Any, ...]]:
    """Every place in a JSON value, as the keys on the way to it."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(), *((key, *rest) for key, each in inner for rest in places(each))]
