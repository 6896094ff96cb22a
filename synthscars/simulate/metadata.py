"""Files as the AUTOMATIC1111 web UI writes them, settings in a PNG text chunk or in EXIF, no date."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from synthscars.records import Generation
from synthscars.simulate.shapes import pick

MODELS = (("simulated-v1", "51a0d00001"), ("simulated-v2", "51a0d00002"), ("simulated-xl", "51a0d0000f"))
SOFTWARE = "synthscars simulate"
VERSION = "synthscars-simulate"
"""Stands where a generator writes its version: what tells these images from generated ones."""
_USER_COMMENT, _EXIF_IFD, _SOFTWARE = 0x9286, 0x8769, 0x0131
_NEGATIVE = (
    "blurry, deformed",
    "lowres, bad anatomy, watermark",
    "ugly, extra fingers, text",
    "noise, jpeg artifacts",
)
_SAMPLERS = (
    ("DPM++ 2M", "Karras"),
    ("Euler a", "Automatic"),
    ("DPM++ SDE", "Karras"),
    ("UniPC", "Automatic"),
)


def settings(prompt: str, width: int, height: int, rng: np.random.Generator) -> Generation:
    """Invented settings of a simulated generator, as its metadata will say them."""
    model, model_hash = pick(rng, MODELS)
    sampler, schedule = pick(rng, _SAMPLERS)
    return Generation(
        tool="automatic1111",
        model=model,
        model_hash=model_hash,
        prompt=prompt,
        negative_prompt=pick(rng, _NEGATIVE),
        seed=int(rng.integers(2**32)),
        steps=int(pick(rng, (20, 24, 28, 30, 40))),
        sampler=sampler,
        cfg_scale=float(pick(rng, (5.0, 6.5, 7.0, 7.5))),
        width=width,
        height=height,
        parameters={"Schedule type": schedule, "Version": VERSION},
    )


def infotext(generation: Generation) -> str:
    """Settings as AUTOMATIC1111 writes them: prompt, negative prompt, one line of `key: value` pairs."""
    pairs = {
        "Steps": generation.steps,
        "Sampler": generation.sampler,
        "Schedule type": generation.parameters["Schedule type"],
        "CFG scale": f"{generation.cfg_scale:g}",
        "Seed": generation.seed,
        "Size": f"{generation.width}x{generation.height}",
        "Model hash": generation.model_hash,
        "Model": generation.model,
        "Version": generation.parameters["Version"],
    }
    line = ", ".join(f"{key}: {value}" for key, value in pairs.items())
    return f"{generation.prompt}\nNegative prompt: {generation.negative_prompt}\n{line}"


def file_name(index: int) -> str:
    """Name of the file of image `index`: every fourth is a JPEG, the others are PNG."""
    return f"simulated-{index:06d}.{'jpg' if index % 4 == 3 else 'png'}"


def encode(image: Image.Image, generation: Generation, index: int) -> tuple[str, bytes]:
    """File name and bytes of image `index`."""
    buffer, name = io.BytesIO(), file_name(index)
    if name.endswith(".jpg"):
        exif = Image.Exif()
        exif[_SOFTWARE] = SOFTWARE
        exif.get_ifd(_EXIF_IFD)[_USER_COMMENT] = b"UNICODE\0" + infotext(generation).encode("utf-16-be")
        image.save(buffer, "JPEG", quality=95, subsampling=0, exif=exif)
        return name, buffer.getvalue()
    text = PngInfo()
    text.add_text("parameters", infotext(generation))
    text.add_text("Software", SOFTWARE)
    image.save(buffer, "PNG", pnginfo=text, compress_level=4)
    return name, buffer.getvalue()
