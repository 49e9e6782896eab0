"""The lock on a data directory: one process at a time, named when it is in the way.

An flock on a file that holds the pid: the kernel lets go of it however the process ends (kill -9 too), so there are no stale locks and
the file may stay. The pid in it only serves the message.
"""

import fcntl
import os
import subprocess
from pathlib import Path

from podium.store.errors import StoreError, StoreLocked


class FileLock:
    def __init__(self, path: Path) -> None:
        """Raises StoreLocked when another process (or another store in this one) holds it, StoreError when the file cannot be made."""
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(
                f"cannot write to {path.parent}: {error.strerror}; choose another data directory or change its owner"
            ) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._descriptor, 32, 0).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise StoreLocked(f"{path.parent} is in use by {_describe(holder)}; stop it first or choose another data directory") from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, b"%d\n" % os.getpid(), 0)

    def release(self) -> None:
        """Idempotent."""
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1


def _describe(pid: str) -> str:
    """`process 4711 (podium up --data-dir /x)`."""
    if not pid.isdigit():
        return "another process"
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        command = b" ".join(words).decode(errors="replace")
    except OSError:  # no /proc: not Linux, or another user's
        command = subprocess.run(["ps", "-o", "command=", "-p", pid], capture_output=True, text=True, check=False).stdout.strip()
    return f"process {pid} ({command})" if command else f"process {pid}"
