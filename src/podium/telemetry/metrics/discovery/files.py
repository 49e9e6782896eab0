"""file_sd_configs: target groups in files, read again when one changes.

Files are looked at (names, times, sizes) every WATCH_S, and read whole when any of that changed, and every refresh_interval anyway. A file that is
wrong keeps the groups it had; one that is gone loses them. Source: Prometheus' <file_sd_config>.
"""

import asyncio
import glob
from pathlib import Path

from podium.instrument.log import logger
from podium.telemetry.metrics.configuration.discovery import FileDiscoveryConfig
from podium.telemetry.metrics.discovery.group_files import read_json, read_yaml
from podium.telemetry.metrics.discovery.groups import META, Sink, TargetGroup
from podium.telemetry.metrics.discovery.refreshing import DiscoveryFailed, Shrinking
from podium.world.interface import World

WATCH_S = 1.0
FILE_PATH = META + "filepath"

log = logger("metrics.discovery")
_Stamps = dict[str, tuple[int, int, int]]


class FileDiscoverer:
    def __init__(self, config: FileDiscoveryConfig, world: World) -> None:
        self._config = config
        self._world = world
        self._known = Shrinking()
        self._complaints: dict[str, str] = {}

    async def run(self, sink: Sink) -> None:
        stamps: _Stamps | None = None
        read_s = 0.0
        while True:
            now, found = self._world.clock.monotonic(), self._stamps()
            if found != stamps or now - read_s >= self._config.refresh_interval / 1000:
                sink(self.read(found))
                stamps, read_s = found, now
            await asyncio.sleep(WATCH_S)

    def _stamps(self) -> _Stamps:
        found: _Stamps = {}
        for pattern in self._config.files:
            for path in sorted(glob.glob(pattern)):
                try:
                    status = Path(path).stat()
                except OSError:
                    continue  # it was removed just now
                found[path] = (status.st_mtime_ns, status.st_size, status.st_ino)
        return found

    def read(self, paths: _Stamps) -> list[TargetGroup]:
        groups: list[TargetGroup] = []
        for path in paths:
            try:
                groups += self._known.complete(path, self._read(path))
                self._complaints.pop(path, None)
            except (DiscoveryFailed, OSError) as error:
                if self._complaints.get(path) != str(error):
                    log.error("a file with targets cannot be read", path=path, error=str(error))
                self._complaints[path] = str(error)
        for path in self._known.places():
            if path not in paths:
                groups += self._known.complete(path, [])
        return groups

    def _read(self, path: str) -> list[TargetGroup]:
        read = read_json if path.lower().endswith(".json") else read_yaml
        return read(Path(path).read_bytes(), path, FILE_PATH)
