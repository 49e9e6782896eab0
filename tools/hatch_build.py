"""Build hook: extracts the Kubernetes schemas and resource table into the package, and compiles the container runtime's protocol.

The schemas come from two pinned build-time packages (see pyproject.toml); nothing generated is ever committed.
"""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class SchemaHook(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        sys.path.insert(0, str(root / "tools"))
        import compile_cri
        import extract_schemas

        extract_schemas.extract(root / "src/podium/objects/generated")
        runtime = root / "src/podium/node/runtime"
        compile_cri.compile_descriptors(runtime / "cri.proto", runtime / "generated/cri.binpb")
