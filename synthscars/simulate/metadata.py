"""Files as the AUTOMATIC1111 web UI or a camera writes them: a PNG text chunk or EXIF, no date."""

from __future__ import annotations

import hashlib
import io

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import IFDRational

from synthscars.records import Generation
from synthscars.simulate.shapes import pick

MODELS = (("simulated-v1", "51a0d00001"), ("simulated-v2", "51a0d00002"), ("simulated-xl", "51a0d0000f"))
SOFTWARE = "synthscars simulate"
VERSION = "synthscars-simulate"
"""Stands where a generator writes its version: what tells these images from generated ones."""
SERIES = 2
"""Version of what is drawn; it goes into the file names, so that series of two versions are not mixed."""
CAMERAS = (("Drawn Reflex 1", 50), ("Drawn Compact 2", 28), ("Drawn Phone 3", 26))
_MAKE, _MODEL, _EXPOSURE, _APERTURE, _ISO, _FOCAL_LENGTH = 0x010F, 0x0110, 0x829A, 0x829D, 0x8827, 0x920A
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


def file_name(seed: int, index: int, *, photograph: bool = False, on: str = "") -> str:
    """Name of the file of image `index` of a series. It tells neither the kind of the picture nor its number.

    on: the sha256 of its background, if it has one. Every second image is a JPEG, the others are PNG.
    """
    kind = "photograph" if photograph else "generated"
    digest = hashlib.sha256(f"{SERIES} {kind} {seed} {index} {on}".strip().encode()).hexdigest()[:12]
    return f"simulated-{digest}.{'jpg' if index % 2 else 'png'}"


def encode(image: Image.Image, generation: Generation, name: str, rng: np.random.Generator) -> bytes:
    """A file as the web UI saves it; `name` ends in .png or .jpg."""
    quality = _quality(rng)
    if name.endswith(".jpg"):
        exif = Image.Exif()
        exif[_SOFTWARE] = SOFTWARE
        exif.get_ifd(_EXIF_IFD)[_USER_COMMENT] = b"UNICODE\0" + infotext(generation).encode("utf-16-be")
        return _jpeg(image, quality, exif)
    text = PngInfo()
    text.add_text("parameters", infotext(generation))
    text.add_text("Software", SOFTWARE)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=text, compress_level=4)
    return buffer.getvalue()


def encode_photograph(image: Image.Image, name: str, rng: np.random.Generator) -> bytes:
    """A file as a camera writes it, or, as PNG, as it was exported: EXIF with an invented camera, no date."""
    quality = _quality(rng)
    exif = Image.Exif()
    model, focal = pick(rng, CAMERAS)
    exif[_MAKE], exif[_MODEL], exif[_SOFTWARE] = "Simulated", model, SOFTWARE
    details = exif.get_ifd(_EXIF_IFD)
    details[_EXPOSURE] = IFDRational(1, int(pick(rng, (60, 125, 250, 500))))
    details[_APERTURE] = IFDRational(int(pick(rng, (18, 28, 40, 56))), 10)
    details[_ISO] = int(pick(rng, (100, 200, 400, 800)))
    details[_FOCAL_LENGTH] = IFDRational(focal, 1)
    if name.endswith(".jpg"):
        return _jpeg(image, quality, exif)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", exif=exif, compress_level=4)
    return buffer.getvalue()


def _quality(rng: np.random.Generator) -> int:
    return int(rng.integers(88, 97))


def _jpeg(image: Image.Image, quality: int, exif: Image.Exif) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling=0, exif=exif)
    return buffer.getvalue()
