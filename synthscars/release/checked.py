"""Looks at a release that was just built, before it takes its name."""

from __future__ import annotations

from pathlib import Path

import msgspec

from synthscars.files import atomic_file
from synthscars.problems import Problems
from synthscars.release.check.run import CHECKS_NAME, check, encode_checks
from synthscars.release.filing import Stages


def check_built(
    folder: Path,
    version: str,
    images: int,
    problems: Problems,
    *,
    previous: Path | None,
    language: str,
    workers: int | None,
    stages: Stages,
) -> None:
    """Check the release in `folder` and write `checks.json` there; errors are added to `problems`.

    What else is found is in that file, and `synthscars release check` shows it. previous, language: see
    `check`.
    """
    found = Problems()
    advance = stages("checking", images)
    report = check(
        folder,
        found,
        format="release",
        previous=previous,
        language=language,
        workers=workers,
        progress=advance,
    )
    with atomic_file(folder / CHECKS_NAME) as file:
        # The folder does not have its name yet.
        file.write(encode_checks(msgspec.structs.replace(report, name=version), found))
    problems.extend(
        msgspec.structs.replace(problem, file=f"{version}/{problem.file}" if problem.file else version)
        for problem in found
        if problem.severity == "error"
    )
