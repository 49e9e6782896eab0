"""Build hook: extracts the Kubernetes schemas and resource table into the package, and compiles protocols.

The schemas come from two pinned build-time packages (see pyproject.toml); nothing generated is ever committed.
"""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PROTOCOLS = ("node/runtime/cri.proto", "telemetry/metrics/remote/remote.proto", "telemetry/metrics/otlp/otlp.proto")
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
        (root / "src/podium/objects/generated/build.json").write_text(json.dumps(build(root)))


def build(root: Path) -> dict[str, str]:
    """What /version tells of the build. Outside a checkout the commit is unknown; SOURCE_DATE_EPOCH makes builds repeatable."""
    commit, changed = _git(root, "rev-parse", "HEAD"), _git(root, "status", "--porcelain", "--untracked-files=no")
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    when = datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)
    state = "" if changed is None else "dirty" if changed else "clean"
    return {"gitCommit": commit or "unknown", "gitTreeState": state or "unknown", "buildDate": when.strftime("%Y-%m-%dT%H:%M:%SZ")}


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
