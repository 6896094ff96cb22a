"""What changed of the regions that every rater drew, as numbers: told one by one they would be a page."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from synthscars.release.diff_match import match
from synthscars.release.diff_model import FieldChange, RaterChange
from synthscars.release.features import Row

RATERS = "rater_artifacts"


def compare_raters(
    before: Any, after: Any, width: int, height: int
) -> tuple[tuple[RaterChange, ...], list[FieldChange]]:
    """The raters whose regions changed; where the regions are known (not null) in one release only, that as
    the change of a field, with how many there are.

    before, after: the values of the column. width, height: pixels of the image. A rater's regions are matched
    among themselves, as those of an image are (see `match`). That they are in another order is no change.
    """
    if before is None or after is None:
        was, now = _told(before), _told(after)
        return (), [FieldChange(RATERS, was, now)] if was != now else []
    old, new = _by_rater(before), _by_rater(after)
    found = []
    for rater in sorted(old.keys() | new.keys()):
        drawn = old.get(rater, []), new.get(rater, [])
        if drawn[0] == drawn[1]:
            continue
        pairs = match(*drawn, width, height)
        differing = [(drawn[0][i], drawn[1][j]) for i, j, _ in pairs if drawn[0][i] != drawn[1][j]]
        redrawn = sum(one.get("polygons") != other.get("polygons") for one, other in differing)
        change = RaterChange(
            rater_id=rater,
            added=len(drawn[1]) - len(pairs),
            removed=len(drawn[0]) - len(pairs),
            redrawn=redrawn,
            corrected=len(differing) - redrawn,
        )
        if change.added or change.removed or differing:
            found.append(change)
    return tuple(found), []


def _by_rater(regions: Any) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for region in regions if isinstance(regions, list) else ():
        if isinstance(region, dict):
            found[str(region.get("rater_id") or "")].append(region)
    return found


def _told(regions: Any) -> str | None:
    if regions is None:
        return None
    found = _by_rater(regions)
    count = sum(map(len, found.values()))
    return f"{count} region{'s' * (count != 1)} of {len(found)} rater{'s' * (len(found) != 1)}"
