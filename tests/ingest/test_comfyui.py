"""What is read out of ComfyUI's graphs: worked examples of every way to sample, and graphs of nobody."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthscars.ingest.metadata import comfyui, read_generation
from synthscars.records import Generation

Graph = dict[str, Any]


def node(kind: str, **inputs: Any) -> Graph:
    return {"class_type": kind, "inputs": inputs}


def read(graph: Graph) -> Generation:
    found = comfyui.read({"prompt": json.dumps(graph)})
    assert found is not None
    return found


PLAIN: Graph = {
    "3": node(
        "KSampler",
        seed=7,
        steps=20,
        cfg=8.0,
        sampler_name="euler",
        scheduler="normal",
        denoise=1.0,
        model=["4", 0],
        positive=["6", 0],
        negative=["7", 0],
        latent_image=["5", 0],
    ),
    "4": node("CheckpointLoaderSimple", ckpt_name="sd15.safetensors"),
    "5": node("EmptyLatentImage", width=512, height=768, batch_size=1),
    "6": node("CLIPTextEncode", text=" a cat\n", clip=["4", 1]),
    "7": node("CLIPTextEncode", text="blurry", clip=["4", 1]),
    "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
    "9": node("SaveImage", filename_prefix="ComfyUI", images=["8", 0]),
}


def test_the_settings_of_the_sampler_and_of_what_it_is_linked_to() -> None:
    assert read(PLAIN) == Generation(
        tool="comfyui",
        model="sd15.safetensors",
        prompt="a cat",
        negative_prompt="blurry",
        seed=7,
        steps=20,
        sampler="euler",
        cfg_scale=8.0,
        width=512,
        height=768,
        parameters={"scheduler": "normal", "denoise": "1.0"},
    )


def test_other_files_have_the_graph_in_their_exif_block() -> None:
    graph = json.dumps(PLAIN)
    for chunks in (
        {"exif:Model": f"prompt:{graph}", "exif:Make": "workflow:{}"},
        {"exif:Make": f"Prompt:{graph}", "exif:ImageDescription": "Workflow:{}", "prompt": "no graph"},
    ):
        found = read_generation(chunks)
        assert found is not None
        assert (found.tool, found.prompt) == ("comfyui", "a cat")


def test_the_first_pass_made_the_picture_and_a_second_refines_it() -> None:
    second = {
        **PLAIN["3"]["inputs"],
        "seed": 8,
        "steps": 14,
        "denoise": 0.5,
        "latent_image": ["10", 0],
    }
    graph = {
        "11": node("KSampler", **second),
        **PLAIN,
        "10": node("LatentUpscale", samples=["3", 0], width=1024, height=1536),
        "8": node("VAEDecode", samples=["11", 0]),
    }
    found = read(graph)
    assert (found.seed, found.steps, found.width, found.height) == (7, 20, 512, 768)
    assert found.parameters["samplers"] == "2"


def test_what_leads_to_no_saved_image_does_not_count() -> None:
    loose = {**PLAIN["3"]["inputs"], "seed": 99}
    preview = {"20": node("KSampler", **loose), "21": node("PreviewImage", images=["20", 0])}
    assert read({**preview, **PLAIN}).seed == 7
    shown = {name: each for name, each in PLAIN.items() if name != "9"}
    preview["21"] = node("PreviewImage", images=["8", 0])
    assert read({**preview, **shown}).seed == 7


def test_where_nothing_that_is_saved_was_sampled_the_others_count() -> None:
    control = {"21": node("SaveImage", images=["22", 0]), "22": node("LoadImage", image="pose.png")}
    assert read({**PLAIN, "9": node("VHS_VideoCombine", images=["8", 0]), **control}).seed == 7


def test_settings_that_stand_in_nodes_of_their_own() -> None:
    graph = {
        "1": node(
            "SamplerCustomAdvanced",
            noise=["2", 0],
            guider=["3", 0],
            sampler=["4", 0],
            sigmas=["5", 0],
            latent_image=["6", 0],
        ),
        "2": node("RandomNoise", noise_seed=["12", 0]),
        "3": node("BasicGuider", model=["7", 0], conditioning=["8", 0]),
        "4": node("KSamplerSelect", sampler_name="euler"),
        "5": node("SplitSigmas", sigmas=["13", 0], step=10),
        "6": node("EmptySD3LatentImage", width=["14", 0], height=1024, batch_size=1),
        "7": node("LoraLoaderModelOnly", lora_name="style.safetensors", strength_model=0.8, model=["9", 0]),
        "8": node("FluxGuidance", guidance=3.5, conditioning=["10", 0]),
        "9": node("UNETLoader", unet_name="flux1-dev.safetensors"),
        "10": node("CLIPTextEncodeFlux", clip_l="a cat", t5xxl=["11", 0]),
        "11": node("StringConstant", string="a cat on a mat"),
        "12": node("PrimitiveInt", value=2**63),
        "13": node("BasicScheduler", scheduler="simple", steps=28, denoise=1.0, model=["9", 0]),
        "14": node("PrimitiveInt", value=768),
        "15": node("SaveImage", images=["1", 0]),
    }
    assert read(graph) == Generation(
        tool="comfyui",
        model="flux1-dev.safetensors",
        prompt="a cat\na cat on a mat",
        seed=2**63,
        steps=28,
        sampler="euler",
        width=768,
        height=1024,
        loras=("style.safetensors",),
        parameters={"scheduler": "simple", "denoise": "1.0", "guidance": "3.5"},
    )


def test_prompts_of_parts_of_the_picture_are_told_in_their_order_and_once() -> None:
    graph = {
        **PLAIN,
        "6": node("ConditioningCombine", conditioning_1=["30", 0], conditioning_2=["33", 0]),
        "30": node("GLIGENTextBoxApply", text="the sun", x=1, conditioning_to=["31", 0]),
        "31": node("CLIPTextEncode", text="a valley"),
        "33": node("ConditioningSetArea", width=64, conditioning=["34", 0]),
        "34": node("CLIPTextEncode", text="a river"),
        "35": node("CLIPTextEncode", text="nobody asks for this"),
        "7": node("ConditioningZeroOut", conditioning=["35", 0]),
    }
    found = read(graph)
    assert found.prompt == "a valley\nthe sun\na river"
    assert found.negative_prompt == ""


@pytest.mark.parametrize("side", ["positive", "negative"])
def test_nodes_that_both_prompts_go_through_do_not_mix_them(side: str) -> None:
    inputs = {**PLAIN["3"]["inputs"], "positive": ["40", 0], "negative": ["40", 1]}
    control = node("ControlNetApplyAdvanced", strength=1.0, positive=["6", 0], negative=["7", 0])
    loader = node("Efficient Loader", positive="a cat", negative="blurry", ckpt_name="sd15.safetensors")
    for between in (control, loader):
        found = read({**PLAIN, "3": node("KSampler", **inputs), "40": between})
        assert (found.prompt, found.negative_prompt) == ("a cat", "blurry")


ENCODERS: dict[str, Graph] = {
    "a text that is put together": node("CLIPTextEncode", text=["60", 0]),
    "several encoders": node("CLIPTextEncodeSD3", clip_l="a cat", clip_g="on a mat", t5xxl="a cat"),
    "both sides in one node": node("Both", prompt="a cat\non a mat", negative_prompt="blurry"),
    "wildcards": node("ImpactWildcardEncode", wildcard_text="__it__", populated_text="a cat\non a mat"),
}


@pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS.keys())
def test_texts_of_every_encoder(encoder: Graph) -> None:
    graph = {
        **PLAIN,
        "6": encoder,
        "60": node("StringConcatenate", string_a="a cat", string_b=["61", 0], delimiter=" "),
        "61": node("PrimitiveString", value="on a mat"),
    }
    assert read(graph).prompt == "a cat\non a mat"
    sampler = {**PLAIN["3"]["inputs"], "negative": ["6", 0]}
    graph["3"] = node("KSampler", **sampler)
    tagged = "negative_prompt" in encoder["inputs"]
    assert read(graph).negative_prompt == ("blurry" if tagged else "a cat\non a mat")


def test_a_guider_may_take_several_conditionings() -> None:
    guider = {"cond1": ["6", 0], "cond2": ["7", 0], "negative": ["7", 0], "cfg_conds": 4.0}
    graph = {
        **PLAIN,
        "3": node("SamplerCustomAdvanced", noise=["70", 0], guider=["71", 0], latent_image=["5", 0]),
        "70": node("RandomNoise", noise_seed=7),
        "71": node("DualCFGGuider", model=["4", 0], **guider),
    }
    found = read(graph)
    assert (found.prompt, found.negative_prompt, found.cfg_scale) == ("a cat", "blurry", 4.0)


def test_pipes_carry_model_and_conditioning() -> None:
    pipe = node("ToBasicPipe", model=["4", 0], positive=["6", 0], negative=["7", 0])
    sampler = node("ImpactKSamplerBasicPipe", basic_pipe=["80", 0], seed=7, steps=20, latent_image=["5", 0])
    video = node("WanVideoSampler", model=["4", 0], text_embeds=["81", 0], seed=7, steps=20)
    embeds = node("WanVideoTextEncode", positive_prompt="a cat", negative_prompt="blurry")
    for each in (sampler, video):
        found = read({**PLAIN, "3": each, "80": pipe, "81": embeds})
        assert (found.model, found.seed, found.steps) == ("sd15.safetensors", 7, 20)
        assert (found.prompt, found.negative_prompt) == ("a cat", "blurry")


def test_values_are_followed_from_node_to_node_and_a_seed_is_no_other_number() -> None:
    settings = node(
        "Input Parameters", seed=["91", 0], steps=["92", 0], sampler="euler", sampler_name=["3", 0]
    )
    graph = {
        "90": settings,
        **PLAIN,
        "3": node(
            "KSampler",
            **{**PLAIN["3"]["inputs"], "seed": ["90", 0], "steps": ["92", 0], "sampler_name": ["93", 0]},
        ),
        "4": node("CheckpointLoaderSimple", ckpt_name=["94", 0]),
        "91": node("Seed (rgthree)", seed=7),
        "92": node("Random Number", minimum=20, maximum=30, seed=123456),
        "93": node("Sampler Selector", sampler="euler"),
        "94": node("PrimitiveString", value="sd15.safetensors"),
    }
    found = read(graph)
    assert (found.seed, found.steps, found.sampler, found.model) == (7, None, "euler", "sd15.safetensors")
    assert "samplers" not in found.parameters  # the node of settings samples nothing


def test_loras_are_those_that_are_used() -> None:
    loaders = {
        "100": node("Efficient Loader", lora_name="None", model=["101", 0]),
        "101": node(
            "Power Lora Loader (rgthree)",
            lora_1={"on": True, "lora": "a.safetensors", "strength": 1},
            lora_2={"on": False, "lora": "b.safetensors", "strength": 1},
            model=["102", 0],
        ),
        "102": node("Lora Loader Stack", lora_01="c.safetensors", lora_02="None", model=["103", 0]),
        "103": node("ADE_AnimateDiffLoader", model_name="motion.ckpt", model=["4", 0]),
    }
    sampler = node("KSampler", **{**PLAIN["3"]["inputs"], "model": ["100", 0]})
    found = read({**PLAIN, **loaders, "3": sampler})
    assert (found.model, found.loras) == ("sd15.safetensors", ("a.safetensors", "c.safetensors"))


def test_loras_beyond_the_count_of_a_stack_or_switched_off_are_not_used() -> None:
    names = {f"lora_name_{number}": f"{number}.safetensors" for number in (1, 2, 3)}
    stack = node("LoRA Stacker", input_mode="simple", lora_count=2, lora_stack=["102", 0], **names)
    switched = node(
        "CR LoRA Stack",
        switch_1="Off",
        lora_name_1="a",
        switch_2="On",
        lora_name_2="b",
        lora_stack=["103", 0],
    )
    easy = {"num_loras": 1, "lora_1_name": "d", "lora_2_name": "e"}
    loader = node("Efficient Loader", ckpt_name="m", lora_name="c", lora_stack=["101", 0])
    graph = PLAIN | {
        "4": loader,
        "101": stack,
        "102": switched,
        "103": node("easy loraStack", toggle=True, optional_lora_stack=["104", 0], **easy),
        "104": node("easy loraStack", toggle=False, num_loras=1, lora_1_name="f"),
    }
    assert read(graph).loras == ("c", "1.safetensors", "2.safetensors", "b", "d")


@pytest.mark.parametrize("select", [2, "2", ["203", 0]])
def test_of_what_a_switch_gets_only_what_it_selects_made_the_picture(select: object) -> None:
    graph = PLAIN | {
        "3": PLAIN["3"] | {"inputs": PLAIN["3"]["inputs"] | {"model": ["200", 0], "positive": ["201", 0]}},
        "200": node("ImpactSwitch", select=select, input1=["4", 0], input2=["202", 0], sel_mode=False),
        "201": node("ImpactSwitch", select=select, input1=["6", 0], input2=["204", 0]),
        "202": node("CheckpointLoaderSimple", ckpt_name="xl.safetensors"),
        "203": node("PrimitiveInt", value=2),
        "204": node("ImpactSwitch", select=1, input1=["205", 0]),
        "205": node("CLIPTextEncode", text="a dog", clip=["202", 1]),
    }
    found = read(graph)
    assert (found.model, found.prompt, found.negative_prompt) == ("xl.safetensors", "a dog", "blurry")


def test_a_long_way_through_switches_ends_where_they_end() -> None:
    switches = {
        f"s{number}": node("ImpactSwitch", select=1, input1=[f"s{number + 1}", 0]) for number in range(5_000)
    }
    graph = PLAIN | switches | {"s5000": node("CheckpointLoaderSimple", ckpt_name="far.safetensors")}
    graph["3"] = PLAIN["3"] | {"inputs": PLAIN["3"]["inputs"] | {"model": ["s0", 0]}}
    assert read(graph).model == "far.safetensors"


@pytest.mark.parametrize("select", [0, 3, -1, None, True, "x", ["9", 0], ["300", 0], [[], 0]])
def test_a_switch_that_selects_nothing_or_itself_hides_nothing_else(select: object) -> None:
    switch = node("ImpactSwitch", select=select, input1=["300", 0], input2=["300", 0])
    sampler = PLAIN["3"] | {"inputs": PLAIN["3"]["inputs"] | {"model": ["300", 0]}}
    found = read(PLAIN | {"3": sampler, "300": switch})
    assert (found.model, found.prompt, found.seed) == ("", "a cat", 7)
    around = node("ImpactSwitch", select=1, input1=["300", 0])
    assert read(PLAIN | {"3": sampler, "300": around}).seed == 7


def test_models_that_were_merged_are_all_named() -> None:
    graph = {
        **PLAIN,
        "3": node("KSampler", **{**PLAIN["3"]["inputs"], "model": ["50", 0]}),
        "50": node("ModelMergeSimple", model1=["4", 0], model2=["51", 0], ratio=0.5),
        "51": node("CheckpointLoaderSimple", ckpt_name="anime.ckpt"),
    }
    assert read(graph).model == "sd15.safetensors + anime.ckpt"


def test_values_that_do_not_fit_their_field_are_kept_as_they_are() -> None:
    odd = {"seed": -1, "steps": "many", "cfg": float("nan"), "sampler_name": "\ud800"}
    found = read({**PLAIN, "3": node("KSampler", **{**PLAIN["3"]["inputs"], **odd})})
    assert (found.seed, found.steps, found.cfg_scale, found.sampler) == (None, None, None, "?")
    assert {name: found.parameters[name] for name in ("seed", "steps", "cfg")} == {
        "seed": "-1",
        "steps": "many",
        "cfg": "NaN",
    }


def test_a_graph_without_a_sampler_names_the_tool_alone() -> None:
    assert read({"1": node("LoadImage", image="a.png")}) == Generation(tool="comfyui")


@pytest.mark.parametrize(
    "text", ["a cat", "", "[]", "{}", '{"1": 2}', '{"1": {"class_type": 3, "inputs": {}}}', "{"]
)
def test_a_prompt_that_is_no_graph_is_not_read(text: str) -> None:
    assert comfyui.read({"prompt": text}) is None


def test_graphs_may_be_deep_and_may_go_in_circles() -> None:
    chain = {str(n): node("Reroute", samples=[str(n + 1), 0], model=[str(n + 1), 0]) for n in range(20_000)}
    last = {"20000": PLAIN["3"], "out": node("SaveImage", images=["0", 0])}
    assert read({**PLAIN, "9": node("Reroute"), **chain, **last}).seed == 7
    circle = {**PLAIN, "4": node("Reroute", model=["3", 0], samples=["9", 0]), "6": node("A", text=["6", 0])}
    assert read(circle).seed == 7


_NAMES = st.sampled_from(["1", "2", "3", "4", "positive", "text", "seed"])
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
_VALUES = st.recursive(
    _LEAVES | st.tuples(_NAMES, st.integers(0, 2)).map(list),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=6,
)
_INPUTS = st.dictionaries(
    st.sampled_from(
        [
            "seed",
            "noise",
            "steps",
            "sampler_name",
            "latent_image",
            "positive",
            "negative",
            "guider",
            "model",
            "text",
            "conditioning",
            "width",
            "height",
            "samples",
            "sigmas",
            "cfg",
            "ckpt_name",
            "lora_name",
        ]
    ),
    _VALUES,
)
_KINDS = st.sampled_from(["KSampler", "SaveImage", "PreviewImage", "CLIPTextEncode", "ConditioningZeroOut"])


@given(
    st.dictionaries(_NAMES, st.builds(lambda kind, inputs: node(kind, **inputs), _KINDS, _INPUTS) | _VALUES)
)
def test_no_graph_raises_and_all_that_is_read_can_be_stored(graph: Graph) -> None:
    found = comfyui.read({"prompt": json.dumps(graph)})
    if found is not None:
        assert msgspec.json.decode(msgspec.json.encode(found), type=Generation) == found
