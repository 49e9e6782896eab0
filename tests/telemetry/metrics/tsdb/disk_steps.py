"""A disk whose every step can be the last: what changes files is counted, and at a chosen step the process ends or the disk is full.

Steps are calls that change a directory or a file (open for writing, write, sync, rename, unlink, truncate, mkdir, rmdir, link), so every
boundary between two of them is one where kill -9 may come. `torn` lets half of a write happen first.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from podium.telemetry.metrics.tsdb import block

COUNTED = ("fsync", "fdatasync", "rename", "unlink", "truncate", "mkdir", "rmdir", "link")
NEED_SPACE = frozenset({"open", "pwrite", "write", "mkdir", "link", "fsync", "fdatasync"})
"""What a full disk refuses."""
KILLED = 77
"""A killed process's exit code."""


@dataclass(slots=True)
class Disk:
    """`at`: the step (from 0) where it happens, -1: never. `full` steps in a row fail; 0: the process ends there instead."""

    at: int = -1
    full: int = 0
    torn: bool = False
    steps: list[str] = field(default_factory=list)
    failed: int = 0

    def step(self, name: str, half: Callable[[], object] | None = None) -> None:
        number = len(self.steps)
        self.steps.append(name)
        if self.full:
            if self.at <= number and self.failed < self.full and name in NEED_SPACE:
                self.failed += 1
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        elif number == self.at:
            if self.torn and half is not None:
                half()
            os._exit(KILLED)


class _File:
    """An open file of a block."""

    def __init__(self, disk: Disk, file: Any) -> None:
        self._disk = disk
        self._file = file

    def write(self, data: Any) -> int:
        self._disk.step("write", lambda: self._file.write(bytes(data)[: len(data) // 2]) and self._file.flush())
        return int(self._file.write(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, *about: object) -> None:
        self._file.close()


@contextmanager
def counted(disk: Disk) -> Iterator[None]:
    """All that the store does to files meanwhile is told to the disk first."""
    real = {name: getattr(os, name) for name in (*COUNTED, "open", "pwrite")}

    def before(name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            disk.step(name)
            return real[name](*arguments, **named)

        return call

    def open_descriptor(path: Any, flags: int, *arguments: Any, **named: Any) -> int:
        if flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR) and not os.path.exists(path):
            disk.step("open")
        return int(real["open"](path, flags, *arguments, **named))

    def pwrite(descriptor: int, data: Any, offset: int) -> int:
        disk.step("pwrite", lambda: real["pwrite"](descriptor, bytes(data)[: len(data) // 2], offset))
        return int(real["pwrite"](descriptor, data, offset))

    def open_file(path: Path, mode: str, **named: Any) -> _File:
        disk.step("open")
        return _File(disk, open(path, mode, **named))

    changed = {name: before(name) for name in COUNTED} | {"open": open_descriptor, "pwrite": pwrite}
    with patch.multiple(os, **changed), patch.object(block, "open", open_file, create=True):
        yield
