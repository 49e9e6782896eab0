"""Files of a volume, replaced all at once: readers see the old set or the new one, never a mixture.

    volume/
      ..2026_01_02_03_04_05.000001/   config.yaml  sub/key
      ..data -> ..2026_01_02_03_04_05.000001
      config.yaml -> ..data/config.yaml
      sub -> ..data/sub

An update writes a new dated directory, renames a new `..data` link over the old one, and removes the old directory. A crash in between
leaves at most a directory that the next update removes.

Source: k8s.io/kubernetes pkg/volume/util/atomic_writer.go.
"""

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

DATA = "..data"
NEW_DATA = "..data_tmp"


@dataclass(frozen=True, slots=True)
class File:
    data: bytes
    mode: int


Payload = dict[str, File]
"""By path relative to the volume, `/` between parts."""


class BadPath(ValueError):
    """A path that leads out of its volume."""


def check_path(path: str) -> None:
    """Raises BadPath."""
    parts = path.split("/")
    if not path or path.startswith("/") or ".." in parts or parts[0].startswith("..") or len(path.encode()) > 4096:
        raise BadPath(f"invalid path: {path!r} must be relative and may not lead out of the volume")


def write(directory: Path, payload: Payload, stamp: str, group: int | None = None) -> bool:
    """Makes `directory` show exactly `payload`; whether anything changed. `stamp` names the new version and must be new.
    `group` owns the files then, and may read them. Raises BadPath, OSError."""
    for path in payload:
        check_path(path)
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    current = _current(directory)
    if current is not None and _read(current) == payload:
        return False
    version = directory / f"..{stamp}"
    version.mkdir(mode=0o755)
    for path, file in sorted(payload.items()):
        _write_file(version / path, file, group)
    link = directory / NEW_DATA
    with suppress(FileNotFoundError):
        link.unlink()
    link.symlink_to(version.name)
    link.rename(directory / DATA)
    _link_visible(directory, payload)
    for leftover in directory.glob("..[0-9]*"):
        if leftover.name != version.name:
            shutil.rmtree(leftover, ignore_errors=True)
    return True


def _write_file(path: Path, file: File, group: int | None) -> None:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(file.data)
        os.fchmod(opened.fileno(), file.mode | (0o040 if group is not None else 0))
        if group is not None:
            os.fchown(opened.fileno(), -1, group)


def _link_visible(directory: Path, payload: Payload) -> None:
    wanted = {path.split("/", 1)[0] for path in payload}
    for name in sorted(wanted):
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(f"{DATA}/{name}")
    for entry in directory.iterdir():
        if not entry.name.startswith("..") and entry.name not in wanted:
            entry.unlink()


def _current(directory: Path) -> Path | None:
    try:
        return directory / os.readlink(directory / DATA)
    except OSError:
        return None


def _read(version: Path) -> dict[str, File]:
    """What a version holds. A group's read bit is taken for part of the mode: then the volume is just written anew."""
    found = {}
    for path in sorted(version.rglob("*")):
        if path.is_file():
            found[str(path.relative_to(version))] = File(path.read_bytes(), path.stat().st_mode & 0o7777)
    return found
