"""Reader for what Fooocus writes in its own scheme: JSON in the chunk `parameters` or the EXIF UserComment.

In its other scheme, `a1111`, it writes what AUTOMATIC1111 writes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from synthscars.ingest.metadata.fields import generation_of, json_object, text_of, whole_of
from synthscars.records import Generation

_NAMES = {
    **{name: name for name in ("prompt", "negative_prompt", "seed", "steps", "sampler")},
    "model": "base_model",
    "model_hash": "base_model_hash",
    "cfg_scale": "guidance_scale",
}
_SIZE = re.compile(r"\(([0-9]{1,6}), ?([0-9]{1,6})\)", re.ASCII)


def read(chunks: Mapping[str, str]) -> Generation | None:
    """What the text says; `None` if there is none. What it made of the prompt is in `parameters`."""
    found = (json_object(chunks.get(name, "")) for name in ("parameters", "exif:UserComment"))
    values = next((each for each in found if each and each.get("metadata_scheme") == "fooocus"), None)
    if values is None:
        return None
    size, loras = _SIZE.fullmatch(text_of(values.get("resolution"))), values.get("loras")
    return generation_of(
        "fooocus",
        values,
        _NAMES,
        known=("loras", *(("resolution",) if size else ())),
        width=whole_of(size[1]) if size else None,
        height=whole_of(size[2]) if size else None,
        loras=tuple(filter(None, map(_name, loras))) if isinstance(loras, list) else (),
    )


def _name(lora: Any) -> str:
    """A LoRA is its name, its weight and a hash."""
    return text_of(lora[0]) if isinstance(lora, list) and lora else ""
