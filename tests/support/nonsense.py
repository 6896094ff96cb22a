"""JSON that is wrong anywhere: a sound document with one value replaced by any other."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

_ODD = (
    *(None, True, 0, -1, 3.5, 1e308, -(10**30), 10**400, "", "no", "\x00", [], [[]], [None], [1], [1, 2]),
    *([[1, 2], [3, 4]], ["a", "b"], [{}], {}, {"a": 1}, [[1e308, 1], [2, 2], [3, 1e308]], float("nan")),
)


def nonsense() -> st.SearchStrategy[Any]:
    """Any JSON value, often an awkward one."""
    leaves = st.sampled_from(_ODD) | st.text(max_size=3) | st.integers() | st.floats()
    return st.one_of(st.sampled_from(_ODD), st.recursive(leaves, lambda inner: st.lists(inner, max_size=3)))


@st.composite
def spoiled(draw: st.DrawFn, document: Any) -> Any:
    """The document with the value at one place, at any depth, replaced or taken out."""
    document = copy.deepcopy(document)
    places = list(_places(document))
    holder, key = draw(st.sampled_from(places))
    if draw(st.booleans()) and isinstance(holder, dict):
        del holder[key]
    else:
        holder[key] = draw(nonsense())
    return document


def _places(value: Any) -> Any:
    keys: Any = value.keys() if isinstance(value, dict) else ()
    keys = range(len(value)) if isinstance(value, list) else keys
    for key in keys:
        yield value, key
        yield from _places(value[key])
