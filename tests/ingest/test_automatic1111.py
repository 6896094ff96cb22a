from __future__ import annotations

import json
import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthscars.ingest.metadata.automatic1111 import parse
from synthscars.records import Generation

# One line of text without outer blanks, which the format cannot keep.
_LINE = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="<>"), max_size=40).map(
    str.strip
)
_TRICKY = st.sampled_from(
    (
        "a sign that says Steps: 3, Sampler: none",
        "the words Negative prompt: are painted on it",
        'quoted "Steps: 9, Seed: 4"',
        "{not json",
        "日本語のプロンプト, 猫",
        "🧑🏽‍🎨 with six fingers",
        "",
    )
)
_PROMPTS = (
    st.lists(st.one_of(_LINE, _TRICKY), max_size=4)
    .map("\n".join)
    .map(lambda text: text.strip("\n\0 "))
    .filter(lambda text: not any(_begins_a_part(line) for line in text.split("\n")))
    .map(str.strip)
)
_NAMES = (
    st.text(string.ascii_letters + string.digits + " +_-.", min_size=1, max_size=20)
    .map(str.strip)
    .filter(bool)
)
_VALUES = st.one_of(_NAMES, st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))


def _begins_a_part(line: str) -> bool:
    return line.lower().startswith(("negative prompt:", "template:", "negative template:", "steps:"))


def _quoted(value: str) -> str:
    """As the web UI writes a value: as it is, or as JSON where it would be misread."""
    plain = value.strip() == value and value[0] not in '"{[' and not any(mark in value for mark in ",:\n\r")
    return value if plain else json.dumps(value, ensure_ascii=False)


@st.composite
def _generations(draw: st.DrawFn) -> Generation:
    loras = tuple(dict.fromkeys(draw(st.lists(st.text(string.ascii_lowercase, min_size=1), max_size=2))))
    prompt = draw(_PROMPTS) + "".join(f"<lora:{name}:0.{index}>" for index, name in enumerate(loras))
    taken = {
        "Steps",
        "Sampler",
        "CFG scale",
        "Seed",
        "Size",
        "Model hash",
        "Model",
        "App",
        "Version",
        "SDCPP",
    }
    names = (
        st.text(string.ascii_letters + " /-", min_size=2, max_size=12)
        .map(str.strip)
        .filter(
            lambda name: (
                len(name) > 1 and name[0].isalpha() and name not in {*taken, "Scheduler", "Lora hashes"}
            )
        )
    )
    return Generation(
        tool="automatic1111",
        model=draw(_NAMES),
        model_hash=draw(st.text("0123456789abcdef", min_size=10, max_size=10)),
        prompt=prompt,
        negative_prompt=draw(_PROMPTS),
        seed=draw(st.integers(0, 2**64 - 1)),
        steps=draw(st.integers(1, 200)),
        sampler=draw(_NAMES),
        cfg_scale=draw(st.integers(0, 400)) / 8,
        width=draw(st.integers(8, 8192)),
        height=draw(st.integers(8, 8192)),
        loras=loras,
        parameters=draw(st.dictionaries(names, _VALUES, max_size=4)),
    )


def _text(generation: Generation) -> str:
    settings = {
        "Steps": str(generation.steps),
        "Sampler": generation.sampler,
        "CFG scale": f"{generation.cfg_scale:g}",
        "Seed": str(generation.seed),
        "Size": f"{generation.width}x{generation.height}",
        "Model hash": generation.model_hash,
        "Model": generation.model,
        **generation.parameters,
    }
    line = ", ".join(f"{key}: {_quoted(value)}" for key, value in settings.items())
    return f"{generation.prompt}\nNegative prompt: {generation.negative_prompt}\n{line}"


@given(_generations())
def test_what_was_composed_is_parsed_equal(generation: Generation) -> None:
    assert parse(_text(generation)) == generation


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_with_settings_below_is_parsed_without_loss_of_the_settings(text: str) -> None:
    found = parse(f"{text}\nSteps: 5, Sampler: Euler a, Seed: 6")
    assert found is not None
    assert (found.steps, found.sampler, found.seed) == (5, "Euler a", 6)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_read_without_an_error(text: str) -> None:
    parse(text)
    parse(f"Steps: {text}, Seed: {text}, Size: {text}, CFG scale: {text}\n{text}")


def test_a_text_of_the_web_ui_is_read() -> None:
    found = parse(
        "a cat <lora:fur:0.8>,\non a mat <lora:mat detail:1>\n"
        "Negative prompt: blurry,\nwatermark\n"
        "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 42, Size: 512x768, "
        'Model hash: 0123abcdef, Model: some_model, Lora hashes: "fur: 1a2b, other: 3c4d", '
        'ADetailer prompt: "face, \\"close\\"\\nup", Version: v1.9.4'
    )
    assert found == Generation(
        tool="automatic1111",
        model="some_model",
        model_hash="0123abcdef",
        prompt="a cat <lora:fur:0.8>,\non a mat <lora:mat detail:1>",
        negative_prompt="blurry,\nwatermark",
        seed=42,
        steps=20,
        sampler="DPM++ 2M",
        cfg_scale=6.5,
        width=512,
        height=768,
        loras=("fur", "mat detail", "other"),
        parameters={
            "Schedule type": "Karras",
            "Lora hashes": "fur: 1a2b, other: 3c4d",
            "ADetailer prompt": 'face, "close"\nup',
            "Version": "v1.9.4",
        },
    )


@pytest.mark.parametrize(
    ("settings", "tool"),
    [
        ("Version: v1.10.1", "automatic1111"),
        ("Version: f2.0.1v1.10.1-previous-224-g900196889", "forge"),
        ("App: SD.Next, Version: d7eb90e", "sdnext"),
        ("Version: stable-diffusion.cpp", "stable-diffusion.cpp"),
        ("Version: ComfyUI", "comfyui"),
        ("Version: Fooocus v2.5.5", "fooocus"),
        ("Clip skip: 2", "automatic1111"),
    ],
)
def test_the_tool_is_named_where_the_text_says_which(settings: str, tool: str) -> None:
    found = parse(f"a cat\nSteps: 20, Sampler: Euler, Seed: 1, {settings}")
    assert found is not None
    assert found.tool == tool


def test_malformed_values_stay_in_the_parameters() -> None:
    found = parse("a cat\nSteps: abc, Sampler: Euler, CFG scale: high, Seed: -1, Size: 12, Model: m")
    assert found is not None
    assert (found.steps, found.cfg_scale, found.seed, found.width, found.height) == (None,) * 5
    assert found.parameters == {"Steps": "abc", "CFG scale": "high", "Seed": "-1", "Size": "12"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Seed", str(2**64)),
        ("Seed", "1_000"),
        ("Seed", "٣"),
        ("Steps", "9" * 5000),
        ("CFG scale", "1e999"),
        ("CFG scale", "nan"),
        ("Size", "512x"),
    ],
)
def test_numbers_that_no_field_can_hold_stay_in_the_parameters(key: str, value: str) -> None:
    found = parse(f"a cat\nSteps: 5, Model: m, Sampler: Euler, {key}: {value}")
    assert found is not None
    # A second `Steps` gets a name of its own.
    assert value in found.parameters.values()


def test_a_json_value_with_commas_is_one_value() -> None:
    found = parse('a cat\nSteps: 5, Seed: 1, SDCPP: {"a": [1, 2], "b": "x, y: z"}, RNG: cuda')
    assert found is not None
    assert found.parameters == {"SDCPP": '{"a": [1, 2], "b": "x, y: z"}', "RNG": "cuda"}


def test_a_setting_that_stands_twice_is_kept_twice() -> None:
    found = parse("a cat\nSteps: 5, Seed: 1, TE: first, TE: second")
    assert found is not None
    assert found.parameters == {"TE": "first", "TE (2)": "second"}


def test_half_a_character_in_a_quoted_value_is_kept_as_it_was_spelled() -> None:
    found = parse('a cat\nSteps: 5, Seed: 1, Note: "a\\ud800, b"')
    assert found is not None
    assert found.parameters == {"Note": '"a\\ud800, b"'}


def test_the_last_settings_line_counts() -> None:
    found = parse(
        "copied: \nSteps: 1, Seed: 1, Size: 1x1\nNegative prompt: bad\nSteps: 2, Seed: 2, Size: 2x2"
    )
    assert found is not None
    assert (found.prompt, found.negative_prompt) == ("copied: \nSteps: 1, Seed: 1, Size: 1x1", "bad")
    assert (found.steps, found.seed, found.width) == (2, 2, 2)


def test_templates_above_or_below_the_settings_are_not_part_of_the_prompts() -> None:
    above = parse("a cat\nNegative prompt: bad\nTemplate: a {cat|dog},\nold\nSteps: 5, Seed: 1")
    below = parse(
        "a cat\nNegative prompt: bad\nSteps: 5, Seed: 1\n"
        "Template: a {cat|dog},\nold\nNegative Template: {bad}"
    )
    assert above is not None
    assert below is not None
    assert (above.prompt, above.negative_prompt) == (below.prompt, below.negative_prompt) == ("a cat", "bad")
    assert above.parameters == {"Template": "a {cat|dog},\nold"}
    assert below.parameters == {"Template": "a {cat|dog},\nold", "Negative template": "{bad}"}


def test_what_stands_below_the_settings_is_kept() -> None:
    found = parse("a cat\nSteps: 5, Seed: 1\nsomething else")
    assert found is not None
    assert found.parameters == {"below the settings": "something else"}


def test_a_text_without_settings_is_read_if_it_has_a_negative_prompt() -> None:
    assert parse("a cat\nNegative prompt: dog") == Generation(
        tool="automatic1111", prompt="a cat", negative_prompt="dog"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a photo of my holiday",
        '{"prompt": "a cat", "Steps:": 5}',
        "Steps: climb them, slowly",
        "Model: Canon EOS, Lens: 50mm",
    ],
)
def test_texts_of_others_are_left_to_other_readers(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize(
    ("settings", "sampler", "origin"),
    [
        ("Sampler: Euler a, Scheduler: ERSDEScheduler, App: SD.Next", "Euler a", None),
        ("Scheduler: FlowMatchEuler, App: SD.Next", "FlowMatchEuler", "Scheduler"),
        ("App: SD.Next", "Default", "left out, as SD.Next does for its default"),
        ("Version: v1.9.4", "", None),
    ],
)
def test_where_the_sampler_was_taken_from_is_said(settings: str, sampler: str, origin: str | None) -> None:
    found = parse(f"a cat\nSteps: 20, Seed: 1, {settings}")
    assert found is not None
    assert found.sampler == sampler
    assert found.parameters.get("sampler_from") == origin


def test_a_model_in_several_files_is_named_by_its_diffusion_part() -> None:
    found = parse("a cat\nSteps: 20, Seed: 1, Model: , Unet: flux.gguf, VAE: ae.sft")
    assert found is not None
    assert found.model == "flux.gguf"
    assert found.parameters == {"Model": "", "Unet": "flux.gguf", "VAE": "ae.sft", "model_from": "Unet"}


@pytest.mark.parametrize("pattern", ["a:[1,", 'a:"x,', 'a:{"a":1,', 'a:["x",', "a: ", ",", "<lora:", '"'])
def test_the_time_grows_with_the_length_of_a_hostile_text_not_with_its_square(pattern: str) -> None:
    text = "Steps: 1, Seed: 1, " + pattern * (400_000 // len(pattern))
    started = time.process_time()
    parse(text)
    assert (
        time.process_time() - started < 5
    )  # a tenth of that as it is, and half a minute if it were the square
