"""Looks at a finished release, or at any annotations, and says everything that is wrong with them.

`run` leads the way; each other module knows one kind of fault and nothing of the others.
"""

from synthscars.release.check.codes import CODES, Code
from synthscars.release.check.run import CHECKS_NAME, CheckReport, check, encode_checks

__all__ = ["CHECKS_NAME", "CODES", "CheckReport", "Code", "check", "encode_checks"]
