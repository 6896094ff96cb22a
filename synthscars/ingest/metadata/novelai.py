"""Reader for what NovelAI writes: PNG text chunks, of which `Comment` holds the settings as JSON."""

from __future__ import annotations

from collections.abc import Mapping

from synthscars.ingest.metadata.fields import generation_of, json_object, text_of
from synthscars.records import Generation

_NAMES = {
    **{name: name for name in ("seed", "steps", "width", "height", "sampler")},
    "negative_prompt": "uc",
    "cfg_scale": "scale",
}


def read(chunks: Mapping[str, str]) -> Generation | None:
    """What the chunks say; `None` if their `Software` is another. `Source` is the model."""
    values = json_object(chunks.get("Comment", ""))
    if values is None or chunks.get("Software") != "NovelAI":
        return None
    # Older versions write the prompt beside the settings.
    prompt = text_of(values.get("prompt")) or text_of(chunks.get("Description"))
    model = text_of(chunks.get("Source"))
    return generation_of("novelai", values, _NAMES, known=("prompt",), prompt=prompt, model=model)
