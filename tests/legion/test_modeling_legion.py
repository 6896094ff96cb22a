"""The model: shapes, saving, and that an answer that was written is the answer that was learned."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_legion import untrained
from transformers import AutoConfig, AutoModel, AutoProcessor

from synthscars.legion import LegionConfig, LegionForArtifactAnalysis, LegionProcessor
from synthscars.legion.losses import bce_loss, dice_loss
from synthscars.legion.processing_legion import from_clip_to_sam
from synthscars.legion.stages import freeze_but, rest
from synthscars.legion.stem import Pyramid
from synthscars.legion.warmup import (
    Scaffold,
    fresh_weights,
    place_losses,
    shown,
    subtype_classes,
    word_classes,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def model(folder: Path) -> LegionForArtifactAnalysis:
    model = LegionForArtifactAnalysis.from_pretrained(folder)
    fresh_weights(model, 0)
    return model.eval()


def inputs(model: LegionForArtifactAnalysis, images: int = 2) -> dict[str, torch.Tensor]:
    config = model.config
    generator = torch.Generator().manual_seed(1)
    ids = torch.tensor([[1, *[3] * config.image_tokens, 20, 21, 22]] * images)
    side, ground = config.llava_config.vision_config.image_size, config.sam_config.vision_config.image_size
    return {
        "input_ids": ids,
        "pixel_values": torch.randn(images, 3, side, side, generator=generator),
        "grounding_pixel_values": torch.randn(images, 3, ground, ground, generator=generator),
    }


def test_the_tiny_preset_has_about_four_million_parameters_in_less_than_20_mb(folder: Path) -> None:
    config = LegionConfig.preset("tiny", vocab_size=2000)
    with torch.device("meta"):
        model = LegionForArtifactAnalysis(config)
    assert 3.5e6 < sum(each.numel() for each in model.parameters()) < 5e6
    assert (folder / "model.safetensors").stat().st_size < 20e6
    assert not list(folder.glob("*.bin"))


def test_the_small_preset_has_about_thirty_million_parameters() -> None:
    with torch.device("meta"):
        model = LegionForArtifactAnalysis(LegionConfig.preset("small", vocab_size=2000))
    assert 25e6 < sum(each.numel() for each in model.parameters()) < 35e6


def test_the_paper_s_preset_has_the_sizes_of_clip_vicuna_and_sam() -> None:
    with torch.device("meta"):
        model = LegionForArtifactAnalysis(LegionConfig.preset("paper"))

    def millions(module: torch.nn.Module) -> int:
        return round(sum(each.numel() for each in module.parameters()) / 1e6)

    # As counted from the published checkpoints of CLIP ViT-L/14-336, Vicuna-7B with its head, and SAM ViT-H.
    assert millions(model.llava.model.vision_tower) == 304
    assert millions(model.llava.model.language_model) + millions(model.llava.lm_head) == 6738
    assert millions(model.sam.vision_encoder) == 637
    assert model.config.image_tokens == 576
    assert model.config.mask_size == 256


def test_subtypes_keep_their_order_when_saved(tmp_path: Path) -> None:
    """Else a model that was saved calls its regions by the names of others."""
    config = LegionConfig(subtypes={"deformed": "structure", "asymmetrical": "structure"})
    for each in (config, LegionConfig.preset("tiny")):
        each.save_pretrained(tmp_path)
        assert list(LegionConfig.from_pretrained(tmp_path).subtypes or {}) == list(each.subtypes or {})


def test_an_unknown_preset_is_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(ValueError, match="tiny, small, paper"):
        LegionConfig.preset("huge")


def test_saved_and_loaded_by_the_auto_classes_it_says_the_same(
    model: LegionForArtifactAnalysis, folder: Path, tmp_path: Path
) -> None:
    model.save_pretrained(tmp_path)
    LegionProcessor.from_pretrained(folder).save_pretrained(tmp_path)
    assert isinstance(AutoConfig.from_pretrained(tmp_path), LegionConfig)
    assert isinstance(AutoProcessor.from_pretrained(tmp_path), LegionProcessor)
    again = AutoModel.from_pretrained(tmp_path).eval()
    first, second = model(**inputs(model)), again(**inputs(model))
    torch.testing.assert_close(first.logits, second.logits, rtol=0, atol=0)
    tokens = [each.class_token(inputs(model)["pixel_values"]) for each in (model, again)]
    torch.testing.assert_close(model.detect(tokens[0]), again.detect(tokens[1]), rtol=0, atol=0)


def test_a_written_answer_asks_for_the_masks_that_reading_it_asks_for(
    model: LegionForArtifactAnalysis,
) -> None:
    """Generation with a cache, one token at a time, against one pass over question and answer."""
    asked = inputs(model)
    seg = model.config.seg_token_id

    def allowed(_image: int, written: torch.Tensor) -> list[int]:
        # An untrained model writes no [SEG] by itself.
        return [seg] if len(written) % 3 == 2 else [30, 31]

    written = model.answer(**asked, max_new_tokens=9, prefix_allowed_tokens_fn=allowed)
    assert (written.sequences == seg).any()
    whole = {**asked, "input_ids": torch.cat([asked["input_ids"], written.sequences[:, :-1]], dim=1)}
    with torch.no_grad():
        read = model(**whole)
    torch.testing.assert_close(written.mask_logits, read.mask_logits, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(written.subtype_logits, read.subtype_logits, rtol=1e-3, atol=1e-4)
    question = asked["input_ids"].shape[1]
    expected = read.logits[:, question - 1 :].log_softmax(-1).gather(-1, written.sequences.unsqueeze(-1))
    torch.testing.assert_close(written.token_logprobs, expected.squeeze(-1), rtol=1e-3, atol=1e-3)


def test_an_answer_that_repeats_itself_ends_and_the_others_of_its_batch_go_on(
    model: LegionForArtifactAnalysis,
) -> None:
    def allowed(image: int, written: torch.Tensor) -> list[int]:
        return [30 + len(written) % 2] if image == 0 else [40 + len(written)]

    written = model.answer(**inputs(model), max_new_tokens=40, prefix_allowed_tokens_fn=allowed)
    looping, going_on = written.sequences.tolist()
    pad = model.llava.generation_config.pad_token_id
    assert looping == [30, 31] * 6 + [pad] * 28
    assert going_on == list(range(40, 80))


def test_each_image_goes_through_the_grounding_encoder_once_whatever_the_number_of_phrases(
    model: LegionForArtifactAnalysis,
) -> None:
    asked = inputs(model)
    seen: list[int] = []
    handle = model.sam.vision_encoder.register_forward_hook(
        lambda _module, arguments, _output: seen.append(len(arguments[0]))
    )
    try:
        model(**{**asked, "input_ids": torch.cat([asked["input_ids"], torch.full((2, 4), 4)], dim=1)})
    finally:
        handle.remove()
    assert seen == [2]


def test_masks_come_in_the_reading_order_of_their_segs_and_belong_to_their_image(
    model: LegionForArtifactAnalysis,
) -> None:
    asked = inputs(model)
    tail = torch.tensor([[4, 30, 4], [30, 30, 4]])
    both = model(**{**asked, "input_ids": torch.cat([asked["input_ids"], tail], dim=1)})
    alone = model(
        **{name: value[1:] for name, value in asked.items() if name != "input_ids"},
        input_ids=torch.cat([asked["input_ids"], tail], dim=1)[1:],
    )
    assert len(both.mask_logits) == 3
    torch.testing.assert_close(both.mask_logits[2:], alone.mask_logits, rtol=1e-4, atol=1e-4)


def test_padding_on_the_right_changes_nothing(model: LegionForArtifactAnalysis) -> None:
    asked = inputs(model, images=1)
    ids = torch.cat([asked["input_ids"], torch.tensor([[30, 4, 31]])], dim=1)
    padded = torch.cat([ids, torch.zeros(1, 5, dtype=torch.long)], dim=1)
    labels = torch.where(padded > 0, padded, -100)
    mask = (padded > 0).long()
    rest = {name: value for name, value in asked.items() if name != "input_ids"}
    short = model(input_ids=ids, labels=ids, **rest)
    long = model(input_ids=padded, labels=labels, attention_mask=mask, **rest)
    torch.testing.assert_close(short.text_loss, long.text_loss, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(short.mask_logits, long.mask_logits, rtol=1e-4, atol=1e-4)


def test_the_loss_is_the_paper_s_weighted_sum(model: LegionForArtifactAnalysis) -> None:
    asked = inputs(model)
    ids = torch.cat([asked["input_ids"], torch.tensor([[4, 30], [30, 4]])], dim=1)
    size = model.config.mask_size
    masks = (torch.rand(2, size, size, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    output = model(
        **{**asked, "input_ids": ids}, labels=ids, mask_labels=masks, subtype_labels=torch.tensor([2, -100])
    )
    expected = output.text_loss + 0.2 * output.dice_loss + 0.4 * output.bce_loss
    torch.testing.assert_close(output.loss, expected + 0.2 * output.subtype_loss)


def test_the_losses_of_masks_by_hand() -> None:
    sure = torch.tensor([[[50.0, -50.0], [50.0, -50.0]]])
    right = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    # Dice of |A| = |B| = 2 with nothing in common: 1 - (0 + 1) / (4 + 1).
    assert dice_loss(sure, right).item() == pytest.approx(0, abs=1e-6)
    assert dice_loss(sure, 1 - right).item() == pytest.approx(0.8)
    assert bce_loss(sure, right).item() == pytest.approx(0, abs=1e-6)
    assert bce_loss(torch.zeros(1, 2, 2), right).item() == pytest.approx(0.693147, abs=1e-5)
    assert dice_loss(torch.full((1, 2, 2), -50.0), torch.zeros(1, 2, 2)).item() == pytest.approx(0, abs=1e-6)


def test_patches_are_told_what_they_show(model: LegionForArtifactAnalysis) -> None:
    size = model.config.mask_size
    masks = torch.zeros(2, size, size)
    masks[0, : size // 2, : size // 2] = 1
    masks[1, size // 2 :, :] = 1
    batch = {
        "synthetic": torch.ones(2),
        "owners": torch.tensor([0, 1]),
        "mask_labels": masks,
        "subtype_labels": torch.tensor([3, -100]),
    }
    count = len(model.config.subtypes or {})
    told = shown(batch, subtype_classes(batch, count), 2)
    assert told.shape == (2, count + 1, 4)
    torch.testing.assert_close(told.sum(1), torch.ones(2, 4))
    assert told[0, 4, 0] == 1
    assert (told[0, 0, 1:] == 1).all()
    # A region of unknown subtype is shared out.
    torch.testing.assert_close(told[1, 1:, 2], torch.full((count,), 1 / count))


def test_patches_are_told_the_words_about_them(model: LegionForArtifactAnalysis) -> None:
    size = model.config.mask_size
    masks = torch.zeros(2, size, size)
    masks[:, :, : size // 2] = 1
    batch = {
        "synthetic": torch.ones(1),
        "owners": torch.tensor([0, 0]),
        "mask_labels": masks,
        "told_ids": torch.tensor([[7, 8, 7, 0], [8, 9, 10, 11]]),
    }
    told = shown(batch, word_classes(batch, 12), 2)[0]
    # Two regions on one place share it; a word that is said twice counts once; token 0 is no word.
    torch.testing.assert_close(told[7:, 0], torch.tensor([0.25, 0.375, 0.125, 0.125, 0.125]))
    assert told[0, 1] == 1
    torch.testing.assert_close(told.sum(0), torch.ones(4))


def test_a_phrase_has_its_place_in_its_own_image_and_none_in_others() -> None:
    masks = torch.zeros(2, 8, 8)
    masks[0, :4, :4] = masks[1, 4:, :] = 1
    batch = {
        "owners": torch.tensor([0, 1]),
        "mask_labels": masks,
        "subtype_labels": torch.tensor([3, 5]),
    }
    likeness = torch.full((2, 3, 2, 2), -20.0)
    likeness[0, 0, 0, 0] = likeness[1, 1, 1, :] = 20
    place, absent = place_losses(likeness, batch)
    torch.testing.assert_close(place, torch.zeros(2), atol=1e-4, rtol=0)
    assert absent.item() == pytest.approx(0, abs=1e-6)

    # The first phrase is seen in one of four cells of the third image; sixteen cells are asked about in all.
    likeness[0, 2, 0, 0] = 20
    assert place_losses(likeness, batch)[1].item() == pytest.approx(4 * 20 / 16, rel=1e-4)

    # Where an image shows something of the same subtype, or of an unknown one, it is not asked.
    likeness[0, 1, 1, :] = 20
    assert place_losses(likeness, batch)[1].item() == pytest.approx(4 * 60 / 16, rel=1e-4)
    for subtypes in ([5, 5], [-100, 5], [5, -100]):
        absent = place_losses(likeness, {**batch, "subtype_labels": torch.tensor(subtypes)})[1]
        # One cell less of the first image for the second phrase, two of the second for the first.
        assert absent.item() == pytest.approx(4 * 20 / 13, rel=1e-4)


def test_a_batch_without_any_answer_teaches_no_words(model: LegionForArtifactAnalysis) -> None:
    asked = inputs(model)
    output = model(**asked, labels=torch.full_like(asked["input_ids"], -100))
    assert output.text_loss is None


@pytest.mark.parametrize("patch", [4, 8, 16])
def test_a_pyramid_sees_patches_and_those_twice_as_large(patch: int) -> None:
    pyramid = Pyramid(64, patch, blocks=1)
    fine, coarse, texture = pyramid.scales(torch.zeros(2, 3, 64, 64))
    assert fine.shape == (2, 64, 64 // patch, 64 // patch)
    assert coarse.shape == (2, 64, 64 // patch // 2, 64 // patch // 2)
    assert texture.shape == (2, 2 * pyramid.texture_width, 4, 4)


@pytest.mark.parametrize("patch", [2, 6])
def test_a_pyramid_of_another_patch_is_refused(patch: int) -> None:
    with pytest.raises(ValueError, match=str(patch)):
        Pyramid(64, patch)


def test_both_encoders_look_through_one_pyramid_that_is_saved_once(
    model: LegionForArtifactAnalysis, folder: Path
) -> None:
    mine, theirs = (
        model.llava.model.vision_tower.embeddings,
        model.sam.vision_encoder.patch_embed.projection,
    )
    assert mine._pyramid[0] is theirs
    names = load_file(folder / "model.safetensors").keys()
    assert not any("_pyramid" in name for name in names)
    assert any("patch_embed.projection.below" in name for name in names)
    # And it sees the same through both.
    pixels = LegionProcessor.from_pretrained(folder).pixels(torch.randint(0, 256, (1, 192, 192, 3)))
    wanted = pixels["grounding_pixel_values"]
    scale, shift = (torch.tensor(each).view(1, 3, 1, 1) for each in from_clip_to_sam())
    torch.testing.assert_close(pixels["pixel_values"] * scale + shift, wanted, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        fine, coarse, texture = theirs.scales(wanted)
        seen = mine.patch_embedding(torch.cat([torch.nn.functional.avg_pool2d(fine, 2), coarse], dim=1))
        first = mine.class_embedding + mine.texture(mine.texture_norm(texture).mean(dim=(2, 3)))
        tokens = torch.cat([first[:, None], seen.flatten(2).transpose(1, 2)], dim=1)
        wanted = tokens + mine.position_embedding.weight
        torch.testing.assert_close(mine(pixels["pixel_values"]), wanted, rtol=1e-3, atol=1e-3)


def test_the_texture_is_mean_and_deviation_in_windows_of_what_is_seen_early() -> None:
    pyramid = Pyramid(64, 8, blocks=1).eval()
    pixels = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        early = pyramid.below[:2](pixels)
        texture = pyramid.scales(pixels)[2]
    windows = early.unflatten(3, (4, -1)).unflatten(2, (4, -1))
    torch.testing.assert_close(texture[:, : pyramid.texture_width], windows.mean((3, 5)))
    deviation = windows.var((3, 5), correction=0).clamp(min=1e-6).sqrt()
    torch.testing.assert_close(texture[:, pyramid.texture_width :], deviation, rtol=1e-3, atol=1e-4)


def test_the_class_token_begins_with_the_texture_and_the_patches_do_not(
    model: LegionForArtifactAnalysis,
) -> None:
    embeddings = model.llava.model.vision_tower.embeddings
    pixels = torch.randn(1, 3, 192, 192)
    with torch.no_grad():
        before = embeddings(pixels)
        embeddings.texture.bias += 1
        after = embeddings(pixels)
        embeddings.texture.bias -= 1
    torch.testing.assert_close(after[:, 0], before[:, 0] + 1)
    torch.testing.assert_close(after[:, 1:], before[:, 1:])


def test_what_is_frozen_notes_nothing_of_what_it_sees(folder: Path) -> None:
    model = LegionForArtifactAnalysis.from_pretrained(folder)
    model.scaffold = Scaffold(model.config)
    freeze_but(model, "language")
    model.train()
    rest(model)
    before = {name: value.clone() for name, value in model.sam.named_buffers()}
    eyes = {name: value.clone() for name, value in model.llava.named_buffers() if "running" in name}
    model(**inputs(model))
    assert all(torch.equal(value, before[name]) for name, value in model.sam.named_buffers())
    now = dict(model.llava.named_buffers())
    assert any(not torch.equal(now[name], value) for name, value in eyes.items())


def test_the_scaffold_reads_a_phrase_whatever_its_padding(model: LegionForArtifactAnalysis) -> None:
    scaffold = Scaffold(model.config)
    short = scaffold.prompts(torch.tensor([[30, 31]]))
    long = scaffold.prompts(torch.tensor([[30, 31, 0, 0]]))
    torch.testing.assert_close(short, long)
