"""Keeps container logs bounded: a log over LOG_BYTES_MAX is renamed away, and the oldest of more than LOG_FILES_MAX files are removed.

The writer must open its file anew once it was renamed: process shims look by themselves; container runtimes are asked through
`reopen_log`, when they have it. Without that the file is copied and cut, which loses what is written in between.

Source: kubelet/logs/container_log_manager.go (sizes and names).
"""

import os
import shutil
from pathlib import Path
from typing import Protocol, runtime_checkable

from podium.node.runtime.interface import ContainerState, ContainerStatus

LOG_BYTES_MAX = 10 * 1024 * 1024
LOG_FILES_MAX = 5


@runtime_checkable
class ReopensLogs(Protocol):
    async def reopen_log(self, container_id: str) -> None: ...


async def rotate(runtime: object, containers: list[ContainerStatus], stamp: str, bytes_max: int = LOG_BYTES_MAX) -> int:
    """Rotates the logs that are too long; how many. `stamp` names the rotated files and sorts by time."""
    rotated = 0
    for container in containers:
        path = Path(container.log_path) if container.log_path else None
        if path is None or container.state is not ContainerState.RUNNING or _size(path) <= bytes_max:
            continue
        away = path.with_name(f"{path.name}.{stamp}")
        if isinstance(runtime, ReopensLogs):
            path.rename(away)
            await runtime.reopen_log(container.id)
        elif container.image_ref.startswith("process://"):
            path.rename(away)
        else:
            _copy_and_cut(path, away)
        _drop_oldest(path)
        rotated += 1
    return rotated


def remove(path: Path) -> None:
    """A log that nobody can ask for any more, with what was rotated away."""
    for file in [path, *path.parent.glob(f"{path.name}.*")]:
        file.unlink(missing_ok=True)


def _copy_and_cut(path: Path, away: Path) -> None:
    shutil.copyfile(path, away)
    os.truncate(path, 0)


def _drop_oldest(path: Path) -> None:
    rotated = sorted(path.parent.glob(f"{path.name}.*"))
    for old in rotated[: max(0, len(rotated) - (LOG_FILES_MAX - 1))]:
        old.unlink(missing_ok=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
