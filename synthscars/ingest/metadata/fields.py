"""From values that a tool wrote as JSON to the fields of a `Generation`.

Metadata are untrusted: numbers may be huge or none, texts may hold half a character. What does not fit its
field is kept among the parameters, as text.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from synthscars.records import Generation

LARGEST_SEED = 2**64 - 1
LARGEST_COUNT = 2**31 - 1

_NUMBER = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?", re.ASCII)


def json_object(text: str) -> dict[str, Any] | None:
    """The JSON object that a text is, `None` if it is none. ComfyUI writes NaN, so it is read."""
    if text.lstrip()[:1] != "{":
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def is_unicode(text: str) -> bool:
    """Whether a file can hold it: JSON can spell half a character."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def text_of(value: Any) -> str:
    """A text without spaces around it; `""` for whatever else."""
    if not isinstance(value, str):
        return ""
    return (value if is_unicode(value) else value.encode("utf-8", "replace").decode()).strip()


def whole_of(value: Any, largest: int = LARGEST_COUNT) -> int | None:
    """A whole number from 0 to `largest`, which may be written as text."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= len(str(largest)):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= largest:
        return None
    return int(value) if value == int(value) else None


def number_of(value: Any) -> float | None:
    """A finite number, which may be written as text."""
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


_KINDS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("model", "model_hash", "prompt", "negative_prompt", "sampler"), text_of),
    **dict.fromkeys(("steps", "width", "height"), whole_of),
    "seed": lambda value: whole_of(value, LARGEST_SEED),
    "cfg_scale": number_of,
}


def generation_of(
    tool: str, values: Mapping[str, Any], names: Mapping[str, str], known: Iterable[str] = (), **given: Any
) -> Generation:
    """A `Generation` of a tool's settings.

    names: field → the name that the tool has for it. known: settings that are not kept among the parameters.
    given: fields that are known otherwise, and count.
    """
    found = {field: _KINDS[field](values.get(name)) for field, name in names.items()}
    read = {names[field] for field, value in found.items() if value not in (None, "")}
    kept = as_parameters(values, {*read, *known})
    return Generation(**{"tool": tool, "parameters": kept, **found, **given})


def as_parameters(values: Mapping[str, Any], known: Iterable[str] = ()) -> dict[str, str]:
    """Settings as texts by their own names, without those that are `known` and those left empty."""
    left = {name: value for name, value in values.items() if value not in (None, "", [], {})}
    for name in known:
        left.pop(name, None)
    return {text_of(name): _as_text(value) for name, value in left.items()}


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return text_of(value)
    try:
        return text_of(json.dumps(value, ensure_ascii=False))
    except RecursionError:  # writing goes a little deeper than reading
        return ""
