"""Is a release worth publishing: can it be learned from, and does it not give itself away?

`verify_release` holds a model against trivial answers (`trivial`), against itself on shuffled labels, and
against people (`humans`); looks for leaks (`leaks`); decides by named criteria (`gate`); lists labels that
are likely wrong (`suspects`); and writes `verification.json` (`result`) and a page (`page`) into the release.
"""

from synthscars.verify.models import Training
from synthscars.verify.plant import plant_errors
from synthscars.verify.result import Criterion, Verification, read_verification
from synthscars.verify.run import Plan, verify_release

__all__ = [
    "Criterion",
    "Plan",
    "Training",
    "Verification",
    "plant_errors",
    "read_verification",
    "verify_release",
]
