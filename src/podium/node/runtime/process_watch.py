"""Tells when a process ends, from the event loop: by pidfd, so without polling, without a signal handler, and for processes that are
not our children."""

import asyncio
import os
from collections.abc import Callable


class ProcessWatch:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def close(self) -> None:
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1


def on_exit(pid: int, callback: Callable[[], None]) -> ProcessWatch:
    """Calls back once, soon, from the loop; also when the process has ended already but was not reaped. Raises ProcessLookupError."""
    watch = ProcessWatch(os.pidfd_open(pid))

    def ended() -> None:
        watch.close()
        callback()

    asyncio.get_running_loop().add_reader(watch._descriptor, ended)
    return watch
