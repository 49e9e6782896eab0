"""Memory file systems for emptyDir volumes, by system call: a fork of an agent full of gRPC threads is slow and warned of.

Source: mount(2), umount2(2).
"""

import ctypes
import os
from pathlib import Path

_NOSUID, _NODEV = 2, 4
_DETACH = 2


def mount(path: Path, options: str) -> None:
    """Raises OSError."""
    _call("mount", b"tmpfs", os.fsencode(path), b"tmpfs", ctypes.c_ulong(_NOSUID | _NODEV), options.encode())


def unmount(path: Path) -> None:
    """At once, even while something below is open. Raises OSError."""
    _call("umount2", os.fsencode(path), _DETACH)


def is_mounted(path: Path) -> bool:
    return os.path.ismount(path)


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
