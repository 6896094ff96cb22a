"""What of an image's generation says that another image looks like it: the words of the prompt, and the seed.

A *family* is every image of the same words and the same seed: a diffusion model starts from the same noise
and is asked for the same thing. Other settings (model, size, steps, sampler, scale, upscaling, a repair of
faces, another source image) change details and are not looked at, and neither is the negative prompt.

The words are what is left of a prompt without case, tags of LoRAs and embeddings, weights, brackets and
punctuation: `(A cat:1.2), <lora:fur:0.8> on a mat` says the same as `a cat on a mat`. Another word is another
family.

A variation seed (AUTOMATIC1111, SwarmUI) blends the noise of two seeds, so such an image is of both families.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping

from synthscars.records import Generation

# Every repetition is bounded or ends at a character that it cannot hold: prompts are untrusted.
_TAG = re.compile(r"<(?:lora|lyco|lycoris|hypernet|embedding)\s{0,4}:[^<>]*>")
_WEIGHT = re.compile(r":\s{0,4}[+-]?\d{0,4}(?:\.\d{0,9})?\s{0,4}(?=[)\]])|(?<=\))\d{0,4}(?:\.\d{1,9})?")
_NO_WORD = re.compile(r"[\W_]+")
_NO_LETTER = re.compile(r"[^a-z]")
_SEED = re.compile(r"[0-9]{1,20}", re.ASCII)


def families(generation: Generation | None) -> Iterator[str]:
    """The families of an image as texts; none if prompt or seed are not known."""
    if generation is None or not generation.prompt or generation.seed is None:
        return
    words = prompt_words(generation.prompt)
    yield f"{generation.seed} {words}"
    variation = _variation_seed(generation.parameters)
    if variation is not None and variation != generation.seed:
        yield f"{variation} {words}"


def prompt_words(prompt: str) -> str:
    """The words of a prompt in their order, one space between two; see the module.

    A prompt without any word (only tags, only symbols) is taken as it stands.
    """
    text = unicodedata.normalize("NFKC", prompt).casefold()
    words = _NO_WORD.sub(" ", _WEIGHT.sub(" ", _TAG.sub(" ", text))).strip()
    return words or f"= {' '.join(text.split())}"


def _variation_seed(parameters: Mapping[str, str]) -> int | None:
    """The seed that was blended in; `None` if none was, or with no strength."""
    seed, strength = "", ""
    for name, value in parameters.items():
        match _NO_LETTER.sub("", name[:40].lower()):
            case "variationseed" | "subseed":
                seed = value
            case "variationseedstrength" | "subseedstrength":
                strength = value
    try:
        if strength and float(strength) <= 0:
            return None
    except ValueError:
        pass  # a strength that cannot be read is some strength
    return int(seed) if _SEED.fullmatch(seed) else None
