"""`podium envtest DIR`: the two programs that an operator's test suite starts, as small scripts. What they do is in podium/envtest.py."""

import shlex
import sys
from argparse import Namespace
from pathlib import Path

from podium.cli.refusal import Refusal

PROGRAMS = ("etcd", "kube-apiserver")


def write_programs(arguments: Namespace) -> int:
    directory = Path(arguments.directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name in PROGRAMS:
            path = directory / name
            path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m podium.envtest {name} "$@"\n')
            path.chmod(0o755)
    except OSError as error:
        raise Refusal(f"cannot write to {directory}: {error.strerror}; choose another directory") from error
    print(f"{' and '.join(PROGRAMS)} are in {directory}: KUBEBUILDER_ASSETS={shlex.quote(str(directory.absolute()))} go test ./...")
    return 0
