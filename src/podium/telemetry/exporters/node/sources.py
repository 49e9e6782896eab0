"""Where the node exporter reads: the kernel's files, below roots that tests replace.

`Absent` means that this machine has nothing of the kind (no such driver, no such file): the collector has no data, which is no error.
Bound: FILE_BYTES_MAX of any file.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass

FILE_BYTES_MAX = 8 * 1024 * 1024


class Absent(Exception):
    """Nothing of the kind on this machine."""


@dataclass(frozen=True, slots=True)
class Roots:
    """`root` is where the machine's own file system is seen (`/host` in a container), for etc and for mount points."""

    proc: str = "/proc"
    sys: str = "/sys"
    root: str = "/"
    udev: str = "/run/udev/data"
    textfiles: str = ""


def read(path: str) -> str:
    """The file's text without its surrounding white space. Raises OSError; FileNotFoundError when it is not there."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        data = os.read(handle, 65536)
        if len(data) >= 4096:
            while len(data) < FILE_BYTES_MAX and (more := os.read(handle, 1 << 20)):
                data += more
    finally:
        os.close(handle)
    return data.decode("utf-8", "replace").strip()


def required(path: str) -> str:
    """`read` of a file without which there is nothing to tell. Raises Absent."""
    try:
        return read(path)
    except (FileNotFoundError, NotADirectoryError):
        raise Absent(path) from None


def optional(path: str) -> str | None:
    """`read`, or None when the file is not there, may not be read, or its driver gives an error."""
    try:
        return read(path)
    except OSError:
        return None


def integer(path: str) -> int | None:
    """The number in a file, decimal or 0x; None when there is none."""
    text = optional(path)
    if not text:
        return None
    try:
        return int(text, 0) if text.startswith("0x") else int(text)
    except ValueError:
        return None


def entries(folder: str) -> list[str]:
    """Names in a folder, sorted. Raises Absent when there is no such folder."""
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        raise Absent(folder) from None


def rows(path: str) -> Iterator[list[str]]:
    """The words of each line. Raises Absent."""
    for line in required(path).splitlines():
        if words := line.split():
            yield words
