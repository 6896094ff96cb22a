"""Reader for the text that the AUTOMATIC1111 web UI and its many relatives write.

::

    a cat, <lora:fur:0.8>                                      prompt, any number of lines
    on a mat
    Negative prompt: blurry,                                   any number of lines, may be missing
    watermark
    Template: ...                                              SD.Next: prompt with its wildcards
    Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x768, Lora hashes: "fur: 1a2b, x: 3c4d"

The settings are one line; values that hold a comma, a colon or a line break are JSON strings. The text stands
in the PNG text chunk `parameters` or in the EXIF UserComment. The line breaks of the format allow a prompt
that looks like a settings line; the last such line counts, as it does in the web UI.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping

from synthscars.ingest.metadata.fields import LARGEST_COUNT, LARGEST_SEED, is_unicode
from synthscars.records import Generation

CHUNKS = ("parameters", "exif:UserComment", "comment")
"""Where the text may stand, in the order in which it is looked for."""

_NEGATIVE = "Negative prompt:"
_TEMPLATES = {"template:": "Template", "negative template:": "Negative template"}
_KEY = re.compile(r"\s*(\w[^:,\"{}\n]{0,80}):[^\S\n]*")
_BLANK = re.compile(r"[^\S\n]*")
_WHOLE = re.compile(r"[0-9]{1,20}", re.ASCII)
_NUMBER = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?", re.ASCII)
_SIZE = re.compile(r"([0-9]{1,6})x([0-9]{1,6})", re.ASCII)
_LORA = re.compile(r"<(?:lora|lyco):([^:<>]+)(?::[^<>]*)?>")
# A line with `Steps` and one of these is a settings line; people write "Steps: 1, ..." in prompts, too.
_COMPANIONS = frozenset({"Sampler", "Seed", "CFG scale", "Size", "Model", "Model hash"})
# Each costs time in proportion to the line: a hostile file must not cost its square.
_MOST_MISQUOTED = 64
_MODEL_PARTS = ("Unet", "UNET", "UNet", "Diffusion model")

_decoder = json.JSONDecoder(strict=False)


def read(chunks: Mapping[str, str]) -> Generation | None:
    """What an AUTOMATIC1111-style text among the chunks says; `None` if there is none."""
    for name in CHUNKS:
        if name in chunks:
            found = parse(chunks[name])
            if found is not None:
                return found
    return None


def parse(text: str) -> Generation | None:
    """Read one text; `None` if it has neither a settings line nor a negative prompt.

    Settings without a field of their own are in `parameters` under their own names, as are values that are
    not what they should be (`Steps: many`, `Seed: -1`). Where the text names no model or sampler but
    something that stands for one, `model_from` or `sampler_from` says what.
    """
    lines = text.replace("\r\n", "\n").strip("\n\0 ").split("\n")
    at = next((i for i in range(len(lines) - 1, -1, -1) if _is_settings(lines[i])), None)
    if at is None and not any(line.startswith(_NEGATIVE) for line in lines):
        return None
    prompt, negative, settings = _split(lines[:at])
    if at is not None:
        # Extensions add templates below the settings, too.
        _, loose, below = _split([_NEGATIVE, *lines[at + 1 :]])
        settings = {**dict(_unique(_settings(lines[at]))), **settings, **below}
        if loose:
            settings["below the settings"] = loose
    return _generation(prompt, negative, settings)


def _is_settings(line: str) -> bool:
    if "Steps:" not in line:
        return False
    keys = [key for key, _ in _settings(line)]
    return "Steps" in keys and not _COMPANIONS.isdisjoint(keys) and keys[0] in {"Steps", *_COMPANIONS}


def _split(lines: list[str]) -> tuple[str, str, dict[str, str]]:
    """Prompt, negative prompt, and the templates that stand after the negative prompt."""
    parts: dict[str, list[str]] = {"": []}
    part = ""
    for line in lines:
        start = next((start for start in _TEMPLATES if line.lower().startswith(start)), "")
        if not part and line.startswith(_NEGATIVE):
            part = _NEGATIVE
            parts[part] = [line.removeprefix(_NEGATIVE)]
        elif part and start:
            part = _TEMPLATES[start]
            parts.setdefault(part, []).append(line[len(start) :])
        else:
            parts[part].append(line)
    texts = {part: "\n".join(found).strip() for part, found in parts.items()}
    return texts.pop(""), texts.pop(_NEGATIVE, ""), texts


def _settings(line: str) -> Iterator[tuple[str, str]]:
    """The `key: value` pairs of a settings line, in order; something without a colon is its own value."""
    at, misquoted = 0, 0
    while at < len(line):
        match = _KEY.match(line, at)
        if match is None:
            end = _comma(line, at)
            bare = line[at:end].strip()
            if bare:
                yield bare, bare
        else:
            start = match.end()
            found = None
            if line[start : start + 1] in {'"', "{", "["} and misquoted < _MOST_MISQUOTED:
                found = _json_value(line, start)
                misquoted += found is None
            end = found[1] if found else _comma(line, start)
            yield match[1].strip(), found[0] if found else line[start:end].strip()
        at = end + 1


def _json_value(line: str, start: int) -> tuple[str, int] | None:
    """The JSON that starts here, and the comma or end of the line behind it; `None` if that is not so."""
    try:
        decoded, end = _decoder.raw_decode(line, start)
    except (ValueError, RecursionError):
        return None
    after = _BLANK.match(line, end)
    behind = after.end() if after else end
    if line[behind : behind + 1] not in {"", ","}:
        return None
    is_text = isinstance(decoded, str) and is_unicode(decoded)
    return decoded if is_text else line[start:end], behind


def _comma(line: str, start: int) -> int:
    found = line.find(",", start)
    return len(line) if found < 0 else found


def _unique(pairs: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    # stable-diffusion.cpp names two text encoders `TE`: the second becomes `TE (2)`.
    seen: dict[str, int] = {}
    for key, value in pairs:
        seen[key] = seen.get(key, 0) + 1
        yield (key if seen[key] == 1 else f"{key} ({seen[key]})"), value


def _generation(prompt: str, negative: str, settings: dict[str, str]) -> Generation:
    left = dict(settings)
    size = _SIZE.fullmatch(left.get("Size", ""))
    if size:
        del left["Size"]
    seed = _whole(left, "Seed", LARGEST_SEED)
    steps = _whole(left, "Steps", LARGEST_COUNT)
    cfg_scale = _number(left, "CFG scale")
    tool = _tool(settings)
    sampler = _text(left, "Sampler")
    if not sampler and settings.get("Scheduler"):
        sampler, left["sampler_from"] = settings["Scheduler"], "Scheduler"
    elif not sampler and tool == "sdnext" and steps is not None:
        # SD.Next writes a sampler only if it is another than the model's own, which it calls "Default".
        sampler, left["sampler_from"] = "Default", "left out, as SD.Next does for its default"
    model = _text(left, "Model")
    if not model:
        part = next((name for name in _MODEL_PARTS if settings.get(name)), "")
        if part:
            model, left["model_from"] = settings[part], part
    return Generation(
        tool=tool,
        model=model,
        model_hash=_text(left, "Model hash"),
        prompt=prompt,
        negative_prompt=negative,
        seed=seed,
        steps=steps,
        sampler=sampler,
        cfg_scale=cfg_scale,
        width=int(size[1]) if size else None,
        height=int(size[2]) if size else None,
        loras=_loras(prompt, settings.get("Lora hashes", "")),
        parameters=left,
    )


def _text(left: dict[str, str], key: str) -> str:
    # An empty value stays where it is: that it was written empty is a fact, too.
    return left.pop(key) if left.get(key) else ""


def _whole(left: dict[str, str], key: str, largest: int) -> int | None:
    if not _WHOLE.fullmatch(left.get(key, "")) or int(left[key]) > largest:
        return None
    return int(left.pop(key))


def _number(left: dict[str, str], key: str) -> float | None:
    if not _NUMBER.fullmatch(left.get(key, "")) or not math.isfinite(float(left[key])):
        return None
    return float(left.pop(key))


def _loras(prompt: str, hashes: str) -> tuple[str, ...]:
    names = [match[1].strip() for match in _LORA.finditer(prompt)]
    names += [entry.rpartition(":")[0].strip() for entry in hashes.split(",")]
    return tuple(dict.fromkeys(name for name in names if name))


def _tool(settings: Mapping[str, str]) -> str:
    app, version = settings.get("App", ""), settings.get("Version", "")
    if app == "SD.Next":
        return "sdnext"
    if version.startswith("stable-diffusion.cpp") or "SDCPP" in settings:
        return "stable-diffusion.cpp"
    if re.match(r"f\d|neo", version):
        return "forge"
    if version.startswith("ComfyUI"):
        return "comfyui"
    if version.startswith("Fooocus"):
        return "fooocus"
    return "automatic1111"
