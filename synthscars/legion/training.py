"""Trains LEGION on a release, stage by stage, by transformers' Trainer, so that it can be resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import torch

from synthscars.files import atomic_file
from synthscars.legion.answers import answer_text
from synthscars.legion.configuration_legion import LegionConfig
from synthscars.legion.data import uncropped
from synthscars.legion.dataset import (
    Examples,
    ExampleStream,
    answered,
    open_split,
    photographed,
    read_examples,
    shuffled,
    stream_examples,
)
from synthscars.legion.detection import train_detection
from synthscars.legion.modeling_legion import LegionForArtifactAnalysis
from synthscars.legion.paper import add_adapters, assemble, merge_adapters
from synthscars.legion.processing_legion import LegionProcessor
from synthscars.legion.quiet import quiet
from synthscars.legion.resolution import enlarged
from synthscars.legion.settings import TrainingSettings
from synthscars.legion.tokenizer import train_tokenizer
from synthscars.legion.trainer import LOG, Advance, Run, train_stage
from synthscars.legion.warmup import Scaffold, fresh_weights
from synthscars.problems import ReleaseError

SETTINGS = "training_settings.json"


def train(
    release: Path | str,
    target: Path,
    settings: TrainingSettings = TrainingSettings(),  # noqa: B008 - frozen
    *,
    revision: str | None = None,
    progress: Advance | None = None,
) -> Path:
    """Train a model on the train split of a release, and write it to the folder `target`.

    release: a folder, or org/name on the Hub with a `revision`. In `target`: the model and its tokenizer as
    `from_pretrained` wants them, `training.jsonl` (losses, and after each epoch how validation images were
    answered), `gallery/` (a picture an epoch). What is needed to go on after a kill lies in `target`/work;
    running the same again goes on.

    Raises `ReleaseError` if the release cannot be loaded or has nothing to learn, or if `target` holds a run
    with other settings.
    """
    with quiet():
        return _train(str(release), target, settings, revision, progress)


def _train(
    release: str, target: Path, settings: TrainingSettings, revision: str | None, progress: Advance | None
) -> Path:
    work = target / "work"
    work.mkdir(parents=True, exist_ok=True)
    _same_run(target, settings, str(revision))
    torch.manual_seed(settings.seed)
    from_checkpoints = settings.preset == "paper"
    if from_checkpoints:
        model, processor = assemble(settings.llava or "", settings.sam or "")
        add_adapters(model)
    else:
        config, processor = begin(release, revision, settings)
        model = LegionForArtifactAnalysis(config)
        fresh_weights(model, settings.seed)
        model.scaffold = Scaffold(config)
    examples = _examples(release, revision, processor.canvas, work, settings, augment=True)
    validation = _validation(release, revision, processor.canvas, work, settings)
    for stage, epochs in settings.stages().items():
        if epochs and not (from_checkpoints and stage != "language"):
            run = Run(stage=stage, epochs=epochs, target=target, settings=settings, progress=progress)
            train_stage(run, model, processor, examples, validation)
    if from_checkpoints:
        merge_adapters(model)
    else:
        del model.scaffold
        model = enlarged(model)
        processor = LegionProcessor.for_config(model.config, processor.tokenizer)
    plain = _examples(release, revision, processor.canvas, work, settings, augment=False)
    train_detection(model, processor, plain, settings, target / LOG)
    _save(model, processor, target)
    return target


def _same_run(target: Path, settings: TrainingSettings, revision: str) -> None:
    told = msgspec.json.format(msgspec.json.encode({"settings": settings, "revision": revision}), indent=2)
    path = target / SETTINGS
    if path.is_file() and path.read_bytes().strip() != told.strip():
        raise ReleaseError(
            f"{target} holds a run with other settings", fix="choose a new folder, or remove this one"
        )
    with atomic_file(path) as file:
        file.write(told + b"\n")


def begin(
    release: str, revision: str | None, settings: TrainingSettings
) -> tuple[LegionConfig, LegionProcessor]:
    """Configuration and processor, with a tokenizer of the release's own words."""
    rows = open_split(release, "train", revision=revision)
    texts = rows.select_columns(["caption", "artifacts"])
    tokenizer = train_tokenizer(
        (
            answer_text(row["caption"], [(each["phrase"], each["explanation"]) for each in row["artifacts"]])
            for row in texts
        ),
        settings.vocab_size,
    )
    config = LegionConfig.preset(settings.preset, vocab_size=len(tokenizer))
    return config, LegionProcessor.for_config(config, tokenizer)


def _examples(
    release: str, revision: str | None, canvas: int, work: Path, settings: TrainingSettings, *, augment: bool
) -> Examples | ExampleStream:
    """What is trained on: augmented, or as it is. canvas: side of what comes out."""
    if settings.streaming:
        return stream_examples(release, canvas, revision=revision, seed=settings.seed, augment=augment)
    rows = _rows(release, revision, uncropped(canvas) if augment else canvas, work, settings)
    labels = shuffled(len(rows), settings.seed) if settings.shuffle_labels else None
    return Examples(rows, seed=settings.seed if augment else None, canvas=canvas, labels_of=labels)


def _rows(release: str, revision: str | None, canvas: int, work: Path, settings: TrainingSettings) -> Any:
    """What a model may see: the annotated images of train, and photographs that nobody annotated."""
    from datasets import concatenate_datasets

    told = open_split(release, "train", revision=revision)
    told = told.filter(answered, input_columns=["status"], keep_in_memory=True)
    if not len(told):
        raise ReleaseError(f"{release}: no image of the split train has been looked at", fix="annotate some")
    photographs = open_split(release, "train", config="detection", revision=revision).filter(
        photographed,
        input_columns=["origin", "image_id"],
        fn_kwargs={"others": frozenset(told["image_id"])},
        keep_in_memory=True,
    )
    cache = work / "cache"
    examples = read_examples(told, canvas, limit=settings.max_images, cache=cache)
    if not len(photographs):
        return examples
    return concatenate_datasets([examples, read_examples(photographs, canvas, cache=cache)])


def _validation(
    release: str, revision: str | None, canvas: int, work: Path, settings: TrainingSettings
) -> Any | None:
    if not settings.show:
        return None
    try:
        rows = open_split(release, "validation", revision=revision)
    except ReleaseError:
        return None  # A release may have no such split; then there is nothing to show.
    return read_examples(rows, canvas, limit=settings.show, cache=work / "cache")


def _save(model: LegionForArtifactAnalysis, processor: LegionProcessor, target: Path) -> None:
    model.save_pretrained(target)
    processor.save_pretrained(target)
