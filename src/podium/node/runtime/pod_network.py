"""Where a process pod's address comes from.

The process runtime asks a `PodNetwork` for an address per pod sandbox. `podium.network` has the one that makes a network namespace
on a bridge (root on Linux); here is the one that needs no rights: every pod gets an address of its own out of 127.0.0.0/8, which Linux
answers on without any set-up, and shares the host's network namespace. A process listens on its own address (POD_IP), so pods do not
clash over ports.

Invariants: `attach` is idempotent, and gives the same address again after the agent was restarted; an address is used by one sandbox
at a time.
"""

import hashlib
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from podium.node.runtime.interface import RuntimeFailure


@dataclass(frozen=True, slots=True)
class PodAddress:
    """`netns_path` names a network namespace to join; None means the host's."""

    ip: str
    netns_path: str | None = None


class PodNetwork(Protocol):
    async def attach(self, sandbox_uid: str) -> PodAddress:
        """Idempotent. Raises RuntimeFailure."""
        ...

    async def detach(self, sandbox_uid: str) -> None:
        """Idempotent; an unknown sandbox is no error."""
        ...


def loopback_cidr(directory: Path) -> str:
    """A /16 of 127.0.0.0/8 for a cluster, from its directory, so that two clusters of one machine rarely meet; 127.0 to 127.63 stay
    free."""
    digest = hashlib.blake2b(str(directory.absolute()).encode(), digest_size=2).digest()
    return f"127.{64 + digest[0] % 190}.0.0/16"


class LoopbackNetwork:
    """Addresses are kept as files, `directory/ADDRESS`, that hold the sandbox's uid; they are handed out in rising order and reused
    last."""

    def __init__(self, directory: Path, cidr: str = "") -> None:
        self._directory = directory
        self._directory.mkdir(parents=True, exist_ok=True)
        self._network = ipaddress.ip_network(cidr or loopback_cidr(directory))
        # An empty file is an attach that a crash cut off: nobody was told that address.
        self._by_sandbox = {uid: name for name in sorted(os.listdir(directory)) if (uid := (directory / name).read_text())}
        self._last = int(self._network.network_address) + 1

    async def attach(self, sandbox_uid: str) -> PodAddress:
        known = self._by_sandbox.get(sandbox_uid)
        if known is None:
            known = self._free_address()
            (self._directory / known).write_text(sandbox_uid)
            self._by_sandbox[sandbox_uid] = known
        return PodAddress(ip=known)

    async def detach(self, sandbox_uid: str) -> None:
        address = self._by_sandbox.pop(sandbox_uid, None)
        if address is not None:
            (self._directory / address).unlink(missing_ok=True)

    def _free_address(self) -> str:
        used = set(self._by_sandbox.values())
        first, last = int(self._network.network_address) + 2, int(self._network.broadcast_address) - 1
        for offset in range(last - first + 1):
            candidate = first + (self._last + 1 - first + offset) % (last - first + 1)
            text = str(ipaddress.ip_address(candidate))
            if text not in used:
                self._last = candidate
                return text
        raise RuntimeFailure(f"no free pod address is left in {self._network}; delete pods, or start the cluster with a larger pod network")
