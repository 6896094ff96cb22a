"""`synthscars verify`: gets a model, judges it, and writes what it found into the release."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from synthscars.files import atomic_file
from synthscars.predictions import Prediction
from synthscars.problems import Problems, UsageError
from synthscars.records import ImageRecord
from synthscars.release.files import EmbeddedImages
from synthscars.release.filing import Stages
from synthscars.release.verified import (
    LABEL_ERRORS,
    VERIFICATION_FOLDER,
    VERIFICATION_NAME,
    VERIFICATION_PAGE,
)
from synthscars.settings import VerifySettings
from synthscars.verify import models
from synthscars.verify.inputs import Inputs, read_inputs
from synthscars.verify.judge import Judged, Shown, judge
from synthscars.verify.matches import misfits_of
from synthscars.verify.page import SUSPECTS, to_page
from synthscars.verify.result import Verification, encode_verification
from synthscars.verify.suspects import encode_errors


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Where the model comes from.

    checkpoint, predictions: of a model that is there already, else one is trained. shuffled_predictions: of
    the same model trained on shuffled labels. shuffled: whether to train that one. work: the folder of the
    stages.
    """

    checkpoint: Path | None = None
    predictions: Path | None = None
    shuffled_predictions: Path | None = None
    shuffled: bool = True
    training: models.Training = models.Training()
    device: str = "auto"
    work: Path | None = None


def verify_release(
    folder: Path,
    plan: Plan,
    problems: Problems,
    *,
    settings: VerifySettings | None = None,
    seed: int = 0,
    workers: int | None = None,
    stages: Stages = lambda _name, _total: lambda _count: None,
) -> Verification:
    """Verify the release in `folder` and write `verification.json`, the page and the list of label errors.

    Interrupted, the same call goes on from the last complete stage. Raises `ReleaseError` if the release has
    nothing to learn from or to test on, `UsageError` for a plan that contradicts itself.
    """
    _check(plan)
    inputs = read_inputs(folder, problems)
    records = [*inputs.test, *inputs.photographs, *inputs.validation]
    judged, shuffled, left_out, checkpoint = _models(folder, inputs, records, plan, problems, seed, stages)
    found = judge(
        folder,
        inputs,
        judged,
        shuffled,
        problems,
        settings=settings or VerifySettings(),
        seed=seed,
        left_out=left_out,
        workers=workers,
        stages=stages,
    )
    predictions = dict(judged.predictions)
    if checkpoint is not None and plan.work is not None:
        predictions |= _of_suspects(folder, found, checkpoint, plan, predictions, problems, stages)
    return _write(folder, found, predictions, judged.curves)


def _check(plan: Plan) -> None:
    if plan.predictions is not None and plan.checkpoint is not None:
        raise UsageError("predictions and a checkpoint are two models", fix="give one of them")
    if plan.predictions is None and plan.shuffled_predictions:
        raise UsageError(
            "what belongs to given predictions was given without them", fix="add --predictions FILE"
        )
    if plan.predictions is None and plan.work is None:
        raise UsageError("a model needs a folder to work in", fix="name one with --work DIR")


def _models(
    folder: Path,
    inputs: Inputs,
    records: list[ImageRecord],
    plan: Plan,
    problems: Problems,
    seed: int,
    stages: Stages,
) -> tuple[Judged, Judged | None, str, Path | None]:
    """The model, the one on shuffled labels or why there is none, and the model's checkpoint."""
    if plan.predictions is not None or plan.work is None:
        assert plan.predictions is not None
        # Out-of-fold predictions may be of any split.
        judged = models.from_file(plan.predictions, [*inputs.train, *records], problems)
        if plan.shuffled_predictions is None:
            return judged, None, "no predictions of a model on shuffled labels were given", None
        return judged, models.from_file(plan.shuffled_predictions, records, problems), "", None
    work = models.Work(plan.work)
    if plan.checkpoint is not None:
        checkpoint = plan.checkpoint
        judged = models.from_checkpoint(
            folder, checkpoint, records, work, problems, name="given", device=plan.device, stages=stages
        )
    else:
        checkpoint = work.folder / "model"
        judged = models.trained(
            folder, records, work, plan.training, problems, shuffled=False, device=plan.device, stages=stages
        )
    judged = judged._replace(
        misfits=misfits_of(
            folder,
            checkpoint,
            [*inputs.train, *inputs.validation, *inputs.test],
            work,
            seed=seed,
            device=plan.device,
            stages=stages,
        )
    )
    if not plan.shuffled:
        return judged, None, "left out with --no-shuffled", checkpoint
    shuffled = models.trained(
        folder,
        records,
        work,
        plan.training,
        problems,
        shuffled=True,
        device=plan.device,
        stages=stages,
        like=checkpoint,
    )
    return judged, shuffled, "", checkpoint


def _of_suspects(
    folder: Path,
    found: Shown,
    checkpoint: Path,
    plan: Plan,
    known: dict[str, Prediction],
    problems: Problems,
    stages: Stages,
) -> dict[str, Prediction]:
    """What the model says of the images on the page whose labels are suspicious."""
    assert plan.work is not None
    wanted = {error.image_id for error in found.errors[:SUSPECTS]} - known.keys()
    records = [record for group in found.inputs for record in group if record.image_id in wanted]
    if not records:
        return {}
    judged = models.from_checkpoint(
        folder,
        checkpoint,
        records,
        models.Work(plan.work),
        problems,
        name="suspects",
        device=plan.device,
        stages=stages,
    )
    return dict(judged.predictions)


def _write(
    folder: Path, found: Shown, predictions: dict[str, Prediction], curves: Path | None
) -> Verification:
    """Write all files, `verification.json` last: without it, nothing is verified."""
    target = folder / VERIFICATION_FOLDER
    (folder / VERIFICATION_NAME).unlink(missing_ok=True)
    errors = encode_errors(found.errors)
    result = found.verification
    label_errors = msgspec.structs.replace(result.label_errors, sha256=hashlib.sha256(errors).hexdigest())
    result = msgspec.structs.replace(result, label_errors=label_errors)
    with atomic_file(target / LABEL_ERRORS) as file:
        file.write(errors)
    with atomic_file(target / VERIFICATION_PAGE) as file:
        picture = EmbeddedImages(folder)
        for piece in to_page(found._replace(verification=result), predictions, picture, curves):
            file.write(piece.encode())
    with atomic_file(folder / VERIFICATION_NAME) as file:
        file.write(encode_verification(result))
    return result
