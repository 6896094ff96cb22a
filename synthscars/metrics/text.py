"""How near one text is to another in its words: ROUGE-L as `rouge-score` has it.

Words are what that library takes for words (lower case, letters a to z and digits), not stemmed. Texts of
other scripts have none, and score 0: say so when you report it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

from synthscars.problems import SynthScarsError

MAX_TEXT = 20_000
"""Characters of a text that are compared: no model has more to say, but some repeat themselves."""


def rouge_l(reference: str, answer: str) -> float:
    """ROUGE-L F-measure of an answer in [0, 1], equal to that of `rouge-score` without stemming.

    Raises `SynthScarsError` if `rouge-score` is not installed.
    """
    words, others = _words(reference[:MAX_TEXT]), _words(answer[:MAX_TEXT])
    if not words or not others:
        return 0.0
    shared = common_words(words, others)
    precision, recall = shared / len(others), shared / len(words)
    return 2 * precision * recall / (precision + recall) if shared else 0.0


def common_words(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence.

    All of `first` at once, one bit each (Hyyrö, Bit-Parallel LCS-length Computation Revisited, 2004): the
    table of `rouge-score` takes 20 times as long for a caption, and seconds for a text of some pages.
    """
    places: dict[str, int] = {}
    for number, word in enumerate(first):
        places[word] = places.get(word, 0) | (1 << number)
    full = (1 << len(first)) - 1
    row = full
    for word in second:
        same = row & places.get(word, 0)
        row = ((row + same) | (row - same)) & full
    return len(first) - row.bit_count()


def _words(text: str) -> list[str]:
    return _tokenizer().tokenize(text)  # type: ignore[no-any-return]


@cache
def _tokenizer() -> Any:
    if find_spec("rouge_score") is None:
        raise SynthScarsError(
            "ROUGE-L needs rouge-score, which is not installed", fix='pip install "synthscars[metrics]"'
        )
    from rouge_score.tokenizers import DefaultTokenizer

    return DefaultTokenizer(use_stemmer=False)
