"""How an image was generated, read from what its generator embedded in the file.

Two steps: `read_chunks` takes every text out of the file as it stands, and one reader per generator tool
turns those texts into a `Generation`. A new tool is one module with a `Reader` and a place in `READERS`.
Metadata is untrusted input: nothing is evaluated, sizes are bounded, and what cannot be understood is kept as
it was found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import msgspec

from synthscars.ingest.metadata import automatic1111, comfyui, fooocus, invokeai, mflux, novelai
from synthscars.ingest.metadata.chunks import read_chunks
from synthscars.records import Generation

__all__ = ["READERS", "Reader", "model_from_file_name", "read_chunks", "read_generation"]

Reader = Callable[[Mapping[str, str]], Generation | None]
"""Texts of a file by chunk name → what they say, or `None` if this tool did not write them. Never raises."""

READERS: tuple[Reader, ...] = (
    automatic1111.read,
    comfyui.read,
    invokeai.read,
    fooocus.read,
    novelai.read,
    mflux.read,
)
"""Asked in this order; the first answer counts."""

# Names that tools and people give to any output; they say nothing about the model.
_GENERIC_NAME = re.compile(r"(output|image|img|out|result|generated|untitled)?[\d\W_]*", re.IGNORECASE)


def read_generation(chunks: Mapping[str, str]) -> Generation | None:
    """What the chunks say about how the image was generated; `None` if there are none at all.

    Where no reader knows the chunks, only `raw` is filled, so that a later reader can be run again.
    """
    if not chunks:
        return None
    for reader in READERS:
        found = reader(chunks)
        if found is not None:
            return msgspec.structs.replace(found, raw=dict(chunks))
    return Generation(raw=dict(chunks))


def model_from_file_name(generation: Generation, stem: str) -> Generation:
    """Fill in a model that the metadata name but leave empty, from the file's name without its suffix.

    stable-diffusion.cpp used to write `Model: ,` for models that come in several files; the file name is then
    the only thing that tells them apart. `parameters["model_from"]` says that it was used. Anything else, and
    names such as `output`, are left alone.
    """
    stated_empty = generation.parameters.get("Model") == ""
    if generation.model or not stated_empty or _GENERIC_NAME.fullmatch(stem):
        return generation
    parameters = {**generation.parameters, "model_from": "file name"}
    return msgspec.structs.replace(generation, model=stem, parameters=parameters)
