"""Build hook: extracts the Kubernetes schemas and resource table into the package.

They come from two pinned build-time packages (see pyproject.toml) and are never committed.
"""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class SchemaHook(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        sys.path.insert(0, str(root / "tools"))
        import extract_schemas

        extract_schemas.extract(root / "src/podium/objects/generated")
