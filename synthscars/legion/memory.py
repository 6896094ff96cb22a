"""Memory that is freed is kept for what comes next."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""What glibc's <malloc.h> calls M_TRIM_THRESHOLD and M_MMAP_THRESHOLD."""


def keep_freed_memory() -> None:
    """Have the C library keep big blocks that are freed, for this process and from now on.

    A training step frees what the next one needs again. Handed back to the system, it comes back page by
    page: 8,500 page faults a step of the warm-up, instead of 700. For commands, whose process is ours. Does
    nothing where there is no glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no such function; no such way to look for it
        return
    mallopt(_MMAP_THRESHOLD, 1 << 30)
    mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)
