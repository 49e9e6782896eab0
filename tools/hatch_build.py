"""Build hook: extracts the Kubernetes schemas and resource table into the package, and compiles protocols.

The schemas come from two pinned build-time packages (see pyproject.toml); nothing generated is ever committed.
"""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


PROTOCOLS = ("node/runtime/cri.proto", "telemetry/metrics/remote/remote.proto")
"""Each is compiled into generated/NAME.binpb beside it."""


class SchemaHook(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        sys.path.insert(0, str(root / "tools"))
        import compile_protocols
        import extract_schemas

        extract_schemas.extract(root / "src/podium/objects/generated")
        for path in PROTOCOLS:
            proto = root / "src/podium" / path
            compile_protocols.compile_descriptors(proto, proto.parent / "generated" / f"{proto.stem}.binpb")
