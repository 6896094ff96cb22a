"""Where predictions come from: a file, a checkpoint, or a model that is trained here.

LEGION is reached only when it is asked for a model. Every stage leaves its result in the
work folder, and `stages.json` says what it was made from: with the same release and settings a later run goes
on from there, with others it begins anew.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from synthscars.files import atomic_file
from synthscars.predictions import read_header
from synthscars.problems import FormatError, Problems, ReleaseError, UsageError
from synthscars.records import ImageRecord
from synthscars.release.filing import Stages
from synthscars.release.verified import manifest_digest
from synthscars.verify.judge import Judged, predictions_in
from synthscars.verify.result import Model

STAGES_NAME = "stages.json"
CURVES_NAME = "training.jsonl"

_BATCH = 8
SETTINGS_NAME = "training_settings.json"


class Training(msgspec.Struct, frozen=True, kw_only=True):
    """How to train, see `synthscars.legion.TrainingSettings`; `None`: as that has it."""

    preset: str | None = None
    warmup_epochs: int | None = None
    epochs: int | None = None
    detection_epochs: int | None = None
    seed: int = 0
    max_images: int | None = None


# Given predictions


def from_file(path: Path, records: Iterable[ImageRecord], problems: Problems) -> Judged:
    """Predictions that somebody made elsewhere. Raises `FormatError` if the file is none."""
    header = read_header(path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    predictions = predictions_in(path, records, problems)
    if not predictions:
        raise FormatError(
            f"{path} has no prediction of an image of this release",
            fix="predict its test split: synthscars legion predict MODEL RELEASE --split test",
        )
    return Judged(
        Model(name=str(header.get("model") or path.name), digest=digest, made="predictions"),
        predictions,
        out_of_fold=header.get("out_of_fold") is True,
    )


# A work folder


class Work:
    """The folder in which stages leave what they made. Nobody else's files are touched.

    Raises `UsageError` if it is there, is not empty and was not made by a verification.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / STAGES_NAME
        if folder.exists() and not self._path.is_file() and any(folder.iterdir()):
            raise UsageError(f"{folder} is not a work folder of verify", fix="name a new one with --work")
        folder.mkdir(parents=True, exist_ok=True)
        self._keys: dict[str, str] = {}
        if self._path.is_file():
            try:
                self._keys = msgspec.json.decode(self._path.read_bytes(), type=dict[str, str])
            except msgspec.DecodeError:
                self._keys = {}  # of a run that is not worth going on with
        self._save()

    def begin(self, name: str, key: str) -> bool:
        """Get ready for a stage whose result is called `name`; tells whether it is done already.

        What another run has left there, made from something else, is removed.
        """
        if self._keys.get(name) == f"done {key}" and (self.folder / name).exists():
            return True
        if self._keys.get(name) != f"begun {key}":
            for path in self.folder.glob(f"{name}*"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            self._keys[name] = f"begun {key}"
            self._save()
        return False

    def done(self, name: str, key: str) -> None:
        """A stage is complete."""
        self._keys[name] = f"done {key}"
        self._save()

    def _save(self) -> None:
        with atomic_file(self._path) as file:
            file.write(msgspec.json.format(msgspec.json.encode(self._keys, order="sorted"), indent=2))


def key_of(*parts: Any) -> str:
    """One name for all that a stage is made from."""
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()[:32]


# Training and predicting


def trained(
    folder: Path,
    records: Iterable[ImageRecord],
    work: Work,
    training: Training,
    problems: Problems,
    *,
    shuffled: bool,
    device: str,
    stages: Stages,
    like: Path | None = None,
) -> Judged:
    """Train the reference model on the release, on shuffled labels if asked, and let it predict.

    like: a checkpoint whose settings hold where `training` says nothing else.
    """
    from synthscars.legion import TrainingSettings, train

    name = "shuffled" if shuffled else "model"
    told = (settings_of(like) if like is not None else {}) | _said(training)
    key = key_of(manifest_digest(folder), told, shuffled)
    target = work.folder / name
    if not work.begin(name, key):
        where = None if device == "auto" else device
        settings = TrainingSettings(**{**told, "shuffle_labels": shuffled, "device": where})
        what = "training on shuffled labels" if shuffled else "training"
        train(folder, target, settings, progress=_steps(what, stages))
        work.done(name, key)
    found = from_checkpoint(folder, target, records, work, problems, name=name, device=device, stages=stages)
    model = msgspec.structs.replace(
        found.model, made="trained", training={**told, "shuffle_labels": shuffled}
    )
    return found._replace(model=model)


def _said(training: Training) -> dict[str, Any]:
    return {name: value for name, value in msgspec.to_builtins(training).items() if value is not None}


def settings_of(checkpoint: Path) -> dict[str, Any]:
    """With which settings a checkpoint was trained, as far as it says so; what concerns this run is left out.

    Values of settings that are not known any more are, too.
    """
    from synthscars.legion import TrainingSettings

    try:
        found = msgspec.json.decode((checkpoint / SETTINGS_NAME).read_bytes())
        settings = msgspec.convert(found["settings"], TrainingSettings)
    except (OSError, msgspec.MsgspecError, KeyError, TypeError):
        return {}
    kept = msgspec.to_builtins(settings)
    for name in ("shuffle_labels", "device", "streaming", "show"):
        kept.pop(name, None)
    return {name: value for name, value in kept.items() if value is not None}


def _steps(what: str, stages: Stages) -> Callable[[str, int, int], None]:
    """What training tells of its steps, as stages with counts."""
    running: dict[str, Callable[[int], None]] = {}
    done: dict[str, int] = {}

    def tell(stage: str, steps: int, total: int) -> None:
        if stage not in running:
            running[stage] = stages(f"{what}: {stage}", total)
        running[stage](steps - done.get(stage, 0))
        done[stage] = steps

    return tell


def from_checkpoint(
    folder: Path,
    checkpoint: Path,
    records: Iterable[ImageRecord],
    work: Work,
    problems: Problems,
    *,
    name: str,
    device: str,
    stages: Stages,
) -> Judged:
    """Let a model predict the images of some records; what its training wrote down is beside it."""
    wanted = list(records)
    digest = checkpoint_digest(checkpoint)
    result = f"{name}-predictions.jsonl"
    key = key_of(manifest_digest(folder), digest, sorted(record.image_id for record in wanted))
    target = work.folder / result
    if not work.begin(result, key):
        _predict(folder, checkpoint, wanted, target, problems, device, stages)
        work.done(result, key)
    curves = checkpoint / CURVES_NAME
    return Judged(
        Model(
            name=str(read_header(target).get("model")),
            digest=digest,
            made="checkpoint",
            training=settings_of(checkpoint),
        ),
        predictions_in(target, wanted, problems),
        curves=curves if curves.is_file() else None,
    )


def _predict(
    folder: Path,
    checkpoint: Path,
    records: list[ImageRecord],
    target: Path,
    problems: Problems,
    device: str,
    stages: Stages,
) -> None:
    from synthscars.legion import Predictor
    from synthscars.legion.prediction_file import prediction_file
    from synthscars.legion.running import predict_items
    from synthscars.predictions import Prediction
    from synthscars.problems import Problem

    predictor = Predictor(checkpoint, device="cpu" if device == "auto" else device)
    advance = stages(f"predicting with {target.name.removesuffix('-predictions.jsonl')}", len(records))
    with prediction_file(target, {"model": predictor.name}, _BATCH) as file:
        items = items_of(folder, records)
        for steps in predict_items(predictor, items, batch_size=_BATCH, skip=file.finished):
            outcomes = [step.outcome for step in steps]
            file.write([each for each in outcomes if isinstance(each, Prediction)])
            problems.extend(each for each in outcomes if isinstance(each, Problem))
            advance(len(steps))
        file.complete()


def items_of(folder: Path, records: Iterable[ImageRecord]) -> Iterator[Any]:
    """The images of some records as `synthscars.legion.running.Item`s."""
    from functools import partial

    from synthscars.legion.running import Item
    from synthscars.release.files import EmbeddedImages

    images = EmbeddedImages(folder)

    def load(image_id: str) -> bytes:
        data = images(image_id)
        if data is None:
            raise ReleaseError("its bytes are not in the release", fix="fetch or build it again")
        return data

    for record in records:
        yield Item(record.file_name, partial(load, record.image_id), record.image_id)


def checkpoint_digest(checkpoint: Path) -> str:
    """One sha256 for what a model is: its weights, configuration and tokenizer.

    What training wrote down beside them does not count. Raises `UsageError` if it is no checkpoint.
    """
    paths = sorted(
        path
        for path in checkpoint.glob("*")
        if path.is_file()
        and path.suffix in (".json", ".safetensors", ".txt", ".model", ".jinja")
        and path.name != SETTINGS_NAME
        and not path.name.startswith((".", "trainer_state"))
    )
    if not any(path.suffix == ".safetensors" for path in paths):
        raise UsageError(
            f"{checkpoint} is not a checkpoint: it has no weights (*.safetensors)",
            fix="name a folder that `synthscars legion train` wrote",
        )
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()
