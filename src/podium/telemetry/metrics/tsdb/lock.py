"""The lock on the store's directory: an flock on a file that holds the pid, so the kernel lets go of it however the process ends."""

import fcntl
import os
from pathlib import Path

from podium.telemetry.metrics.errors import StorageFailed
from podium.telemetry.metrics.tsdb.errors import DirectoryInUse


class DirectoryLock:
    def __init__(self, directory: Path) -> None:
        """Raises DirectoryInUse when another process (or another store of this one) holds it, StorageFailed when it cannot be made."""
        path = directory / "lock"
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageFailed(f"cannot write to {directory}: {error.strerror}; choose another directory or change its owner") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._descriptor, 32, 0).decode(errors="replace").strip()
            os.close(self._descriptor)
            named = f"process {holder}" if holder.isdigit() else "another process"
            raise DirectoryInUse(f"{directory} is in use by {named}; stop it first or choose another directory") from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, b"%d\n" % os.getpid(), 0)

    def release(self) -> None:
        """Idempotent."""
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1
