"""Errors that end a command, and problems that do not.

An *error* is raised when the work cannot be done at all. A *problem* is something wrong with one item of
many: it is collected, the item is set aside, and the rest of the work goes on.

The tree of errors::

    SynthScarsError
    ├── UsageError           the call makes no sense                          exit 2
    ├── WorkspaceError       the workspace is missing, damaged or in use      exit 3
    ├── FormatError          a whole file is not what it claims to be         exit 3
    │   └── ImageError       an image cannot be used; has a problem code
    ├── PlatformError        Label Studio cannot be installed, run or reached exit 3
    └── ReleaseError         a release cannot be built or read                exit 3
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

Severity = Literal["error", "warning", "info"]
"""`error`: the item was set aside. `warning`: used, but look at it. `info`: nothing is wrong."""

_ORDER: dict[Severity, int] = {"error": 0, "warning": 1, "info": 2}


class SynthScarsError(Exception):
    """Base of every error that synthscars raises on purpose.

    `fix` says what the reader can do about it; `exit_code` is what the command line ends with.
    """

    exit_code = 3

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix


class UsageError(SynthScarsError):
    """The call makes no sense: a bad option, a version that is not one."""

    exit_code = 2


class WorkspaceError(SynthScarsError):
    """The workspace is missing, damaged, or another process is writing to it."""


class FormatError(SynthScarsError):
    """A whole file is not what it claims to be, so nothing in it can be read."""


class ImageError(FormatError):
    """An image cannot be used. `code` is the code of the `Problem` to report (`image.damaged`)."""

    def __init__(self, message: str, *, code: str, fix: str = "") -> None:
        super().__init__(message, fix=fix)
        self.code = code


class PlatformError(SynthScarsError):
    """Label Studio cannot be installed, started or reached, or refused a request."""


class ReleaseError(SynthScarsError):
    """A release cannot be built or read."""


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is wrong with one item.

    `code` is stable and dotted (`image.truncated`); `file`, `image` and `region` say where, as precisely as
    is known; `what` says what was seen, `fix` what to do; `count`: how many things of a kind it stands for.
    """

    code: str
    what: str
    fix: str = ""
    severity: Severity = "error"
    file: str = ""
    image: str = ""
    region: str = ""
    count: int = 1

    @property
    def where(self) -> str:
        """File, image and region in one line, as far as they are known."""
        parts = [self.file, f"image {self.image}" if self.image else "", self.region]
        return ", ".join(part for part in parts if part)

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        fix = f" ({self.fix})" if self.fix else ""
        return f"{self.severity} {self.code}: {where}{self.what}{fix}"


class Problems:
    """Collects the problems of one run, to be reported together at its end."""

    def __init__(self, problems: Iterable[Problem] = ()) -> None:
        self._problems: list[Problem] = list(problems)

    def add(
        self,
        code: str,
        what: str,
        *,
        fix: str = "",
        severity: Severity = "error",
        file: str = "",
        image: str = "",
        region: str = "",
        count: int = 1,
    ) -> Problem:
        """Record one problem and return it."""
        problem = Problem(
            code=code,
            what=what,
            fix=fix,
            severity=severity,
            file=file,
            image=image,
            region=region,
            count=count,
        )
        self._problems.append(problem)
        return problem

    def extend(self, problems: Iterable[Problem]) -> None:
        """Record problems that were found elsewhere (another thread, another shard)."""
        self._problems.extend(problems)

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._problems)

    def __len__(self) -> int:
        return len(self._problems)

    def by_severity(self) -> list[Problem]:
        """All problems, errors first; within a severity in the order in which they were found."""
        return sorted(self._problems, key=lambda problem: _ORDER[problem.severity])

    def counts(self) -> dict[str, int]:
        """How many problems each severity has; severities without any are left out."""
        found = Counter(problem.severity for problem in self._problems)
        return {severity: found[severity] for severity in _ORDER if found[severity]}

    @property
    def failed(self) -> bool:
        """Whether any item had to be set aside (exit code 1)."""
        return any(problem.severity == "error" for problem in self._problems)

    def to_json(self) -> list[dict[str, str | int]]:
        """All problems as plain dictionaries, errors first, empty fields left out."""
        return [msgspec.to_builtins(problem) for problem in self.by_severity()]
