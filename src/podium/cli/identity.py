"""Certificates for commands and roles, from the cluster's own authority.

Several processes may come here first: the authority is made under a lock, so that there is one.
"""

import fcntl
import os
from typing import Any

from podium.cli.cluster import Cluster

ADMIN = ("kubernetes-admin", ("system:masters",))


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
