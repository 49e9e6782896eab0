"""Aggregated APIs: the group versions that another server serves, behind this one. A stage of the request path before the catalogue.

An APIService that names a Service says: requests to /apis/GROUP/VERSION go there. Who asks was settled before (authentication), and what
they may do is settled here (authorization, by what the URL names); the other server is told who it is in headers that it believes
because this server shows it a certificate of the front-proxy authority. What it answers is passed on as it comes.

`Backends` follows the APIService objects by the store's feed, so a request costs a dictionary look-up. An APIService without a Service
stands for a group version of our own (aggregation_local.py). Whether a backend is available is found out by aggregation_checks.py.

Source: k8s.io/kube-aggregator pkg/apiserver (apiserver.go, handler_proxy.go); "Configure the Aggregation Layer".
"""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from podium.api.core import Core, Object
from podium.objects.resources import Resource, resource
from podium.store.record import Event

APISERVICES = resource("apiservices", "apiregistration.k8s.io")
AVAILABLE = "Available"


@dataclass(frozen=True, slots=True)
class Backend:
    """One group version that a Service serves. `ca` is PEM, empty for the system's authorities."""

    name: str
    group: str
    version: str
    namespace: str
    service: str
    port: int
    ca: bytes
    insecure: bool
    group_priority: int
    version_priority: int

    @property
    def path(self) -> str:
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"


class Backends:
    """The backends by group version. `generation` grows when one comes, goes or becomes (un)available."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._by_name: dict[str, Backend] = {}
        self._by_version: dict[tuple[str, str], Backend] = {}
        self._available: dict[str, None] = {}
        self._changed: Callable[[str], None] = lambda name: None
        self._cancel: Callable[[], None] = lambda: None
        self.generation = 0

    async def follow(self, changed: Callable[[str], None]) -> None:
        """From now on as the store has them; `changed` hears the name of each backend that came, went or moved."""
        self._changed = changed
        self._cancel = self._core.store.feed(APISERVICES.prefix, self._hear)
        for record in (await self._core.store.range(APISERVICES.prefix)).records:
            self._put(record.value)

    def stop(self) -> None:
        self._cancel()

    def _hear(self, events: list[Event]) -> None:
        for event in events:
            name = event.record.value["metadata"]["name"]
            before = self._by_name.get(name)
            if event.deleted:
                self._forget(name)
            else:
                self._put(event.record.value)
            if self._by_name.get(name) != before:  # not for what only says how it is
                self._changed(name)

    def _put(self, value: Object) -> None:
        name = value["metadata"]["name"]
        backend = compile_backend(value)
        if backend is None:
            self._forget(name)
            return
        available = is_available(value)
        if self._by_name.get(name) == backend and (name in self._available) == available:
            return
        self._forget(name)
        self._by_name[name] = self._by_version[backend.group, backend.version] = backend
        if available:
            self._available[name] = None

    def _forget(self, name: str) -> None:
        self.generation += 1
        self._available.pop(name, None)
        if backend := self._by_name.pop(name, None):
            self._by_version.pop((backend.group, backend.version), None)

    def of_path(self, path: str) -> Backend | None:
        """Whose the path is; None when it is our own."""
        if not self._by_version:
            return None
        parts = path.removeprefix("/openapi/v3").split("/", 4)
        if len(parts) < 4 or parts[1] != "apis":
            return None
        return self._by_version.get((parts[2], parts[3]))

    def of(self, resource: Resource) -> Backend | None:
        """Whose the resource is; None when it is our own."""
        return self._by_version.get((resource.group, resource.version)) if self._by_version else None

    def by_name(self, name: str) -> Backend | None:
        return self._by_name.get(name)

    def available(self, backend: Backend) -> bool:
        return backend.name in self._available

    def all(self) -> list[Backend]:
        """By name."""
        return [self._by_name[name] for name in sorted(self._by_name)]


def compile_backend(value: Object) -> Backend | None:
    """None for an APIService that this server answers itself."""
    spec: dict[str, Any] = value.get("spec") or {}
    service = spec.get("service")
    if not service:
        return None
    try:
        ca = base64.b64decode(spec.get("caBundle") or "")
    except binascii.Error:
        ca = b"-"  # is refused by the check of availability
    return Backend(
        value["metadata"]["name"], spec.get("group", ""), spec.get("version", ""), service.get("namespace", ""), service.get("name", ""),
        service.get("port") or 443, ca, bool(spec.get("insecureSkipTLSVerify")), spec.get("groupPriorityMinimum", 0),
        spec.get("versionPriority", 0),
    )  # fmt: skip


def is_available(value: Object) -> bool:
    conditions = (value.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == AVAILABLE and c.get("status") == "True" for c in conditions)
