import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from synthscars.metrics import PERTURBATIONS, perturb
from synthscars.problems import UsageError


def picture(width: int = 61, height: int = 47, seed: int = 0, mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def test_there_are_the_nine_of_the_paper() -> None:
    assert list(PERTURBATIONS) == [
        *("jpeg-50", "jpeg-35", "jpeg-20"),
        *("noise-0.1", "noise-0.2", "noise-0.3"),
        *("blur-5", "blur-9", "blur-15"),
    ]
    with pytest.raises(UsageError, match="jpeg-51"):
        perturb(picture(), "jpeg-51")


@pytest.mark.parametrize("name", PERTURBATIONS)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
def test_they_keep_the_size_and_leave_the_picture_alone(name: str, mode: str) -> None:
    image = picture(mode=mode)
    before = image.tobytes()
    found = perturb(image, name)
    assert (found.size, found.mode) == (image.size, "RGB")
    assert image.tobytes() == before
    assert found.tobytes() != image.convert("RGB").tobytes()


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_the_same_seed_gives_the_same_picture_and_only_noise_needs_one(name: str) -> None:
    image = picture()
    assert perturb(image, name, seed=1).tobytes() == perturb(image, name, seed=1).tobytes()
    assert (perturb(image, name, seed=2).tobytes() != perturb(image, name, seed=1).tobytes()) == (
        "noise" in name
    )


@pytest.mark.parametrize("kernel", [5, 9, 15])
@given(st.integers(1, 40), st.integers(1, 40))
def test_blur_is_that_of_opencv(kernel: int, width: int, height: int) -> None:
    cv2 = pytest.importorskip("cv2")
    image = picture(width, height)
    expected = cv2.GaussianBlur(np.asarray(image).astype(np.float32), (kernel, kernel), sigmaX=0)
    found = np.asarray(perturb(image, f"blur-{kernel}"), dtype=np.float32)
    assert np.abs(found - expected).max() <= 0.51


def test_jpeg_is_that_of_pillow() -> None:
    image, buffer = picture(), io.BytesIO()
    image.save(buffer, "JPEG", quality=35)
    assert perturb(image, "jpeg-35").tobytes() == Image.open(buffer).convert("RGB").tobytes()


@pytest.mark.parametrize("sigma", [0.1, 0.2, 0.3])
def test_noise_has_its_deviation_where_nothing_is_cut_off(sigma: float) -> None:
    grey = Image.new("RGB", (200, 200), (128, 128, 128))
    difference = np.asarray(perturb(grey, f"noise-{sigma}", seed=3), dtype=float) / 255 - 128 / 255
    inside = np.abs(difference) < 0.49
    drawn = np.random.default_rng(5).normal(0, sigma, 10**6)
    assert difference[inside].std() == pytest.approx(drawn[np.abs(drawn) < 0.49].std(), rel=0.02)
    assert np.asarray(perturb(grey, f"noise-{sigma}", seed=3)).min() >= 0
