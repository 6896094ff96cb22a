"""Reader for what mflux writes: JSON in the EXIF UserComment."""

from __future__ import annotations

import re
from collections.abc import Mapping

from synthscars.ingest.metadata.fields import generation_of, json_object, text_of
from synthscars.records import Generation

_NAMES = {
    **{name: name for name in ("model", "prompt", "negative_prompt", "seed", "steps", "width", "height")},
    "cfg_scale": "guidance",
}
_SEPARATOR = re.compile(r"[/\\]")


def read(chunks: Mapping[str, str]) -> Generation | None:
    """What the comment says; `None` if another tool wrote it.

    Of files only the names are taken, and of pictures that were given not even these: their paths tell who
    sat at the machine, and stay in `raw`.
    """
    values = json_object(chunks.get("exif:UserComment", ""))
    if values is None or "mflux_version" not in values:
        return None
    paths = values.get("lora_paths")
    loras = [_SEPARATOR.split(text_of(path))[-1] for path in paths] if isinstance(paths, list) else []
    private = [name for name in values if name.endswith(("_path", "_paths"))]
    return generation_of("mflux", values, _NAMES, known=private, loras=tuple(filter(None, loras)))
