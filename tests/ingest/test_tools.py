"""Readers for tools that write their settings as JSON, or nearly so."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthscars.ingest.metadata import READERS, read_generation
from synthscars.ingest.metadata.fields import LARGEST_SEED, number_of, text_of, whole_of
from synthscars.records import Generation


def read(chunks: dict[str, Any]) -> Generation:
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in chunks.items()}
    found = read_generation(texts)
    assert found is not None
    assert found.raw == texts
    return msgspec.structs.replace(found, raw={})


def test_invokeai_from_version_3_on() -> None:
    values = {
        "positive_prompt": "a cat",
        "negative_prompt": "dog",
        "width": 1024,
        "height": 768,
        "seed": 7,
        "cfg_scale": 8.0,
        "steps": 35,
        "scheduler": "euler",
        "model": {"name": "juggernaut", "hash": "blake3:12", "base": "sdxl"},
        "loras": [{"lora": {"model_name": "old"}, "weight": 1}, {"model": {"name": "new"}, "weight": 1}],
        "clip_skip": 0,
    }
    assert read({"invokeai_metadata": values}) == Generation(
        tool="invokeai",
        model="juggernaut",
        model_hash="blake3:12",
        prompt="a cat",
        negative_prompt="dog",
        seed=7,
        steps=35,
        sampler="euler",
        cfg_scale=8.0,
        width=1024,
        height=768,
        loras=("old", "new"),
        parameters={"clip_skip": "0"},
    )


_DREAM = '"a "quoted" cat [dog] on a mat [blurry]" -s 50 -S 7 -W 512 -H 768 -C 7.5 -A k_lms -G 0.9'


@pytest.mark.parametrize("prompt", ["a cat [dog]", [{"prompt": "a cat [dog]", "weight": 1.0}]])
def test_invokeai_of_version_2(prompt: Any) -> None:
    image = {"prompt": prompt, "steps": 50, "cfg_scale": 5, "height": 768, "width": 512, "seed": 7}
    values = {"model_weights": "deliberate", "model_hash": "56d1", "image": image | {"sampler": "k_lms"}}
    assert read({"sd-metadata": values, "Dream": _DREAM}) == Generation(
        tool="invokeai",
        model="deliberate",
        model_hash="56d1",
        prompt="a cat",
        negative_prompt="dog",
        seed=7,
        steps=50,
        sampler="k_lms",
        cfg_scale=5.0,
        width=512,
        height=768,
    )


def test_the_command_line_of_invokeai_s_first_version() -> None:
    assert read({"Dream": _DREAM}) == Generation(
        tool="invokeai",
        prompt='a "quoted" cat  on a mat',
        negative_prompt="dog, blurry",
        seed=7,
        steps=50,
        sampler="k_lms",
        cfg_scale=7.5,
        width=512,
        height=768,
    )
    spaced = read({"Dream": '"a cat" -s 50 -A k_lms -S 7'})
    assert read({"Dream": '"a cat" -s50 -mk_lms -I"my file.png" -S7'}) == spaced


@pytest.mark.parametrize("place", ["parameters", "exif:UserComment"])
def test_fooocus_in_its_own_scheme(place: str) -> None:
    values = {
        "metadata_scheme": "fooocus",
        "prompt": "a goldfish",
        "negative_prompt": "",
        "prompt_expansion": "a goldfish, sharp",
        "base_model": "juggernaut",
        "base_model_hash": "aeb7",
        "guidance_scale": 4,
        "resolution": "(768, 1280)",
        "sampler": "dpmpp_2m",
        "seed": "6952411511246973023",
        "steps": 30,
        "loras": [["style", 0.5, "12ab"]],
    }
    assert read({place: values, "fooocus_scheme": "fooocus"}) == Generation(
        tool="fooocus",
        model="juggernaut",
        model_hash="aeb7",
        prompt="a goldfish",
        seed=6952411511246973023,
        steps=30,
        sampler="dpmpp_2m",
        cfg_scale=4.0,
        width=768,
        height=1280,
        loras=("style",),
        parameters={"metadata_scheme": "fooocus", "prompt_expansion": "a goldfish, sharp"},
    )


def test_novelai() -> None:
    comment = {"steps": 50, "sampler": "k_euler", "seed": 7, "strength": 0.4, "scale": 10.0, "uc": "lowres"}
    beside = {"Software": "NovelAI", "Source": "Stable Diffusion 1D44365E", "Description": "a cat"}
    expected = Generation(
        tool="novelai",
        model="Stable Diffusion 1D44365E",
        prompt="a cat",
        negative_prompt="lowres",
        seed=7,
        steps=50,
        sampler="k_euler",
        cfg_scale=10.0,
        parameters={"strength": "0.4"},
    )
    assert read({**beside, "Comment": comment}) == expected
    assert read({**beside, "Description": "cut", "Comment": comment | {"prompt": "a cat"}}) == expected
    assert read({"Comment": comment}) == Generation()
    webp = {**beside, "Comment": json.dumps(comment)}
    assert read({"exif:UserComment": webp}) == expected
    characters = [{"char_caption": "a mouse", "centers": [{"x": 0.5, "y": 0.5}]}, {"char_caption": "a dog"}]
    fourth = comment | {"prompt": "a cat", "v4_prompt": {"caption": {"char_captions": characters}}}
    found = read({**beside, "Comment": fourth | {"v4_negative_prompt": {"caption": {"char_captions": None}}}})
    assert (found.prompt, found.negative_prompt) == ("a cat\na mouse\na dog", "lowres")


def test_mflux_without_the_folders_of_who_used_it() -> None:
    values = {
        "mflux_version": "0.16.9",
        "model": "Qwen/Qwen-Image",
        "seed": 42,
        "steps": 4,
        "guidance": 4.0,
        "height": 336,
        "width": 768,
        "lora_paths": ["/Users/ada/loras/fast.safetensors", "C:\\loras\\style.safetensors"],
        "lora_scales": [1.0, 0.5],
        "image_path": "/Users/ada/me.png",
        "image_paths": ["/Users/ada/me.png"],
        "controlnet_image_path": None,
        "prompt": "a burger",
        "negative_prompt": "ugly",
    }
    found = read({"exif:UserComment": values})
    assert found == Generation(
        tool="mflux",
        model="Qwen/Qwen-Image",
        prompt="a burger",
        negative_prompt="ugly",
        seed=42,
        steps=4,
        cfg_scale=4.0,
        width=768,
        height=336,
        loras=("fast.safetensors", "style.safetensors"),
        parameters={"mflux_version": "0.16.9", "lora_scales": "[1.0, 0.5]"},
    )
    assert b"ada" not in msgspec.json.encode(found)


@pytest.mark.parametrize(
    ("value", "whole", "number"),
    [
        (7, 7, 7.0),
        ("7", 7, 7.0),
        (7.0, 7, 7.0),
        ("7.5", None, 7.5),
        (0, 0, 0.0),
        (-1, None, -1.0),
        (True, None, None),
        (float("inf"), None, None),
        (float("nan"), None, None),
        ("nan", None, None),
        ("1_000", None, None),
        ("٧", None, None),
        (10**400, None, None),
        ("9" * 5_000, None, None),
        (None, None, None),
        ([7], None, None),
    ],
)
def test_numbers_are_those_that_fit(value: Any, whole: int | None, number: float | None) -> None:
    assert (whole_of(value), number_of(value)) == (whole, number)


def test_seeds_have_64_bits() -> None:
    assert whole_of(LARGEST_SEED, LARGEST_SEED) == whole_of(str(LARGEST_SEED), LARGEST_SEED) == LARGEST_SEED
    assert whole_of(LARGEST_SEED + 1, LARGEST_SEED) is None


@pytest.mark.parametrize("depth", range(960, 1010, 5))
def test_settings_of_any_depth_are_read_or_left(depth: int) -> None:
    deep = "[" * depth + "]" * depth
    for place in ("Comment", "invokeai_metadata", "exif:UserComment", "parameters", "prompt"):
        told = f'{{"metadata_scheme": "fooocus", "mflux_version": "1", "loras": 1, "deep": {deep}}}'
        read_generation({place: told, "Software": "NovelAI"})


@given(st.text())
def test_texts_can_be_stored(text: str) -> None:
    assert text_of(text + "\udc00").encode().decode().startswith(text.strip()[:3])


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_SETTINGS = st.dictionaries(
    st.sampled_from(
        [
            "prompt",
            "positive_prompt",
            "seed",
            "steps",
            "model",
            "loras",
            "lora_paths",
            "image",
            "model_weights",
            "resolution",
            "scale",
            "cfg_scale",
            "width",
            "sampler",
            "scheduler",
            "base_model",
            "image_path",
        ]
    ),
    _JSON,
)
_PLACES = ["invokeai_metadata", "sd-metadata", "parameters", "exif:UserComment", "Comment", "prompt"]


@given(
    st.sampled_from(_PLACES),
    _SETTINGS.map(lambda values: {"metadata_scheme": "fooocus", "mflux_version": "1", **values}) | _JSON,
)
def test_no_settings_raise_and_all_that_is_read_can_be_stored(place: str, values: Any) -> None:
    chunks = {place: json.dumps(values), "Software": "NovelAI"}
    for reader in READERS:
        found = reader(chunks)
        if found is not None:
            assert msgspec.json.decode(msgspec.json.encode(found), type=Generation) == found
