"""The published size, from checkpoints: here tiny random ones, saved as transformers saves the real ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_legion import untrained
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast, SamModel

from synthscars.legion import LegionConfig, LegionForArtifactAnalysis, Predictor, TrainingSettings, train
from synthscars.legion.paper import add_adapters, assemble, let_learn, merge_adapters
from synthscars.problems import UsageError


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A LLaVA with its tokenizer, and a SAM, as they are published: without convolutional stems."""
    root = tmp_path_factory.mktemp("checkpoints")
    torch.manual_seed(0)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(untrained(root / "words"))
    config = LegionConfig.preset("tiny", vocab_size=len(tokenizer))
    LlavaForConditionalGeneration(config.llava_config).save_pretrained(root / "llava")
    tokenizer.save_pretrained(root / "llava")
    SamModel(config.sam_config).save_pretrained(root / "sam")
    return root / "llava", root / "sam"


def test_both_checkpoints_are_in_the_model_as_they_were(checkpoints: tuple[Path, Path]) -> None:
    model, processor = assemble(*checkpoints)
    llava = LlavaForConditionalGeneration.from_pretrained(checkpoints[0])
    sam = SamModel.from_pretrained(checkpoints[1])
    ours = model.state_dict()
    for name, weight in sam.state_dict().items():
        torch.testing.assert_close(ours[f"sam.{name}"], weight, rtol=0, atol=0)
    count = llava.get_input_embeddings().weight.shape[0]
    for name, weight in llava.state_dict().items():
        found = ours[f"llava.{name}"]
        torch.testing.assert_close(
            found[:count] if found.shape != weight.shape else found, weight, rtol=0, atol=0
        )
    tokens = processor.tokenizer.convert_tokens_to_ids(["<image>", "[SEG]", "<p>", "</p>"])
    assert len(set(tokens)) == 4
    assert model.config.seg_token_id == tokens[1]


def test_what_learns_is_what_the_paper_says(checkpoints: tuple[Path, Path]) -> None:
    model, _ = assemble(*checkpoints)
    add_adapters(model)
    let_learn(model)
    learning = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert not any("vision" in name for name in learning)
    adapters = [name for name in learning if "lora_" in name]
    assert adapters
    assert all(".q_proj." in name or ".v_proj." in name for name in adapters)
    first = next(weight for name, weight in model.named_parameters() if "lora_A" in name)
    assert first.shape[0] == 8
    parts = (
        "lora_",
        "embed_tokens",
        "lm_head",
        "projector",
        "prompt_projection",
        "subtype_head",
        "mask_decoder",
    )
    assert all(any(part in name for part in parts) for name in learning)
    for part in parts:
        assert part == "lm_head" or any(part in name for name in learning)


def test_adapters_that_have_learned_nothing_change_nothing_and_merge(checkpoints: tuple[Path, Path]) -> None:
    model, processor = assemble(*checkpoints)
    model.eval()
    from PIL import Image

    asked = processor([Image.new("RGB", (40, 30), "red")])
    before = model(**asked).logits
    add_adapters(model)
    torch.testing.assert_close(model.eval()(**asked).logits, before)
    merge_adapters(model)
    torch.testing.assert_close(model(**asked).logits, before)
    assert isinstance(model, LegionForArtifactAnalysis)


@pytest.mark.slow
def test_the_paper_s_training_runs_and_its_model_predicts(
    checkpoints: tuple[Path, Path], drawn_release: Path, tmp_path: Path
) -> None:
    settings = TrainingSettings(
        preset="paper",
        llava=str(checkpoints[0]),
        sam=str(checkpoints[1]),
        epochs=1,
        detection_epochs=1,
        batch_size=4,
        learning_rate=1e-4,
        max_images=8,
        show=0,
    )
    folder = train(drawn_release, tmp_path / "model", settings)
    from PIL import Image

    (found,) = Predictor(folder).predict([Image.new("RGB", (40, 30), "red")], ["i"])
    assert (found.width, found.height) == (40, 30)


def test_what_is_no_checkpoint_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no LEGION can be built"):
        assemble(tmp_path, tmp_path)
