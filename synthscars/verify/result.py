"""`verification.json`: what was held against what, with which figures, and whether the release passed.

The same release, model and settings give the same bytes: there are no times and no paths in it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from synthscars.metrics import Figure
from synthscars.problems import ReleaseError
from synthscars.release.verified import FORMAT, VERIFICATION_NAME, VERSION
from synthscars.settings import VerifySettings
from synthscars.shown import escape_json

Verdict = Literal["passed", "failed", "not_applicable"]
Kind = Literal["model", "trivial", "shuffled", "human"]


class Criterion(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a release must show.

    group: `data`, `trivial`, `shuffled` or `leaks`. what: the claim, in words. metric: the figure that it is
    about, `""` if none. value: what was found; low, high: its interval, `None` if it is a plain count.
    rule, threshold: it passes if `decisive` (the value itself, or the named end of its interval) is at least
    (`>=`) or at most (`<=`) the threshold. confidence: of the interval. why: what there is to say about the
    verdict.
    """

    name: str
    group: Literal["data", "trivial", "shuffled", "leaks"]
    what: str
    metric: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    rule: Literal[">=", "<="] = ">="
    decisive: Literal["value", "low", "high"] = "value"
    threshold: float
    confidence: float | None = None
    verdict: Verdict
    why: str = ""


class Scored(msgspec.Struct, frozen=True, kw_only=True):
    """One way to answer and its figures on the test split. metrics: the figures that it speaks for."""

    name: str
    kind: Kind
    title: str
    metrics: tuple[str, ...]
    figures: dict[str, Figure]


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """What was held against the trivial answers.

    name: as the model or the header of its file says. digest: sha256 of what it is made of: the files of a
    checkpoint, or the file of predictions. made: `trained` here, a `checkpoint`, or a file of `predictions`.
    training: with which settings it was trained, as far as they are known.
    """

    name: str
    digest: str
    made: Literal["trained", "checkpoint", "predictions"]
    training: dict[str, Any] = {}


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """The release that was looked at. images: by split, those that somebody judged."""

    name: str
    version: str
    manifest_sha256: str
    images: dict[str, int]
    artifacts: dict[str, int]


class Ceiling(msgspec.Struct, frozen=True, kw_only=True):
    """How well people do it: each rater's answer against what the others of the image agree on.

    images, answers: how many there are. reached: figure → that of the model by that of the raters. why: if
    there is none, the reason.
    """

    images: int = 0
    answers: int = 0
    reached: dict[str, float] = {}
    why: str = ""


class LabelErrors(msgspec.Struct, frozen=True, kw_only=True):
    """The review list. artifacts: that were ranked; listed: in the file; methods: how many by which way."""

    artifacts: int = 0
    listed: int = 0
    methods: dict[str, int] = {}
    sha256: str = ""


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What is in `verification.json`. verified: whether no criterion failed; reasons: those that did.

    tools: versions that the figures depend on. thresholds: with which `[verify]` settings.
    """

    format: str = FORMAT
    version: int = VERSION
    verified: bool
    reasons: tuple[str, ...]
    release: Release
    model: Model
    shuffled: Model | None = None
    seed: int
    thresholds: VerifySettings
    criteria: tuple[Criterion, ...]
    answers: tuple[Scored, ...]
    ceiling: Ceiling
    label_errors: LabelErrors
    tools: dict[str, str]


def encode_verification(found: Verification) -> bytes:
    """The file as indented JSON; numbers rounded to what any machine agrees on (9 digits)."""
    value = _rounded(msgspec.to_builtins(found))
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    return escape_json(text).encode() + b"\n"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    return value


def read_verification(folder: Path) -> Verification:
    """The verification of a release. Raises `ReleaseError` if there is none, or it cannot be read."""
    path = folder / VERIFICATION_NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=Verification)
    except FileNotFoundError as error:
        raise ReleaseError(
            f"{folder} has no {VERIFICATION_NAME}", fix="write it with `synthscars verify`"
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ReleaseError(f"{path}: {error}", fix="write it again with `synthscars verify`") from error
