"""How well each training artifact was learned, epoch by epoch: what label errors are found by (`verify`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor
from torch.nn import functional

from synthscars.legion.losses import bce_loss, dice_loss

NAME = "dynamics.jsonl"


class Dynamics:
    """Appends one line per artifact and step to `dynamics.jsonl`.

    Fields: stage, epoch (from 0), image_id, artifact_id; where masks are drawn mask_iou and mask_loss (Dice +
    cross entropy); in the language stage text_loss (mean over the tokens from the phrase to the next one) and
    subtype_loss.
    """

    def __init__(self, path: Path, phrase_start: int) -> None:
        self.path = path
        self.phrase_start = phrase_start

    def note(
        self,
        stage: str,
        epoch: int,
        batch: dict[str, Any],
        masks: Tensor | None,
        token_losses: Tensor | None = None,
        subtype_logits: Tensor | None = None,
    ) -> None:
        """Note what one batch came to. masks: (N, size, size) logits, if any were drawn;
        token_losses: of every label, in reading order."""
        if not len(batch["owners"]):
            return
        columns: dict[str, list[float]] = {}
        with torch.no_grad():
            if masks is not None:
                wanted = batch["mask_labels"]
                found, true = masks > 0, wanted > 0.5
                both, either = (found & true).flatten(1).sum(1), (found | true).flatten(1).sum(1)
                columns["mask_iou"] = (both / either.clamp(min=1)).tolist()
                columns["mask_loss"] = (dice_loss(masks, wanted) + bce_loss(masks, wanted)).tolist()
            if token_losses is not None:
                columns["text_loss"] = self._text_losses(batch, token_losses)
            if subtype_logits is not None:
                each = functional.cross_entropy(
                    subtype_logits.float(), batch["subtype_labels"], ignore_index=-100, reduction="none"
                )
                columns["subtype_loss"] = each.tolist()
        with self.path.open("ab") as file:
            for number, owner in enumerate(batch["owners"].tolist()):
                line = {
                    "stage": stage,
                    "epoch": epoch,
                    "image_id": batch["image_ids"][owner],
                    "artifact_id": batch["artifact_ids"][number],
                    **{name: round(values[number], 5) for name, values in columns.items()},
                }
                file.write(msgspec.json.encode(line) + b"\n")

    def _text_losses(self, batch: dict[str, Any], token_losses: Tensor) -> list[float]:
        """The mean loss of each artifact's own tokens: from its `<p>` to the next, or to the end."""
        labels = batch["labels"][:, 1:]
        losses = torch.zeros(labels.shape, device=labels.device)
        losses[labels >= 0] = token_losses.detach()
        found = []
        for row in range(len(labels)):
            starts = torch.nonzero(labels[row] == self.phrase_start).flatten().tolist()
            if not starts:
                continue
            end = int((labels[row] >= 0).nonzero().max()) + 1
            found += [
                float(losses[row, start:stop].mean())
                for start, stop in zip(starts, [*starts[1:], end], strict=True)
            ]
        return found

    def forget(self, stage: str, epoch: int) -> None:
        """Leave out what a run that was killed noted of this epoch and later ones of the stage."""
        if not self.path.is_file():
            return
        lines = self.path.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if line.endswith(b"\n") and not _later(line, stage, epoch)]
        if len(kept) < len(lines):
            from synthscars.files import atomic_file

            with atomic_file(self.path) as file:
                file.writelines(kept)


def _later(line: bytes, stage: str, epoch: int) -> bool:
    noted = msgspec.json.decode(line)
    return noted["stage"] == stage and noted["epoch"] >= epoch
