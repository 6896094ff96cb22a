import math
import re
import time
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from official import jpeg, retouched
from pictures import view
from PIL import Image

from synthscars.images import difference_hash, open_image, upright
from synthscars.lookalikes import MOST_NEAR, likeness, near_hashes, thumbnail


def _again(image: Image.Image, scale: float, quality: int) -> Image.Image:
    small = image.convert("RGB").resize((round(image.width * scale), round(image.height * scale)))
    return open_image(jpeg(small, quality))


def _bits(first: str, second: str) -> int:
    return (int(first, 16) ^ int(second, 16)).bit_count()


@given(st.lists(st.integers(0, 2**64 - 1), max_size=12), st.integers(0, 64))
def test_near_hashes_are_all_pairs_that_differ_by_so_few_bits(values: list[int], bits: int) -> None:
    hashes = [f"{value:016x}" for value in values]
    structured = [len(set(bytes.fromhex(text))) > 1 for text in hashes]
    expected = {
        (i, j)
        for i, j in combinations(range(len(hashes)), 2)
        if structured[i] and structured[j] and _bits(hashes[i], hashes[j]) <= bits
    }
    assert near_hashes(hashes, bits) == (sorted(expected), (0, 0))


def test_pairs_are_found_across_blocks_and_twelve_thousand_take_seconds() -> None:
    values = np.random.default_rng(0).integers(0, 2**64, 12_236, dtype=np.uint64)
    hashes = [f"{int(value):016x}" for value in values]
    hashes[12_000] = f"{int(values[3]) ^ 0b1011:016x}"
    begun = time.perf_counter()
    assert near_hashes(hashes).pairs == [(3, 12_000)]
    assert time.perf_counter() - begun < 30


def test_hashes_without_structure_and_nonsense_pair_with_nothing() -> None:
    hashes = ["0" * 16, "0" * 16, "ff" * 8, "0f" * 8, "0f" * 8, "", "xyz", "00"]
    assert near_hashes(hashes) == ([], (0, 0))


def test_of_very_many_equal_hashes_each_is_paired_with_a_few_and_all_hang_together() -> None:
    hashes = ["0123456789abcdef"] * 6000
    pairs, left_out = near_hashes(hashes)
    assert Counter(i for i, _ in pairs) == {i: min(MOST_NEAR, 5999 - i) for i in range(5999)}
    assert (len(pairs) + left_out[0], left_out[1]) == (math.comb(6000, 2), 0)
    assert {(i, i + 1) for i in range(5999)} <= set(pairs)


def test_the_nearest_are_chosen_among_too_many() -> None:
    hashes = [f"{0x0123456789ABCDEF ^ (1 << number % 64):016x}" for number in range(1000)]
    twin = hashes.index(hashes[0], 1)
    hashes[twin], hashes[999] = hashes[999], hashes[twin]
    assert (0, 999) in near_hashes(hashes).pairs


def test_pairs_of_two_kinds_are_not_crowded_out_by_those_of_one() -> None:
    hashes = ["0123456789abcdef"] * 500
    kinds = ["train"] * 400 + ["test"] * 100
    pairs, left_out = near_hashes(hashes, kinds=kinds)
    assert left_out[1] == 400 * (100 - MOST_NEAR)
    for i in range(0, 400, 40):
        assert [j for one, j in pairs if one == i and j >= 400] == list(range(400, 400 + MOST_NEAR))
        assert sum(one == i and j < 400 for one, j in pairs) == min(MOST_NEAR, 399 - i)


@pytest.mark.parametrize("scale", [1, 0.5, 1.4])
@pytest.mark.parametrize("quality", [50, 90])
def test_a_picture_encoded_and_scaled_anew_is_the_same(scale: float, quality: int) -> None:
    for seed in range(8):
        original = view(seed, 480, 320)
        again = _again(original, scale, quality)
        assert likeness(thumbnail(original), thumbnail(again)) == "same"
        assert _bits(difference_hash(original), difference_hash(again)) <= 10


def test_a_retouched_picture_is_near_and_another_one_is_neither() -> None:
    assert likeness(thumbnail(view(1)), thumbnail(retouched(view(1)))) == "near"
    assert likeness(thumbnail(view(1)), thumbnail(view(2))) == ""
    assert likeness(thumbnail(view(1)), thumbnail(view(1).transpose(Image.Transpose.FLIP_LEFT_RIGHT))) == ""


def test_nothing_is_said_of_plain_pictures() -> None:
    plain = [thumbnail(Image.new("RGB", (40, 30), colour)) for colour in ("white", "white", "#fefefe")]
    assert {likeness(first, second) for first, second in combinations(plain, 2)} == {""}


def test_what_is_transparent_counts_as_white() -> None:
    shown = view(3).convert("RGBA")
    shown.putalpha(0)
    assert thumbnail(shown).min() == 255


_FOLDERS = {"apple", "comfyui", "mflux", "photographs", "sdcpp", "sdnext"}


def _short(path: Path) -> str:
    astronaut = re.search(r"a_(dragon|horse)_.*computeUnit_(.*)_modelVersion", path.stem)
    return f"{astronaut[2]} {astronaut[1]}" if astronaut else path.stem.rpartition("--")[2]


def test_real_generations_look_alike_only_within_their_family(shared_data: Path) -> None:
    paths = [path for path in sorted(shared_data.rglob("*")) if path.parent.name in _FOLDERS]
    assert len(paths) == 265
    pictures = [upright(open_image(path.read_bytes())) for path in paths]
    small = [thumbnail(picture) for picture in pictures]
    found: dict[str, set[tuple[str, str]]] = {"same": set(), "near": set(), "": set()}
    for i, j in near_hashes([difference_hash(picture) for picture in pictures]).pairs:
        found[likeness(small[i], small[j])].add((_short(paths[i]), _short(paths[j])))
    # Equal pixels; one prompt and seed on other hardware.
    assert found["same"] == {("LongCat-Image-Edit", "LongCat-Image"), ("ALL dragon", "CPU_AND_NE dragon")}
    # One prompt and seed: other hardware, distilled, another precision; the last is an edit of the first.
    assert found["near"] == {
        ("ALL horse", "CPU_AND_NE horse"),
        ("HunyuanDiT-v1.2-Diffusers-Distilled", "HunyuanDiT-v1.2-Diffusers"),
        ("z_image__bf16", "z_image__q8_0"),
        ("z_image__bf16", "z_image__q6_K"),
        ("Qwen-Image-Layered-SDNQ-uint4-svd-r32", "Qwen-Image-Layered"),
        ("flux__flux1-dev-q8_0", "qwen__qwen_image_edit_2511"),
    }
    assert len(found[""]) > 100
