"""A model that looks at larger squares than it has learned from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from tiny_legion import untrained

from synthscars.legion import LegionConfig, LegionForArtifactAnalysis, Predictor
from synthscars.legion.data import SMALLEST_CROP
from synthscars.legion.processing_legion import letterbox
from synthscars.legion.resolution import enlarged, larger_side
from synthscars.legion.stem import resampled


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LegionForArtifactAnalysis:
    return LegionForArtifactAnalysis.from_pretrained(untrained(tmp_path_factory.mktemp("model")))


@pytest.mark.parametrize(("side", "larger"), [(192, 224), (256, 288)])
def test_things_are_as_large_as_in_the_crops_that_were_learned_from(side: int, larger: int) -> None:
    assert larger_side(side, 32) == larger
    # A crop of a mean size fills the smaller square; nearest multiple of the pyramid's largest patch.
    assert abs(larger * (1 + SMALLEST_CROP) / 2 - side) <= 16 * (1 + SMALLEST_CROP) / 2


def test_all_it_has_learned_stays_and_positions_are_resampled(model: LegionForArtifactAnalysis) -> None:
    larger = enlarged(model)
    assert (model.config.mask_size, larger.config.mask_size) == (96, 112)
    assert (model.config.detection_size, larger.config.detection_size) == (None, 224)
    assert model.config.image_tokens == larger.config.image_tokens
    before, after = model.state_dict(), larger.state_dict()
    (changed,) = (name for name in before if not torch.equal(before[name], after[name]))
    assert changed == "sam.vision_encoder.pos_embed"
    assert torch.allclose(before[changed].mean((1, 2)), after[changed].mean((1, 2)), atol=0.02)


def seen(model: LegionForArtifactAnalysis, pixels: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = model.sam.vision_encoder(pixels).last_hidden_state
    return found


def test_it_is_saved_with_its_size(model: LegionForArtifactAnalysis, tmp_path: Path) -> None:
    larger = enlarged(model).eval()
    larger.save_pretrained(tmp_path)
    again = LegionForArtifactAnalysis.from_pretrained(tmp_path)
    assert again.config.mask_size == 112
    pixels = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    assert torch.equal(seen(again.eval(), pixels), seen(larger, pixels))
    assert seen(larger, pixels).shape == (1, 64, 28, 28)


def test_a_vision_transformer_s_patches_are_left_alone() -> None:
    with torch.device("meta"):
        model = LegionForArtifactAnalysis(LegionConfig.preset("paper"))
    with pytest.raises(ValueError, match="only a LEGION with a pyramid"):
        enlarged(model)


def test_what_was_trained_looks_at_larger_squares(drawn_release: Path, tmp_path: Path) -> None:
    from synthscars.legion.settings import TrainingSettings
    from synthscars.legion.training import train

    settings = TrainingSettings(
        warmup_epochs=0, epochs=0, detection_epochs=1, vocab_size=300, max_images=2, show=0
    )
    predictor = Predictor(train(drawn_release, tmp_path / "model", settings))
    processor = predictor.processor
    assert (processor.global_size, processor.grounding_size, processor.detection_size) == (192, 224, 224)
    # Detection is asked about what it has learned from: the larger square, made from the image itself.
    image = Image.effect_noise((300, 200), 60).convert("RGB")
    inputs = processor([image])
    square = torch.from_numpy(letterbox(image, 224))[None]
    assert torch.equal(inputs["detection_pixel_values"], processor.detection_pixels(square))
    model = predictor.model
    answer = model.answer(**inputs, max_new_tokens=1)
    assert torch.equal(
        answer.synthetic_logits, model.detect(model.class_token(processor.detection_pixels(square)))
    )
    smaller = model.detect(model.class_token(inputs["pixel_values"]))
    assert not torch.allclose(answer.synthetic_logits, smaller)


def test_positions_of_the_same_size_stay_and_larger_ones_keep_their_order() -> None:
    positions = torch.arange(16.0)[:, None].repeat(1, 3)
    torch.testing.assert_close(resampled(positions, 4), positions)
    larger = resampled(positions, 8)[:, 0].reshape(8, 8)
    assert larger.shape == (8, 8)
    assert bool((larger.diff(dim=1) > 0).all() and (larger.diff(dim=0) > 0).all())
