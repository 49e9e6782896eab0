"""Names of Services in the pods' /etc/hosts, where no DNS server may listen (an ordinary user's cluster).

Each pod's file gets the Services of its own namespace by short name, and all by NAME.NAMESPACE, NAME.NAMESPACE.svc and the full name.
Pods see the file through a bind mount, so it is rewritten in place and never replaced. Headless Services appear with their first endpoint:
a hosts file cannot balance.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from podium.network.services import Forward

Object = dict[str, Any]
MARK = "# Services of the cluster"


def service_addresses(services: Iterable[Object], forwards: Iterable[Forward]) -> dict[tuple[str, str], str]:
    """(namespace, name) -> cluster IP, of Services that have one."""
    found = {(f.namespace, f.name): f.addresses[0] for f in forwards if f.addresses}
    for service in services:
        address = service.get("spec", {}).get("clusterIP", "")
        if address and address != "None" and ":" not in address:
            found.setdefault((service["metadata"]["namespace"], service["metadata"]["name"]), address)
    return dict(sorted(found.items()))


def lines(addresses: dict[tuple[str, str], str], namespace: str, domain: str) -> str:
    text = [MARK]
    for (owner, name), address in addresses.items():
        names = [f"{name}.{owner}", f"{name}.{owner}.svc", f"{name}.{owner}.svc.{domain}"]
        text.append("\t".join([address, *([name] if owner == namespace else []), *names]))
    return "\n".join(text) + "\n"


class HostsFiles:
    """`sandboxes` holds a directory per pod sandbox with `sandbox.json` (namespace) and `hosts`."""

    def __init__(self, sandboxes: Path, domain: str) -> None:
        self._sandboxes = sandboxes
        self._domain = domain
        self._addresses: dict[tuple[str, str], str] = {}

    def update(self, services: Iterable[Object], forwards: Iterable[Forward]) -> None:
        addresses = service_addresses(services, forwards)
        if addresses != self._addresses:
            self._addresses = addresses
            self.write_all()

    def write_all(self) -> None:
        """Also for a pod that has just been made."""
        if not self._addresses or not self._sandboxes.exists():
            return
        for directory in sorted(self._sandboxes.iterdir()):
            try:
                namespace = json.loads((directory / "sandbox.json").read_bytes())["namespace"]
                self._write(directory / "hosts", lines(self._addresses, namespace, self._domain))
            except (OSError, ValueError, KeyError):
                continue  # being made or removed: the next change comes by again

    @staticmethod
    def _write(path: Path, block: str) -> None:
        with open(path, "r+") as file:
            before = file.read()
            own = before.partition(MARK)[0]
            if own + block != before:
                file.seek(0)
                file.write(own + block)
                file.truncate()
