"""What a command frees is kept by its process."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_MAPPED = """
import resource, sys
from synthscars.legion.memory import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()
for _ in range(3):  # the first grows the heap
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    b"1" * 40_000_000
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pages_mapped(how: str) -> int:
    """For 40 MB that had been there and were freed."""
    ended = subprocess.run(
        [sys.executable, "-c", _MAPPED, how], check=True, stdout=subprocess.PIPE, text=True, timeout=60
    )
    return int(ended.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no mallopt")
def test_freed_memory_is_not_asked_for_again() -> None:
    assert pages_mapped("kept") < 100
    assert pages_mapped("given back") > 1000
