"""One command at a time on a cluster: `up` and `down` take turns, by a lock on the data directory itself (flock; no file is left).

`down` does not wait until a cluster that is being started is ready: it says so in D/run/stopping first, and `up` gives way. An interrupted
`up` (Ctrl-C, a closed terminal) takes down what it started.
"""

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from podium.cli.refusal import Refusal

PATIENCE_S = 120.0
"""Longer than `up` waits for the API, and `down` for pods."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """The user does not want the command to go on."""


@contextlib.contextmanager
def turn(data_dir: Path, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Holds the directory for this command. Raises Refusal when another one does not let go of it."""
    try:
        descriptor = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise Refusal(f"data directory {data_dir} cannot be opened ({error.strerror}): choose another with --data-dir") from None
    try:
        deadline = time.monotonic() + patience_s
        while not _locked(descriptor):
            if time.monotonic() > deadline:
                raise Refusal(f"another podium command is at work on {data_dir}: wait until it has ended, or end it")
            time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Within it SIGINT, SIGTERM and SIGHUP raise Interrupted; SIGHUP not under `nohup`, which has it ignored."""

    def interrupt(*_: object) -> None:
        raise Interrupted

    heard = [number for number in SIGNALS if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Within it those signals are ignored: what is being taken down is taken down to the end."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
