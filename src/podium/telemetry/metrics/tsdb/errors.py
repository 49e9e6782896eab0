"""Errors of the store. What crosses to other packages is MetricsError's kin (telemetry/metrics/errors.py)."""

from pathlib import Path

from podium.telemetry.metrics.errors import StorageFailed


class DirectoryInUse(StorageFailed):
    """Another process holds the directory: stop it, or choose another."""


class Damaged(StorageFailed):
    """Bytes on disk are not what was written: the file is to be set aside, nothing else is harmed."""

    def __init__(self, path: Path | str, what: str) -> None:
        super().__init__(f"{path}: {what}")
        self.path = Path(path)
        self.what = what
