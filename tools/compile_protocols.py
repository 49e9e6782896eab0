"""Compiles protocols (.proto files) to descriptor sets, which the package loads at run time.

A descriptor set rather than generated Python: it does not tie the package to the protobuf release that it was built with.
"""

import subprocess
import sys
from pathlib import Path


def compile_descriptors(proto: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={proto.parent}", f"--descriptor_set_out={target}", proto.name]
    subprocess.run(command, check=True)
