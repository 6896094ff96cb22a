"""Reader for what InvokeAI writes, by its three generations.

`invokeai_metadata` (version 3 and later) is one JSON object, `sd-metadata` (version 2) has the settings of
the image in its `image`, and `Dream` (version 1, and version 2 beside the other) is a command line::

    "a cat [blurry]" -s 50 -S 2980747362 -W 512 -H 768 -C 5 -A k_lms

Up to version 2, words in square brackets are what should not be seen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from synthscars.ingest.metadata.fields import generation_of, json_object, text_of
from synthscars.records import Generation

_NUMBERS = {name: name for name in ("seed", "steps", "width", "height", "cfg_scale")}
_COMMAND = re.compile(r'"(?P<prompt>.*?)"\s+(?P<options>-\w.*)', re.DOTALL)
_OPTIONS = {"s": "steps", "S": "seed", "W": "width", "H": "height", "C": "cfg_scale"} | (
    dict.fromkeys("Am", "sampler")  # in the first versions `-m`
)
_OPTION = re.compile(rf"(?<!\S)-([{''.join(_OPTIONS)}])\s?(\S+)")
_UNWANTED = re.compile(r"\[([^\[\]]*)\]")


def read(chunks: Mapping[str, str]) -> Generation | None:
    """What the newest of the chunks says; `None` if there is none of them."""
    values = json_object(chunks.get("invokeai_metadata", ""))
    if values is not None:
        return _newest(values)
    values = json_object(chunks.get("sd-metadata", ""))
    if values is not None:
        return _second(values)
    command = _COMMAND.fullmatch(chunks.get("Dream", "").strip())
    return _first(command["prompt"], command["options"]) if command else None


def _newest(values: Mapping[str, Any]) -> Generation:
    names = {"prompt": "positive_prompt", "negative_prompt": "negative_prompt", "sampler": "scheduler"}
    model, loras = values.get("model"), values.get("loras")
    return generation_of(
        "invokeai",
        values,
        _NUMBERS | names,
        known=("model", "loras"),
        model=_name(model),
        model_hash=text_of(model.get("hash")) if isinstance(model, dict) else "",
        loras=tuple(filter(None, map(_name, loras))) if isinstance(loras, list) else (),
    )


def _second(values: Mapping[str, Any]) -> Generation:
    image = values.get("image")
    settings = image if isinstance(image, dict) else {}
    written = settings.get("prompt")
    if isinstance(written, list):  # prompts and their weights
        written = ", ".join(text_of(each.get("prompt")) for each in written if isinstance(each, dict))
    prompt, negative = _apart(text_of(written))
    return generation_of(
        "invokeai",
        {**values, **settings},
        _NUMBERS | {"model": "model_weights", "model_hash": "model_hash", "sampler": "sampler"},
        known=("image", "prompt"),
        prompt=prompt,
        negative_prompt=negative,
    )


def _first(prompt: str, options: str) -> Generation:
    told = {_OPTIONS[name]: value for name, value in _OPTION.findall(options)}
    prompt, negative = _apart(prompt)
    names = _NUMBERS | {"sampler": "sampler"}
    return generation_of("invokeai", told, names, prompt=prompt, negative_prompt=negative)


def _apart(prompt: str) -> tuple[str, str]:
    """What should be seen, and what should not."""
    unwanted = ", ".join(each.strip() for each in _UNWANTED.findall(prompt))
    return _UNWANTED.sub("", prompt).strip(), unwanted


def _name(model: Any) -> str:
    """The name of a model or LoRA as each version tells it: a text, or an object, perhaps within one."""
    if not isinstance(model, dict):
        return text_of(model)
    inner = next((model[key] for key in ("lora", "model") if isinstance(model.get(key), dict)), model)
    return text_of(inner.get("name")) or text_of(inner.get("model_name"))
