"""Reader for what NovelAI writes: PNG text chunks, of which `Comment` holds the settings as JSON.

In a WebP file the same stands in the EXIF UserComment, as one JSON object. From version 4 on, what is said
about each character stands beside the prompt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from synthscars.ingest.metadata.fields import generation_of, json_object, text_of
from synthscars.records import Generation

_NAMES = {
    **{name: name for name in ("seed", "steps", "width", "height", "sampler")},
    "cfg_scale": "scale",
}


def read(chunks: Mapping[str, str]) -> Generation | None:
    """What the chunks say; `None` if their `Software` is another. `Source` is the model."""
    written: Mapping[str, Any] = chunks if "Comment" in chunks else {}
    written = written or json_object(chunks.get("exif:UserComment", "")) or {}
    values = json_object(text_of(written.get("Comment")))
    if values is None or written.get("Software") != "NovelAI":
        return None
    # Older versions write the prompt beside the settings.
    prompt = text_of(values.get("prompt")) or text_of(written.get("Description"))
    wanted = [prompt, *_characters(values.get("v4_prompt"))]
    unwanted = [text_of(values.get("uc")), *_characters(values.get("v4_negative_prompt"))]
    return generation_of(
        "novelai",
        values,
        _NAMES,
        known=("prompt", "uc", "v4_prompt", "v4_negative_prompt"),
        model=text_of(written.get("Source")),
        prompt="\n".join(filter(None, wanted)),
        negative_prompt="\n".join(filter(None, unwanted)),
    )


def _characters(prompt: Any) -> Iterator[str]:
    caption = prompt.get("caption") if isinstance(prompt, dict) else None
    told = caption.get("char_captions") if isinstance(caption, dict) else None
    for each in told if isinstance(told, list) else ():
        if isinstance(each, dict):
            yield text_of(each.get("char_caption"))
