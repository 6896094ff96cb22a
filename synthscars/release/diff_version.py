"""Which part of the version a change asks for, and whether a version honours it.

Major: the taxonomy or the schema changed, so code that read the older release may not read the newer one.
Minor: images or columns were added, images were removed or moved between splits, or a column or class is
announced to go away: code still works, but figures are not those of the older release. Patch: anything else,
which is corrections of what is known about an image. Below 1.0.0, where nothing is promised yet, what asks
for major is content with minor.

Removed images are minor, not major: taking a picture out on somebody's wish must be a release that everybody
can take over without a change of their code.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from synthscars.release.manifest import version_key

Part = Literal["none", "patch", "minor", "major"]

_ORDER: tuple[Part, ...] = ("none", "patch", "minor", "major")


class Bump(msgspec.Struct, frozen=True):
    """needed: the part that the changes ask for; reasons: those changes.

    lowest: the lowest version after the older one that honours it, `""` if the older one's is not known.
    honoured: whether the newer release has such a version, `None` if one of them is not known.
    """

    needed: Part
    reasons: tuple[str, ...]
    lowest: str
    honoured: bool | None


def judge(before: str, after: str, changes: dict[Part, list[str]]) -> Bump:
    """The part that is needed, and whether `after` honours it.

    before, after: versions, `""` if unknown. changes: what asks for each part, in words.
    """
    needed: Part = "none"
    for part in _ORDER:
        needed = part if changes.get(part) else needed
    reasons = tuple(changes.get(needed, []))
    if not before:
        return Bump(needed, reasons, "", None)
    lowest = lowest_version(before, needed)
    honoured = version_key(after) >= version_key(lowest) if after else None
    return Bump(needed, reasons, lowest, honoured)


def lowest_version(version: str, part: Part) -> str:
    """The next version in which `part` is raised: 1.2.3 → 1.2.4, 1.3.0 or 2.0.0."""
    major, minor, patch = version_key(version)
    if part == "none":
        return version
    if part == "patch":
        return f"{major}.{minor}.{patch + 1}"
    if part == "minor" or major == 0:
        return f"{major}.{minor + 1}.0"
    return f"{major + 1}.0.0"
