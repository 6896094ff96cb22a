"""Mixed precision on CPUs: whether it pays, and attention, which stays in 32 bits.

At the lengths and widths of the small presets, torch's fused attention of the CPU goes back through 16 bits
two to four times as slowly as through 32. Everything else gains by 16 bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from synthscars.legion.modeling_legion import LegionForArtifactAnalysis

_NAME = "sdpa_float32"


def cpu_has_bf16() -> bool:
    """Whether the CPU has bfloat16: convolutions take half the time (AVX-512) or a fifth (AMX)."""
    # Older versions of torch cannot tell.
    can: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(can.get("avx512_bf16") or can.get("amx_bf16"))


@contextmanager
def full_attention(model: LegionForArtifactAnalysis) -> Iterator[None]:
    """Within it, language model and encoders attend in 32 bits, whatever the precision around them."""
    parts = (model.llava, model.sam.vision_encoder)
    before = [part.config._attn_implementation for part in parts]
    try:
        for part in parts:
            part.set_attn_implementation(_NAME)
        yield
    finally:
        for part, name in zip(parts, before, strict=True):
            part.set_attn_implementation(name)


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **options: Any,
) -> tuple[Tensor, None]:
    """What `sdpa` gives: (batch, tokens, heads, width)."""
    q, k, v = (each.float() for each in (query, key, value))
    with torch.autocast(query.device.type, enabled=False):
        attended, _ = sdpa_attention_forward(module, q, k, v, attention_mask, **options)
    return attended, None


AttentionInterface.register(_NAME, _attend)
AttentionMaskInterface.register(_NAME, AttentionMaskInterface()["sdpa"])
