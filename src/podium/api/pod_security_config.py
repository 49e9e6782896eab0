"""What PodSecurity holds where a namespace says nothing, and who is exempt from it."""

import re
from dataclasses import dataclass

LATEST = 10_000
"""The minor version of what is always the newest: later than all there will be."""

LEVELS = ("privileged", "baseline", "restricted")
MODES = ("enforce", "audit", "warn")
VERSION = re.compile(r"v1\.(0|[1-9][0-9]*)")


@dataclass(frozen=True, slots=True)
class Standard:
    level: str = "privileged"
    version: str = "latest"

    @property
    def minor(self) -> int:
        return LATEST if self.version == "latest" else int(self.version[3:])

    def __str__(self) -> str:
        return f"{self.level}:{self.version}"


@dataclass(frozen=True, slots=True)
class PodSecurity:
    """The three standards of namespaces without labels; user names, runtime classes and namespaces that are not asked."""

    enforce: Standard = Standard()
    audit: Standard = Standard()
    warn: Standard = Standard()
    users: frozenset[str] = frozenset()
    runtime_classes: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()

    def standard(self, mode: str) -> Standard:
        found: Standard = getattr(self, mode)
        return found


NO_SETTINGS = PodSecurity()
