"""Training on a CPU: in 16 bits where it has them, but for attention, which gives what transformers gives."""

from __future__ import annotations

import pytest
import torch
from transformers import PreTrainedModel

from synthscars.legion import LegionConfig, LegionForArtifactAnalysis
from synthscars.legion.precision import cpu_has_bf16, full_attention


@pytest.fixture(scope="module")
def model() -> LegionForArtifactAnalysis:
    torch.manual_seed(0)
    return LegionForArtifactAnalysis(LegionConfig.preset("tiny", vocab_size=300)).eval()


def read(model: LegionForArtifactAnalysis, *, sixteen: bool) -> torch.Tensor:
    """Logits of two answers, the second of them padded."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(10, 300, (2, 200), generator=generator)
    ids[:, 1:145] = model.config.llava_config.image_token_id
    mask = torch.ones_like(ids)
    mask[1, 180:] = 0
    pixels = torch.randn(2, 3, 192, 192, generator=generator)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=sixteen):
        logits = model(ids, pixels, attention_mask=mask).logits
    return logits.float()[mask.bool()]


def implementations(model: LegionForArtifactAnalysis) -> set[str]:
    parts = [part for part in model.modules() if isinstance(part, PreTrainedModel)]
    return {part.config._attn_implementation for part in parts}


@pytest.mark.parametrize(
    ("flags", "pays"),
    [
        ({"avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, False),
        ({"avx512_f": True, "avx512_bf16": True, "amx_bf16": False}, True),
        ({"avx512_f": True, "avx512_bf16": True, "amx_bf16": True}, True),
        ({"neon": True}, False),
    ],
)
def test_mixed_precision_is_for_cpus_that_multiply_bfloat16(
    flags: dict[str, bool], pays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: flags)
    assert cpu_has_bf16() is pays


def test_it_gives_what_transformers_gives(model: LegionForArtifactAnalysis) -> None:
    expected = read(model, sixteen=False)
    with full_attention(model):
        torch.testing.assert_close(read(model, sixteen=False), expected)


def test_it_is_in_32_bits_within_mixed_precision(
    model: LegionForArtifactAnalysis, monkeypatch: pytest.MonkeyPatch
) -> None:
    attend, types = torch.nn.functional.scaled_dot_product_attention, []

    def noted(query: torch.Tensor, *others: torch.Tensor, **options: object) -> torch.Tensor:
        # As torch sees it, after mixed precision has had its say.
        types.append(torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else query.dtype)
        return attend(query, *others, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", noted)
    read(model, sixteen=True)
    assert set(types) == {torch.bfloat16}
    types.clear()
    with full_attention(model):
        read(model, sixteen=True)
    assert set(types) == {torch.float32}


def test_afterwards_it_is_as_before_also_after_an_error(model: LegionForArtifactAnalysis) -> None:
    with full_attention(model):
        assert "sdpa_float32" in implementations(model)
    with pytest.raises(RuntimeError), full_attention(model):
        raise RuntimeError
    assert implementations(model) == {"sdpa"}
