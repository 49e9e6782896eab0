"""How the C library hands out memory, for processes whose memory comes and goes in large pieces.

glibc raises the size from which a block is a mapping of its own with every such block that is freed, up to 32 MiB; what is smaller comes from heaps,
one or more a thread, which go back to the system only from their end. A process that makes arrays of some megabytes now and then so keeps a third
more than it uses. With fixed thresholds they are mappings again, and go when they are freed.

Source: mallopt(3).
"""

import ctypes

LARGE_BYTES = 256 * 1024
"""Blocks from this size on are mappings: to make one costs some microseconds and the pages' zeroing."""
HEAPS_MAX = 2
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8


def give_back_early() -> bool:
    """For this process, from now on; call it before there are threads. False where the C library knows no such settings."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = ((_MMAP_THRESHOLD, LARGE_BYTES), (_TRIM_THRESHOLD, LARGE_BYTES), (_ARENA_MAX, HEAPS_MAX))
    return all(mallopt(option, value) == 1 for option, value in settings)
