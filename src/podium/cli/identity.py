"""Certificates for commands and roles, from the cluster's own authority.

Several processes may come here first: the authority is made under a lock, so that there is one. What makes certificates is 12 MB of library; so
`up`, which needs it anyway and ends, makes those of a role that should be small (`issue_telemetry`), and the role finds them.
"""

import fcntl
import os
from pathlib import Path
from typing import Any

from podium.cli.cluster import Cluster

ADMIN = ("kubernetes-admin", ("system:masters",))
TELEMETRY = "podium:telemetry"
"""Its certificates' name; what it may is the bootstrap role of that name."""
TELEMETRY_HOST = "127.0.0.1"
"""Where it serves the API server's webhooks."""

Files = tuple[Path, Path]
"""A certificate and its key."""


def authority(cluster: Cluster) -> Any:
    """The cluster's `api.authority.Authority`, made at first use."""
    from podium.api.authority import Authority

    cluster.pki_dir.mkdir(exist_ok=True, mode=0o700)
    descriptor = os.open(cluster.pki_dir / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return Authority.load_or_create(cluster.pki_dir)
    finally:
        os.close(descriptor)


def issue_telemetry(authority: Any) -> tuple[Files, Files]:
    """The telemetry process's certificates: as a client, and as a server for the API server. Reads only, if they are there."""
    client = authority.issue_files("telemetry", TELEMETRY)
    return client, authority.issue_files("serving-telemetry", TELEMETRY, hosts=[TELEMETRY_HOST])
