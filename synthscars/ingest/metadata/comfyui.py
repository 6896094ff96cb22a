"""Reader for the graph of nodes that ComfyUI saves with an image, as its API takes it.

In the PNG text chunk `prompt`, or in the EXIF tag Model of a WebP file, behind `prompt:`, stands::

    {"3": {"class_type": "KSampler", "inputs": {"seed": 1, "steps": 20, "positive": ["6", 0], ...}},
     "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat", "clip": ["4", 1]}}, ...}

An input is a value, or a link to an output of another node. No node says which of them made the picture, so
it is looked for: upstream of the image that is saved, the sampler that no other sampler goes before. (A
second pass that only refines comes later.) Its settings may stand in nodes that it is linked to, and what it
was asked for stands behind its conditioning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from synthscars.ingest.metadata.fields import generation_of, json_object, number_of, text_of, whole_of
from synthscars.records import Generation

_SEEDS = ("seed", "noise_seed")
_MODELS = ("ckpt_name", "unet_name", "model_name")
_MODEL_LINKS = ("model", "model1", "model2", "guider")
_SIZE_LINKS = ("latent_image", "samples", "latent")
_VALUES = ("value", "int", "float", "number", "Number", *_SEEDS)
"""How nodes that only hold a number call it."""
_TEXTS = ("text", "string", "prompt", "t5xxl", "clip_l", "conditioning", "value")
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
    graph = _graph(chunks.get("prompt") or chunks.get("exif:Model", "").removeprefix("prompt:"))
    if not graph:
        return None
    samplers = list(_samplers(graph))
    return _generation(graph, samplers) if samplers else Generation(tool="comfyui")


def _graph(text: str) -> _Graph:
    nodes = json_object(text) or {}
    return {
        name: _Node(node["class_type"], node["inputs"])
        for name, node in nodes.items()
        if isinstance(node, dict)
        and isinstance(node.get("class_type"), str)
        and isinstance(node.get("inputs"), dict)
    }


def _linked(graph: _Graph, value: Any) -> str | None:
    """The name of the node that an input is linked to."""
    if not isinstance(value, list) or len(value) != 2 or isinstance(value[0], list | dict):
        return None
    return str(value[0]) if str(value[0]) in graph else None


def _samplers(graph: _Graph) -> Iterator[_Node]:
    """The samplers behind what is saved, each after those that go before it."""
    saved = [name for name, node in graph.items() if "save" in node.kind.lower()]
    shown = [name for name, node in graph.items() if "preview" in node.kind.lower()]
    # What leads to no image that is saved did not make one.
    return filter(_is_sampler, _upstream(graph, saved or shown or graph, lambda _node, _name: True))


def _upstream(graph: _Graph, starts: Iterable[str], follow: Callable[[_Node, str], bool]) -> Iterator[_Node]:
    """The nodes that these come from, each once and after those that it comes from itself, and these.

    follow: tells of a node and the name of an input whether to go on there.
    """
    seen: set[str] = set()
    # Without recursion: a hostile graph may be as deep as it is large.
    waiting = [(start, False) for start in reversed(list(starts))]
    while waiting:
        name, done = waiting.pop()
        node = graph[name]
        if done:
            yield node
        elif name not in seen:
            seen.add(name)
            waiting.append((name, True))
            links = [_linked(graph, value) for each, value in node.inputs.items() if follow(node, each)]
            waiting += [(link, False) for link in reversed(links) if link is not None]


def _is_sampler(node: _Node) -> bool:
    names = node.inputs.keys()
    seeded = not names.isdisjoint({*_SEEDS, "noise"})
    return seeded and ("latent_image" in names or {"steps", "sampler_name"} <= names)


def _generation(graph: _Graph, samplers: list[_Node]) -> Generation:
    sampler = samplers[0]
    models, loras = _models(graph, sampler)
    own = {name: value for name, value in sampler.inputs.items() if _linked(graph, value) is None}
    values = own | {
        "seed": _value(graph, sampler, _SEEDS, "noise"),
        "steps": _value(graph, sampler, ("steps",), "sigmas"),
        "sampler_name": _value(graph, sampler, ("sampler_name",), "sampler"),
        "cfg": _value(graph, sampler, ("cfg",), "guider"),
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
        known=("noise_seed",),
        model=" + ".join(models),
        prompt=_prompt(graph, sampler, "positive"),
        negative_prompt=_prompt(graph, sampler, "negative"),
        loras=tuple(loras),
    )


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


def _value(graph: _Graph, node: _Node, names: Iterable[str], helper: str) -> Any:
    """A setting of a node, or of the one that helps it; where it is a link, what the linked node holds."""
    for each in _chain(graph, node, (helper,)):
        for name in names:
            value = each.inputs.get(name)
            link = _linked(graph, value)
            if link is None and value is not None:
                return value
            if link is not None:
                held = graph[link].inputs
                return next((held[kind] for kind in (name, *_VALUES) if kind in held), None)
    return None


def _models(graph: _Graph, sampler: _Node) -> tuple[list[str], list[str]]:
    """The files of a sampler's models, several if they were merged, and of its LoRAs."""
    models: dict[str, None] = {}
    loras: dict[str, None] = {}
    for node in _chain(graph, sampler, _MODEL_LINKS):
        models |= {name: None for name in (text_of(node.inputs.get(each)) for each in _MODELS) if name}
        if lora := text_of(node.inputs.get("lora_name")):
            loras[lora] = None
    return list(models), list(loras)


def _size(graph: _Graph, sampler: _Node) -> dict[str, int | None]:
    for node in _chain(graph, sampler, _SIZE_LINKS):
        sides = {name: whole_of(_value(graph, node, (name,), "")) for name in ("width", "height")}
        if all(sides.values()):
            return sides
    return {"width": None, "height": None}


def _told(graph: _Graph, sampler: _Node, side: str) -> Iterator[_Node]:
    """The nodes behind a sampler's positive or negative conditioning, what it was made from first."""
    names = ("positive", "conditioning") if side == "positive" else (side,)
    sources = (node.inputs.get(name) for node in _chain(graph, sampler, ("guider",)) for name in names)
    first = next((link for link in (_linked(graph, each) for each in sources) if link is not None), None)

    def follow(node: _Node, name: str) -> bool:
        # That node makes of any text none.
        return node.kind != "ConditioningZeroOut" and _tells(name, side)

    return _upstream(graph, [first] if first is not None else [], follow)


def _tells(name: str, side: str) -> bool:
    """Whether a prompt, and the one that is asked for, stands behind an input of this name."""
    other = "negative" if side == "positive" else "positive"
    return other not in name and (name == side or name.startswith(_TEXTS))


def _prompt(graph: _Graph, sampler: _Node, side: str) -> str:
    """Every text behind a conditioning once: several are parts of the picture, or several encoders'."""
    texts = (
        text_of(value)
        for node in _told(graph, sampler, side)
        for name, value in node.inputs.items()
        if _tells(name, side)
    )
    return "\n".join(dict.fromkeys(text for text in texts if text))


def _guidance(graph: _Graph, sampler: _Node) -> float | None:
    """What Flux takes instead of a CFG scale."""
    found = (number_of(node.inputs.get("guidance")) for node in _told(graph, sampler, "positive"))
    return next((value for value in found if value is not None), None)
