"""Images on the square, tokens, and batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from synthscars.legion import LegionConfig, LegionProcessor
from synthscars.legion.answers import answer_text
from synthscars.legion.collate import MAX_ANSWER, Collator
from synthscars.legion.processing_legion import fitted, full_size, letterbox
from synthscars.legion.tokenizer import SPECIAL, train_tokenizer

TEXTS = [answer_text("A man waves", [("the left hand", "It has six fingers."), ("the hat", "It floats.")])]


@pytest.fixture(scope="module")
def processor() -> LegionProcessor:
    tokenizer = train_tokenizer(TEXTS, 400)
    return LegionProcessor.for_config(LegionConfig.preset("tiny", vocab_size=len(tokenizer)), tokenizer)


@pytest.mark.parametrize("size", [(512, 512), (768, 512), (512, 768), (1000, 10), (7, 900), (1, 1)])
def test_a_mask_comes_back_to_where_it_was_on_the_image(size: tuple[int, int]) -> None:
    width, height = size
    left, top, right, bottom = width // 4, height // 4, max(width * 3 // 4, 1), max(height * 3 // 4, 1)
    image = Image.new("L", size)
    image.paste(255, (left, top, right, bottom))
    square = letterbox(image, 256)[:, :, 0]
    square = np.where(np.arange(256)[:, None] < fitted(width, height, 256)[1], square, 0)
    square = np.where(np.arange(256)[None, :] < fitted(width, height, 256)[0], square, 0)
    found = full_size(torch.from_numpy(square.astype(np.float32) - 127.5)[None], width, height)[0]
    assert found.shape == (height, width)
    expected = np.asarray(image) > 0
    tolerance = 2 * max(width, height) / 256 + 1
    rows, columns = np.nonzero(found)
    if min(right - left, bottom - top) > tolerance:
        assert abs(columns.min() - left) <= tolerance
        assert abs(columns.max() + 1 - right) <= tolerance
        assert abs(rows.min() - top) <= tolerance
        assert abs(rows.max() + 1 - bottom) <= tolerance
        assert (found & expected).sum() / (found | expected).sum() > 0.9


def test_no_masks_are_no_masks_of_the_image_s_size() -> None:
    assert full_size(torch.zeros(0, 96, 96), 30, 20).shape == (0, 20, 30)


def test_both_encoders_see_the_same_square(processor: LegionProcessor) -> None:
    batch = processor([Image.new("RGB", (300, 200), "red"), Image.new("L", (20, 90), 9)])
    assert batch["pixel_values"].shape == (2, 3, 192, 192)
    assert batch["grounding_pixel_values"].shape == (2, 3, 192, 192)
    assert (batch["input_ids"] == 3).sum(1).tolist() == [144, 144]


def test_a_processor_that_was_saved_asks_the_same(processor: LegionProcessor, tmp_path: object) -> None:
    processor.save_pretrained(tmp_path)
    again = LegionProcessor.from_pretrained(tmp_path)
    assert again.question() == processor.question()
    assert again.tokenizer.get_vocab() == processor.tokenizer.get_vocab()


def test_special_tokens_have_the_ids_that_the_presets_name(processor: LegionProcessor) -> None:
    assert processor.tokenizer.convert_tokens_to_ids(list(SPECIAL)) == list(range(len(SPECIAL)))
    config = LegionConfig.preset("tiny")
    assert config.seg_token_id == SPECIAL.index("[SEG]")
    assert config.llava_config.image_token_index == SPECIAL.index("<image>")


@settings(max_examples=50)
@given(text=st.text(max_size=60).filter(lambda text: not any(token in text for token in SPECIAL)))
def test_the_tokenizer_loses_nothing(text: str) -> None:
    tokenizer = train_tokenizer(TEXTS, 300)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == text


def test_the_same_texts_give_the_same_tokenizer() -> None:
    assert train_tokenizer(TEXTS, 400).get_vocab() == train_tokenizer(TEXTS, 400).get_vocab()


def example(count: int, words: int = 3, **values: object) -> dict[str, object]:
    ring = [10.0, 10.0, 60.0, 10.0, 60.0, 60.0, 10.0, 60.0]
    return {
        "pixels": np.zeros((256, 256, 3), dtype=np.uint8),
        "width": 256,
        "height": 256,
        "image_id": f"image of {count}",
        "scene": "A man waves",
        "content_type": "human",
        "synthetic": 1,
        "answered": 1,
        "phrases": ["the left hand"] * count,
        "explanations": ["It has six fingers. " * words] * count,
        "subtypes": ["deformed", ""][:count] + ["deformed"] * max(count - 2, 0),
        "rings": [[ring]] * count,
        **values,
    }


def test_a_batch_has_a_seg_a_mask_and_an_owner_for_every_artifact(processor: LegionProcessor) -> None:
    batch = Collator(processor, LegionConfig.preset("tiny"))([example(2), example(0), example(1)])
    assert (batch["input_ids"] == 4).sum(1).tolist() == [2, 0, 1]
    assert batch["owners"].tolist() == [0, 0, 2]
    assert batch["mask_labels"].shape == (3, 96, 96)
    assert batch["subtype_labels"].tolist()[1] == -100
    # Only the answer is learned, to its end.
    question = len(processor.question())
    assert (batch["labels"][:, :question] == -100).all()
    learned = batch["labels"][0][batch["labels"][0] >= 0].tolist()
    assert processor.tokenizer.decode(learned[:-1]) == answer_text(
        "A man waves", [("the left hand", "It has six fingers. " * 3)] * 2
    )
    assert learned[-1] == processor.tokenizer.eos_token_id


def test_a_photograph_that_nobody_annotated_is_seen_and_asked_nothing(processor: LegionProcessor) -> None:
    batch = Collator(processor, LegionConfig.preset("tiny"))(
        [example(1), example(0, answered=0, synthetic=0)]
    )
    assert (batch["labels"][1] == -100).all()
    assert batch["synthetic"].tolist() == [1, 0]


def test_an_answer_that_is_too_long_ends_after_an_artifact_that_fits_whole(
    processor: LegionProcessor,
) -> None:
    batch = Collator(processor, LegionConfig.preset("tiny"))([example(9, words=40)])
    count = len(batch["owners"])
    assert 0 < count < 9
    assert (batch["input_ids"] == 4).sum().item() == count == len(batch["mask_labels"])
    assert (batch["labels"][0] >= 0).sum() <= MAX_ANSWER + 1
