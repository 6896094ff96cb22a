"""One stage of training: transformers' Trainer with the stage's losses, a log, and a picture an epoch."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors.torch import load_model, save_model
from torch import Tensor
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from synthscars.legion.collate import Collator
from synthscars.legion.dataset import Examples, ExampleStream
from synthscars.legion.epoch_report import answered
from synthscars.legion.modeling_legion import LegionForArtifactAnalysis
from synthscars.legion.precision import cpu_has_bf16, full_attention
from synthscars.legion.processing_legion import LegionProcessor
from synthscars.legion.settings import TrainingSettings
from synthscars.legion.stages import freeze_but, language_step, pictures, rest, warmup_step, words_step

LOG = "training.jsonl"
_WEIGHTS = "model.safetensors"
Advance = Callable[[str, int, int], None]
"""Told after every step: the stage, the steps done, and the steps of the stage."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One stage of one training run, whose results go to `target`."""

    stage: str
    epochs: int
    target: Path
    settings: TrainingSettings
    progress: Advance | None = None

    @property
    def folder(self) -> Path:
        """What is needed to go on after a kill."""
        return self.target / "work" / self.stage


def train_stage(
    run: Run,
    model: LegionForArtifactAnalysis,
    processor: LegionProcessor,
    examples: Examples | ExampleStream,
    validation: Any | None,
) -> None:
    """Train one stage, or go on with it where it was left. validation: rows to answer after each epoch."""
    freeze_but(model, run.stage)
    trainer = StageTrainer(
        run=run,
        model=model,
        args=_arguments(run, examples),
        train_dataset=examples,
        data_collator=Collator(
            processor, model.config, text=run.stage == "language", pictures=pictures(model, run.stage)
        ),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(_Epochs(trainer, processor, validation))
    last = get_last_checkpoint(str(run.folder)) if run.folder.is_dir() else None
    with full_attention(model) if trainer.args.use_cpu and trainer.args.bf16 else nullcontext():
        trainer.train(resume_from_checkpoint=last)


def _arguments(run: Run, examples: Examples | ExampleStream) -> TrainingArguments:
    settings = run.settings
    streamed = isinstance(examples, ExampleStream)
    count = examples.count if isinstance(examples, ExampleStream) else len(examples)
    drop = count >= settings.batch_size
    steps = count // settings.batch_size if drop else 1
    accelerated = torch.cuda.is_available() and settings.device != "cpu"
    return TrainingArguments(
        output_dir=str(run.folder),
        per_device_train_batch_size=settings.batch_size,
        num_train_epochs=run.epochs,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=0.05,
        weight_decay=0.05,
        max_grad_norm=1.0,
        seed=settings.seed,
        data_seed=settings.seed,
        bf16=torch.cuda.is_bf16_supported() if accelerated else cpu_has_bf16(),
        fp16=accelerated and not torch.cuda.is_bf16_supported(),
        use_cpu=not accelerated,
        save_strategy="epoch",
        save_total_limit=1,
        logging_strategy="no",
        report_to="none",
        remove_unused_columns=False,
        dataloader_drop_last=drop,
        # A stream has no length that the Trainer could ask for.
        max_steps=run.epochs * steps if streamed else -1,
        # Else a batch of a stream is cut to as many masks as it has images.
        accelerator_config={"dispatch_batches": False},
        disable_tqdm=True,
    )


class StageTrainer(Trainer):
    """A Trainer whose loss is a stage's, and which remembers the parts of the losses of an epoch."""

    def __init__(self, *, run: Run, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.run = run
        self.losses: dict[str, list[float]] = {}

    # A checkpoint holds the weights by the names that they have in memory. `save_pretrained` writes those of
    # LLaVA by the names of the published checkpoints, which the Trainer does not turn back when it goes on.

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        save_model(self.model, str(folder / _WEIGHTS))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        load_model(self.model, str(Path(resume_from_checkpoint) / _WEIGHTS))

    def compute_loss(self, model: Any, inputs: dict[str, Any], *_args: Any, **_kwargs: Any) -> Tensor:
        """The loss of one batch."""
        rest(model)
        if self.run.stage == "warmup":
            # It calls the parts, and only `forward` is in mixed precision by itself.
            with self.accelerator.autocast():
                total, losses = warmup_step(model, inputs)
        elif self.run.stage == "words":
            with self.accelerator.autocast():
                total, losses = words_step(model, inputs)
        else:
            total, losses = language_step(model, inputs)
        for name, loss in losses.items():
            self.losses.setdefault(name, []).append(float(loss.detach().mean()))
        return total


class _Epochs(TrainerCallback):
    """Tells of the progress; after every epoch, writes a line to the log and a picture to the gallery."""

    def __init__(self, trainer: StageTrainer, processor: LegionProcessor, validation: Any | None) -> None:
        self.trainer = trainer
        self.processor = processor
        self.validation = validation

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Tell how far it is."""
        run = self.trainer.run
        if run.progress is not None:
            run.progress(run.stage, state.global_step, state.max_steps)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Sum the epoch up."""
        run, losses = self.trainer.run, self.trainer.losses
        epoch = round(state.epoch or 0) - 1
        line: dict[str, Any] = {
            "stage": run.stage,
            "epoch": epoch,
            "step": state.global_step,
            "losses": {name: round(statistics.fmean(values), 5) for name, values in losses.items()},
        }
        losses.clear()
        if self.validation is not None and run.stage == "language":
            picture = run.target / "gallery" / f"{run.stage}-{epoch:03d}.png"
            line["validation"] = answered(self.trainer.model, self.processor, self.validation, picture)
        log_line(run.target / LOG, line)


def log_line(path: Path, line: dict[str, Any]) -> None:
    """Add a line to the log, instead of one of the same stage and epoch and all that came after it."""
    from synthscars.files import atomic_file

    lines = path.read_bytes().splitlines() if path.is_file() else []
    before = [msgspec.json.decode(each) for each in lines]
    same = [each for each in before if (each["stage"], each["epoch"]) == (line["stage"], line["epoch"])]
    kept = lines[: before.index(same[0])] if same else lines
    with atomic_file(path) as file:
        file.write(b"".join(each + b"\n" for each in [*kept, msgspec.json.encode(line)]))
