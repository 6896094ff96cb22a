"""A small tokenizer of our own, for the small presets: a release has few words, and they are its own."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from synthscars.legion.answers import MARKERS, PHRASE_END, PHRASE_START, SEG
from synthscars.legion.processing_legion import IMAGE_TOKEN

SPECIAL = ("<pad>", "<s>", "</s>", IMAGE_TOKEN, SEG, PHRASE_START, PHRASE_END)
"""Special tokens; their places in this list are their ids."""


def train_tokenizer(texts: Iterable[str], vocab_size: int = 2000) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer (so no text is lost) with at most `vocab_size` tokens, learned from `texts`.

    The same texts in the same order give the same tokenizer. `vocab_size` counts the 256 bytes and `SPECIAL`.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((_unmarked(text) for text in texts), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens=[IMAGE_TOKEN, *MARKERS],
        clean_up_tokenization_spaces=False,
    )


def _unmarked(text: str) -> str:
    for marker in MARKERS:
        text = text.replace(marker, "")
    return text
