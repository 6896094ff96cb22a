"""The nine perturbations of LEGION's robustness table (arXiv 2503.15264, section 5), by name.

JPEG of quality 50, 35, 20; Gaussian noise of standard deviation 0.1, 0.2, 0.3 where pixels are 0 to 1;
Gaussian blur with a kernel of 5, 9, 15 pixels, with the weights that OpenCV takes where, as in the published
code, no standard deviation is given. All keep the size of the image, so masks stay where they are.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import numpy.typing as npt
from PIL import Image

from synthscars.problems import UsageError


def jpeg(image: Image.Image, quality: int, seed: int = 0) -> Image.Image:
    """The image after it was saved as JPEG (Pillow, 4:2:0). The seed changes nothing."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as saved:
        return saved.convert("RGB")


def noise(image: Image.Image, sigma: float, seed: int = 0) -> Image.Image:
    """Gaussian noise added to each value of each pixel, of standard deviation `sigma` on [0, 1]."""
    pixels = np.asarray(image.convert("RGB"), dtype=np.float32) / 255
    drawn = np.random.default_rng(seed).standard_normal(pixels.shape, dtype=np.float32)
    return _image(255 * (pixels + np.float32(sigma) * drawn))


def blur(image: Image.Image, kernel: int, seed: int = 0) -> Image.Image:
    """Gaussian blur over `kernel` x `kernel` pixels; beyond its edge the image is mirrored, without the edge.

    The seed changes nothing.
    """
    weights = _weights(kernel)
    pixels = np.asarray(image.convert("RGB"), dtype=np.float32)
    for axis in (0, 1):
        widths = [(kernel // 2, kernel // 2) if each == axis else (0, 0) for each in range(3)]
        padded = np.pad(pixels, widths, mode="reflect") if pixels.shape[axis] > 1 else pixels
        if padded is pixels:
            continue
        length = pixels.shape[axis]
        parts = (np.take(padded, range(start, start + length), axis=axis) for start in range(kernel))
        pixels = sum((w * part for w, part in zip(weights, parts, strict=True)), np.zeros_like(pixels))
    return _image(pixels)


_SMALL = {5: (16, 64, 96, 64, 16), 9: (4, 13, 30, 51, 60, 51, 30, 13, 4)}
"""Small kernels, which OpenCV has in whole 256ths."""


def _weights(kernel: int) -> npt.NDArray[np.float32]:
    """The weights of a kernel: Gaussian of deviation 0.3 ((k - 1) / 2 - 1) + 0.8, but for the small ones."""
    offsets = np.arange(kernel) - (kernel - 1) / 2
    weights = np.exp(-(offsets**2) / (2 * (0.3 * ((kernel - 1) / 2 - 1) + 0.8) ** 2))
    weights = np.asarray(_SMALL.get(kernel, weights), dtype=np.float64)
    return np.asarray(weights / weights.sum(), dtype=np.float32)


def _image(values: npt.NDArray[np.float32]) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


Perturbation = Callable[..., Image.Image]

PERTURBATIONS: Mapping[str, Perturbation] = {
    **{f"jpeg-{quality}": partial(jpeg, quality=quality) for quality in (50, 35, 20)},
    **{f"noise-{sigma}": partial(noise, sigma=sigma) for sigma in (0.1, 0.2, 0.3)},
    **{f"blur-{kernel}": partial(blur, kernel=kernel) for kernel in (5, 9, 15)},
}
"""Name → function of an image and `seed`."""


def perturb(image: Image.Image, name: str, seed: int = 0) -> Image.Image:
    """The image (RGB, same size) after the perturbation of that name; the image given is left alone.

    seed: of the noise; give each image its own. Raises `UsageError` if there is none of that name.
    """
    if name not in PERTURBATIONS:
        raise UsageError(f"there is no perturbation {name[:60]}", fix=f"there are {', '.join(PERTURBATIONS)}")
    return PERTURBATIONS[name](image, seed=seed)
