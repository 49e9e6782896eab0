"""Memory: meminfo, vmstat.

Source: proc(5); node exporter's collectors of these names.
"""

import re

from podium.instrument.exposition import Page
from podium.telemetry.exporters.node.sources import Roots, required, rows

VMSTAT_FIELDS = re.compile(r"(oom_kill|pgpg|pswp|pg.*fault).*")


def memory(roots: Roots, page: Page) -> None:
    for line in required(f"{roots.proc}/meminfo").splitlines():
        field, _, rest = line.partition(":")
        words = rest.split()
        if not words:
            continue
        name = field.replace("(", "_").replace(")", "")
        in_bytes = len(words) > 1
        value = int(words[0]) * 1024 if in_bytes else int(words[0])
        page.gauge(f"node_memory_{name}{'_bytes' if in_bytes else ''}", f"{field} of /proc/meminfo.", value)


def virtual_memory(roots: Roots, page: Page) -> None:
    for words in rows(f"{roots.proc}/vmstat"):
        if VMSTAT_FIELDS.fullmatch(words[0]):
            page.untyped(f"node_vmstat_{words[0]}", f"{words[0]} of /proc/vmstat.", float(words[1]))
