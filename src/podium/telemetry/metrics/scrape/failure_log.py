"""scrape_failure_log_file: failed scrapes as lines of JSON, for those who look for the target that fails now and then.

Bound: beyond FILE_BYTES_MAX the file is renamed to `FILE.1` and begun anew. A file that cannot be written to is said once, and otherwise ignored.
Source: the fields of Prometheus' own (time, level, msg, job_name, target).
"""

from pathlib import Path

import orjson

from podium.instrument.log import logger
from podium.telemetry.metrics.scrape.targets import Target
from podium.world.interface import World

FILE_BYTES_MAX = 64 * 1024 * 1024

log = logger("metrics.scrape")


class FailureLog:
    def __init__(self, path: str, job: str, world: World) -> None:
        self._path = Path(path)
        self._job = job
        self._world = world
        self._broken = False

    def write(self, target: Target, error: str) -> None:
        line = {
            "time": self._world.clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": "ERROR",
            "msg": error,
            "job_name": self._job,
            "target": target.url,
        }
        try:
            with self._path.open("ab") as file:
                file.write(orjson.dumps(line) + b"\n")
                size = file.tell()
            if size > FILE_BYTES_MAX:
                self._path.replace(self._path.with_name(self._path.name + ".1"))
            self._broken = False
        except OSError as failure:
            if not self._broken:
                log.error("the log of failed scrapes cannot be written", path=str(self._path), error=str(failure))
            self._broken = True
