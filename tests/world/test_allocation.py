"""What is freed goes back to the system. In a process of its own: the settings are for good."""

import subprocess
import sys

SCRIPT = """
import ctypes
from podium.world.allocation import LARGE_BYTES, give_back_early
assert give_back_early() or not hasattr(ctypes.CDLL(None), "mallopt")
def resident():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1]) * 1024
def block(size):
    return bytearray(b"x") * size
block(24 << 20)  # with the usual settings, what is smaller comes from the heap from now on
before = resident()
kept, gone = [], []
for _ in range(40):
    gone.append(block(2 * LARGE_BYTES))
    kept.append(block(100_000))
gone.clear()
print((resident() - before) // 1024)
"""


def test_large_blocks_between_small_ones_go_back() -> None:
    shown = subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True).stdout
    assert int(shown) < 40 * 100 + 4_000
