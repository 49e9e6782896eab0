"""Metrics that other programs leave in files: textfile.

Every `*.prom` of the folder is read (FILES_MAX of them). A file that cannot be read, that has timestamps, or a family that another file gave another
meaning is left out and shown in node_textfile_scrape_error; the others are unharmed.

Source: node exporter's collector of this name.
"""

import os

from podium.instrument.exposition import Family, Page
from podium.instrument.log import logger
from podium.telemetry.exporters.errors import BadExposition
from podium.telemetry.exporters.node.sources import Roots, read
from podium.telemetry.exporters.text_format import parse_text

FILES_MAX = 1000

log = logger("exporters.textfile")


def textfiles(roots: Roots, page: Page) -> None:
    failed = False
    if roots.textfiles:
        try:
            names = [name for name in sorted(os.listdir(roots.textfiles)) if name.endswith(".prom")]
        except OSError as error:
            log.warning("textfile folder", folder=roots.textfiles, error=str(error))
            names, failed = [], True
        for name in names[:FILES_MAX]:
            path = os.path.join(roots.textfiles, name)
            try:
                _take(path, parse_text(read(path)), page)
            except (OSError, BadExposition) as error:
                log.warning("textfile", file=path, error=str(error))
                failed = True
        if len(names) > FILES_MAX:
            log.warning("too many textfiles", folder=roots.textfiles, found=len(names), files_max=FILES_MAX)
            failed = True
    page.gauge("node_textfile_scrape_error", "1 when a file could not be used, 0 otherwise.", failed)


def _take(path: str, families: dict[str, Family], page: Page) -> None:
    """Raises BadExposition."""
    for family in families.values():
        if family.timestamps_ms:
            raise BadExposition(f"{family.name} has timestamps, which is not supported")
        other = page.families.get(family.name)
        if other is not None and other.kind != family.kind:
            raise BadExposition(f"{family.name} is a {family.kind} here and a {other.kind} elsewhere")
        if other is not None and not other.samples.keys().isdisjoint(family.samples):
            raise BadExposition(f"{family.name} has a label set that is there already")
    for family in families.values():
        page.family(family.name, family.kind, family.text or f"Metric read from {path}").samples.update(family.samples)
    text = "When a file was changed last, in seconds since the epoch."
    page.gauge("node_textfile_mtime_seconds", text, os.stat(path).st_mtime, (("file", path),))
