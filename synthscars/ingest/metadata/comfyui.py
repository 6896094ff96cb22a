"""Reader for the graph of nodes that ComfyUI saves with an image, as its API takes it.

In the PNG text chunk `prompt`, or in an EXIF tag of other files, behind `prompt:`, stands::

    {"3": {"class_type": "KSampler", "inputs": {"seed": 1, "steps": 20, "positive": ["6", 0], ...}},
     "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat", "clip": ["4", 1]}}, ...}

An input is a value, or a link to an output of another node. No node says which of them made the picture, so
it is looked for: upstream of the image that is saved, the sampler that no other sampler goes before. (A
second pass that only refines comes later.) Its settings may stand in nodes that it is linked to, and what it
was asked for stands behind its conditioning. Anybody can write nodes, so they are told by the names of their
inputs, not by their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from synthscars.ingest.metadata.fields import generation_of, json_object, number_of, text_of, whole_of
from synthscars.records import Generation

_PLACES = ("prompt", "exif:Model", "exif:Make", "exif:ImageDescription", "exif:UserComment")
_SEEDS = ("seed", "noise_seed")
_PIPES = ("guider", "pipe", "basic_pipe", "sdxl_tuple", "base_ctx", "text_embeds")
"""Links that carry several things at once, conditioning among them."""
_MODEL_LINKS = ("model", "model1", "model2", "any_01", "lora_stack", "optional_lora_stack", *_PIPES)
_MODELS = ("ckpt_name", "unet_name", "model_path", "model_name")
_LORA = re.compile(r"lora(?:_name)?(?:_([0-9]{1,3}))?|lora_([0-9]{1,3})_name", re.ASCII)
_LORA_COUNTS = ("lora_count", "num_loras")
_SIZE_LINKS = ("latent_image", "samples", "latent")
_HELD = ("value", "int", "float", "number", "Number")
"""How nodes that only hold a number call it."""
_MOST_HOPS = 32
"""From node to node to a value: a hostile graph must not cost its square."""
_CONDITIONING = ("conditioning", "cond1")
_ENCODERS = ("clip_l", "clip_g", "t5xxl", "bert", "mt5xl")
_TEXTS = ("text", "string", "prompt", "user_prompt", "populated_text", "value", *_ENCODERS)
"""How the names of inputs begin behind which a prompt stands."""
_NAMES = {
    "seed": "seed",
    "steps": "steps",
    "sampler": "sampler_name",
    "cfg_scale": "cfg",
    "width": "width",
    "height": "height",
}


class _Node(NamedTuple):
    kind: str
    inputs: Mapping[str, Any]


_Graph = Mapping[str, _Node]


def read(chunks: Mapping[str, str]) -> Generation | None:
    """What a graph among the chunks says; `None` if there is none.

    If no sampler is found, only `tool` is filled. `parameters` have the other settings of the sampler, the
    guidance, and how many samplers there are, if there are more.
    """
    graphs = (_graph(re.sub(r"^prompt:", "", chunks.get(place, ""), flags=re.I)) for place in _PLACES)
    graph = next((each for each in graphs if each), None)
    if graph is None:
        return None
    samplers = _samplers(graph)
    return _generation(graph, samplers) if samplers else Generation(tool="comfyui")


def _graph(text: str) -> _Graph:
    nodes = json_object(text) or {}
    graph = {
        name: _Node(node["class_type"], node["inputs"])
        for name, node in nodes.items()
        if isinstance(node, dict)
        and isinstance(node.get("class_type"), str)
        and isinstance(node.get("inputs"), dict)
    }
    behind = _behind_switches(graph)
    if not behind:
        return graph

    def through(value: Any) -> Any:
        link = _linked(graph, value)
        return value if link is None or link not in behind else [behind[link], value[1]]

    return {
        name: _Node(node.kind, {key: through(value) for key, value in node.inputs.items()})
        for name, node in graph.items()
    }


def _behind_switches(graph: _Graph) -> dict[str, str]:
    """Switches (`select` and `input1`, `input2`, …) → the node that they let through, which is none itself.

    One that selects nothing, or in the end itself, is left out.
    """
    selected = {name: link for name, node in graph.items() if (link := _selected(graph, node)) is not None}
    behind: dict[str, str | None] = {}
    for name in selected:
        here = name
        way: dict[str, None] = {}
        # Each switch is gone through once, however many links lead to it.
        while here in selected and here not in behind and here not in way:
            way[here] = None
            here = selected[here]
        behind |= dict.fromkeys(way, None if here in way else behind.get(here, here))
    return {name: end for name, end in behind.items() if end is not None}


def _selected(graph: _Graph, node: _Node) -> str | None:
    """What a switch lets through: the node at `input2` if its `select` is 2, or a node that holds 2."""
    number = node.inputs.get("select")
    if (holder := _linked(graph, number)) is not None:
        number = next((graph[holder].inputs[name] for name in _HELD if name in graph[holder].inputs), None)
    whole = whole_of(number)
    return None if whole is None else _linked(graph, node.inputs.get(f"input{whole}"))


def _generation(graph: _Graph, samplers: list[_Node]) -> Generation:
    sampler = samplers[0]
    models, loras = _models(graph, sampler)
    own = {name: value for name, value in sampler.inputs.items() if _linked(graph, value) is None}
    values = own | {
        "seed": _value(graph, sampler, _SEEDS, "noise"),
        "steps": _value(graph, sampler, ("steps",), "sigmas"),
        "sampler_name": _value(graph, sampler, ("sampler_name", "sampler"), "sampler"),
        "cfg": _value(graph, sampler, ("cfg", "cfg_conds"), "guider"),
        "scheduler": _value(graph, sampler, ("scheduler",), "sigmas"),
        "denoise": _value(graph, sampler, ("denoise",), "sigmas"),
        "guidance": _guidance(graph, sampler),
        "samplers": len(samplers) if len(samplers) > 1 else None,
        **_size(graph, sampler),
    }
    return generation_of(
        "comfyui",
        values,
        _NAMES,
        known=("noise_seed", "positive", "negative"),
        model=" + ".join(models),
        prompt=_prompt(graph, sampler, "positive"),
        negative_prompt=_prompt(graph, sampler, "negative"),
        loras=tuple(loras),
    )


# The graph


def _linked(graph: _Graph, value: Any) -> str | None:
    """The name of the node that an input is linked to."""
    if not isinstance(value, list) or len(value) != 2 or isinstance(value[0], list | dict):
        return None
    return str(value[0]) if str(value[0]) in graph else None


def _samplers(graph: _Graph) -> list[_Node]:
    """The samplers behind what is saved, or else shown, or else all; each after those that go before it."""
    saved = [name for name, node in graph.items() if "save" in node.kind.lower()]
    shown = [name for name, node in graph.items() if "preview" in node.kind.lower()]
    found = (list(filter(_is_sampler, _upstream(graph, starts))) for starts in (saved, shown, graph))
    return next((each for each in found if each), [])


def _is_sampler(node: _Node) -> bool:
    names = node.inputs.keys()
    return not names.isdisjoint({*_SEEDS, "noise"}) and not names.isdisjoint({"positive", *_PIPES})


def _upstream(graph: _Graph, starts: Iterable[str]) -> Iterator[_Node]:
    """The nodes that these come from, each once and after those that it comes from itself, and these."""
    seen: set[str] = set()
    # Without recursion: a hostile graph may be as deep as it is large.
    waiting = [(start, False) for start in reversed(list(starts))]
    while waiting:
        name, done = waiting.pop()
        if done:
            yield graph[name]
        elif name not in seen:
            seen.add(name)
            waiting.append((name, True))
            links = [_linked(graph, value) for value in graph[name].inputs.values()]
            waiting += [(link, False) for link in reversed(links) if link is not None]


def _chain(graph: _Graph, node: _Node, follow: Iterable[str]) -> Iterator[_Node]:
    """A node and those that it is linked to by inputs of these names, and so on; each once, nearest first."""
    seen: set[str] = set()
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        links = [_linked(graph, node.inputs.get(name)) for name in follow]
        new = [link for link in links if link is not None and link not in seen]
        seen.update(new)
        waiting += [graph[link] for link in reversed(new)]


# Settings


def _value(graph: _Graph, node: _Node, names: Iterable[str], helper: str) -> Any:
    """A setting of a node, or of the one that helps it."""
    for each in _chain(graph, node, (helper,)):
        for name in names:
            # The helper of a name is no value of it: it is looked at next.
            if name in each.inputs and not (name == helper and _linked(graph, each.inputs[name])):
                return _held(graph, each.inputs[name], (*names, *_HELD))
    return None


def _held(graph: _Graph, value: Any, names: Iterable[str]) -> Any:
    """A value, or where it is a link, what the linked node holds by one of these names."""
    for _ in range(_MOST_HOPS):
        link = _linked(graph, value)
        if link is None:
            return value
        held = graph[link].inputs
        value = next((held[name] for name in names if name in held), None)
    return None


def _models(graph: _Graph, sampler: _Node) -> tuple[list[str], list[str]]:
    """The files of a sampler's models, several if they were merged, and of its LoRAs."""
    models: dict[str, None] = {}
    loras: dict[str, None] = {}
    for node in _chain(graph, sampler, _MODEL_LINKS):
        # What a node adds to a model that it is given is none, whatever it calls it.
        names = _MODELS[:-1] if "model" in node.inputs else _MODELS
        models |= dict.fromkeys(_file(_held(graph, node.inputs.get(name), (name, *_HELD))) for name in names)
        loras |= dict.fromkeys(_loras(node))
    nothing = {"", "None"}
    return [name for name in models if name not in nothing], [name for name in loras if name not in nothing]


def _loras(node: _Node) -> Iterator[str]:
    """The files of a node's LoRAs: those within its count, if it has one, and not switched off."""
    if node.inputs.get("toggle", True) is False:
        return
    counts = (whole_of(node.inputs.get(name)) for name in _LORA_COUNTS)
    most = next((count for count in counts if count is not None), None)
    for name, value in node.inputs.items():
        if (match := _LORA.fullmatch(name.lower())) is None:
            continue
        number = match[1] or match[2] or ""
        beyond = bool(number) and most is not None and int(number) > most
        if not beyond and node.inputs.get(f"switch_{number}") not in ("Off", "off"):
            yield _file(value)


def _file(value: Any) -> str:
    """The name of a file: a text, or an object that has it, and may say that it is not used."""
    if isinstance(value, dict):
        value = (value.get("content") or value.get("lora")) if value.get("on", True) else ""
    return text_of(value)


def _size(graph: _Graph, sampler: _Node) -> dict[str, int | None]:
    for node in _chain(graph, sampler, (*_SIZE_LINKS, *_PIPES)):
        sides = {
            name: whole_of(
                _held(graph, node.inputs.get(name, node.inputs.get(f"empty_latent_{name}")), (name, *_HELD))
            )
            for name in ("width", "height")
        }
        if all(sides.values()):
            return sides
    return {"width": None, "height": None}


# Prompts


def _told(graph: _Graph, sampler: _Node, side: str) -> Iterator[_Node | str]:
    """The nodes behind a sampler's positive or negative conditioning, and their texts, in their order."""
    seen: set[str] = set()
    waiting: list[str | _Node] = [_asked(graph, sampler, side)]
    while waiting:
        each = waiting.pop()
        yield each
        # That node makes of any text none.
        if isinstance(each, str) or each.kind == "ConditioningZeroOut":
            continue
        behind: list[str | _Node] = []
        for value in _tellers(each, side):
            link = _linked(graph, value)
            if link is None:
                behind.append(text_of(value))
            elif link not in seen:
                seen.add(link)
                behind.append(graph[link])
        waiting += reversed(behind)


def _asked(graph: _Graph, sampler: _Node, side: str) -> _Node | str:
    """The node that a sampler gets its positive or negative conditioning from."""
    names = ("positive", *_CONDITIONING) if side == "positive" else (side,)
    for node in _chain(graph, sampler, _PIPES):
        links = (_linked(graph, node.inputs.get(name)) for name in names)
        link = next((link for link in links if link is not None), None)
        if link is not None:
            return graph[link]
        if node is not sampler and any(name.startswith(side) for name in node.inputs):
            return node
    return ""


def _tellers(node: _Node, side: str) -> list[Any]:
    """What a node's conditioning is made from: conditioning first, and then texts."""
    other = "negative" if side == "positive" else "positive"
    tagged = [name for name in node.inputs if name.startswith(side)]
    told = tagged or [
        name for name in node.inputs if name.startswith((*_CONDITIONING, *_TEXTS)) and other not in name
    ]
    told.sort(key=lambda name: not name.startswith(_CONDITIONING))
    return [node.inputs[name] for name in told]


def _prompt(graph: _Graph, sampler: _Node, side: str) -> str:
    """Every text behind a conditioning once: several are parts of the picture, or several encoders'."""
    texts = (each for each in _told(graph, sampler, side) if isinstance(each, str))
    return "\n".join(dict.fromkeys(text for text in texts if text))


def _guidance(graph: _Graph, sampler: _Node) -> float | None:
    """What Flux takes instead of a CFG scale."""
    nodes = (each for each in _told(graph, sampler, "positive") if isinstance(each, _Node))
    held = (_held(graph, node.inputs.get("guidance"), ("guidance", *_HELD)) for node in nodes)
    return next((value for value in map(number_of, held) if value is not None), None)
