"""Is an aggregated API there, and what does it serve? The Available condition of each APIService, and its documents.

A check follows upstream's order: the Service, its port, its endpoints, then GET /apis/GROUP/VERSION as system:kube-aggregator. That answer
is also the discovery of the group version, and is kept; the OpenAPI documents are read after it, when they have changed (ETag).

A check runs when the APIService, its Service or its EndpointSlices change, every CHECK_PERIOD_S, and with growing pauses after a failure.

Source: k8s.io/kube-aggregator pkg/controllers/status/remote (reasons, messages), pkg/controllers/openapi.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import orjson

from podium.api import writing
from podium.api.aggregation import APISERVICES, AVAILABLE, Backend, Backends
from podium.api.aggregation_proxy import BackendClients, identity
from podium.api.bootstrap import API_SERVER
from podium.api.core import Core, Object
from podium.api.request import Request, User
from podium.instrument.log import logger
from podium.objects import values
from podium.objects.resources import resource
from podium.objects.status import StatusError
from podium.store.record import Event
from podium.world.http_client import HttpClient, HttpResponse

CHECK_PERIOD_S = 30.0
RETRY_S_MIN, RETRY_S_MAX = 0.1, 30.0
TIMEOUT_S = 5.0
AGGREGATOR = User("system:kube-aggregator", ("system:masters",))
_SERVICES, _SLICES = resource("services"), resource("endpointslices", "discovery.k8s.io")
_SERVICE_NAME = "kubernetes.io/service-name"

log = logger("api.aggregation")


@dataclass(frozen=True, slots=True)
class Finding:
    status: str
    reason: str
    message: str


PASSED = Finding("True", "Passed", "all checks passed")
LOCAL = Finding("True", "Local", "Local APIServices are always available")


@dataclass(slots=True)
class Published:
    """What a backend said of itself when it last answered. `openapi_v3` are the paths of its version 3 documents that are passed on."""

    resources: list[Object] = field(default_factory=list)
    openapi_v2: Object | None = None
    openapi_v3: dict[str, Object] = field(default_factory=dict)
    etag_v2: str = ""


def condition(value: Object, finding: Finding, now: str) -> Object | None:
    """The status with the condition set; None when nothing changes."""
    status: Object = value.get("status") or {}
    conditions: list[Object] = list(status.get("conditions") or ())
    old = next((c for c in conditions if c.get("type") == AVAILABLE), None)
    since = old["lastTransitionTime"] if old and old.get("status") == finding.status and old.get("lastTransitionTime") else now
    new = {
        "type": AVAILABLE, "status": finding.status, "lastTransitionTime": since, "reason": finding.reason, "message": finding.message,
    }  # fmt: skip
    if new == old:
        return None
    return {**status, "conditions": [*(c for c in conditions if c is not old), new]}


def check_service(backend: Backend, service: Object | None, slices: list[Object]) -> Finding:
    """What can be said without asking the backend."""
    name, namespace = backend.service, backend.namespace
    if service is None:
        return Finding("False", "ServiceNotFound", f'service/{name} in "{namespace}" is not present')
    if service["spec"].get("type", "ClusterIP") != "ClusterIP":
        return PASSED
    port = next((p for p in service["spec"].get("ports") or () if p["port"] == backend.port), None)
    if port is None:
        return Finding("False", "ServicePortError", f'service/{name} in "{namespace}" is not listening on port {backend.port}')
    if not slices:
        return Finding("False", "EndpointsNotFound", f'cannot find endpointslices for service/{name} in "{namespace}"')
    port_name = port.get("name") or ""
    if not any(_has_ready(s, port_name) for s in slices):
        text = f'endpointslices for service/{name} in "{namespace}" have no addresses with port name "{port_name}"'
        return Finding("False", "MissingEndpoints", text)
    return PASSED


def _has_ready(slice_: Object, port_name: str) -> bool:
    if not any((p.get("name") or "") == port_name and p.get("port") for p in slice_.get("ports") or ()):
        return False
    return any((e.get("conditions") or {}).get("ready") is not False for e in slice_.get("endpoints") or ())


class Checks:
    """`published` by APIService name; `generation` grows when any of it changes."""

    def __init__(self, core: Core, backends: Backends, clients: BackendClients) -> None:
        self._core = core
        self._backends = backends
        self._clients = clients
        self._due: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._wake = asyncio.Event()
        self.published: dict[str, Published] = {}
        self.generation = 0

    def soon(self, name: str) -> None:
        """Check it now. A name without a backend is forgotten."""
        if self._backends.by_name(name) is None:
            self._due.pop(name, None)
            self._failures.pop(name, None)
            if self.published.pop(name, None) is not None:
                self.generation += 1
            return
        self._due[name] = 0.0
        self._wake.set()

    async def run(self) -> None:
        store = self._core.store
        cancels = [store.feed(_SERVICES.prefix, self._hear_services), store.feed(_SLICES.prefix, self._hear_slices)]
        for backend in self._backends.all():
            self.soon(backend.name)
        try:
            while True:
                await self._wait()
                await asyncio.gather(*(self._check(name) for name in self._take_due()))
        finally:
            for cancel in cancels:
                cancel()

    async def _wait(self) -> None:
        now_s = self._core.world.clock.monotonic()
        pause_s = max(0.0, min(self._due.values(), default=now_s + 3600.0) - now_s)
        try:
            async with asyncio.timeout(pause_s):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    def _take_due(self) -> list[str]:
        now_s = self._core.world.clock.monotonic()
        names = sorted(name for name, at_s in self._due.items() if at_s <= now_s)
        for name in names:
            self._due[name] = now_s + CHECK_PERIOD_S
        return names

    def _hear_services(self, events: list[Event]) -> None:
        for event in events:
            metadata = event.record.value["metadata"]
            self._concerned(metadata["namespace"], metadata["name"])

    def _hear_slices(self, events: list[Event]) -> None:
        for event in events:
            metadata = event.record.value["metadata"]
            self._concerned(metadata["namespace"], (metadata.get("labels") or {}).get(_SERVICE_NAME, ""))

    def _concerned(self, namespace: str, service: str) -> None:
        for backend in self._backends.all():
            if (backend.namespace, backend.service) == (namespace, service):
                self.soon(backend.name)

    async def _check(self, name: str) -> None:
        backend = self._backends.by_name(name)
        if backend is None:
            return
        finding = await self._find(backend)
        if finding.status == "True":
            self._failures.pop(name, None)
        else:
            count = self._failures[name] = self._failures.get(name, 0) + 1
            pause_s = min(RETRY_S_MAX, RETRY_S_MIN * 2 ** min(count, 16))
            self._due[name] = min(self._due.get(name, CHECK_PERIOD_S), self._core.world.clock.monotonic() + pause_s)
        await write_condition(self._core, name, finding)

    async def _find(self, backend: Backend) -> Finding:
        store = self._core.store
        service = await store.get(_SERVICES.key(backend.namespace, backend.service))
        page = await store.range(f"{_SLICES.prefix}{backend.namespace}/")
        slices = [r.value for r in page.records if (r.value["metadata"].get("labels") or {}).get(_SERVICE_NAME) == backend.service]
        finding = check_service(backend, service.value if service is not None else None, slices)
        return await self._ask(backend) if finding is PASSED else finding

    async def _ask(self, backend: Backend) -> Finding:
        url = f"https://{backend.service}.{backend.namespace}.svc:{backend.port}{backend.path}"
        try:
            client = await self._clients.of(backend, verify=False)
            url = f"https://{client.host}:{client.port}{backend.path}"
            answer = await _get(client, backend.path)
            if not 200 <= answer.status < 300:
                raise ConnectionError(f"bad status from {url}: {answer.status}")
            await self._keep(backend, client, answer.body)
        except StatusError as error:
            return Finding("False", "FailedDiscoveryCheck", error.message)
        except (OSError, ValueError) as error:
            why = str(error) or f"no answer within {TIMEOUT_S:g} s"
            return Finding("False", "FailedDiscoveryCheck", f"failing or missing response from {url}: {why}")
        return PASSED

    async def _keep(self, backend: Backend, client: HttpClient, body: bytes) -> None:
        """Raises ValueError for a discovery that is no JSON."""
        value = orjson.loads(body)
        rows = value.get("resources") if isinstance(value, dict) else None
        resources = [row for row in rows or () if isinstance(row, dict) and row.get("name")]
        old = self.published.get(backend.name)
        new = Published(resources)
        if old is not None:
            new.openapi_v2, new.openapi_v3, new.etag_v2 = old.openapi_v2, old.openapi_v3, old.etag_v2
        await _read_openapi(backend, client, new)
        if new != old:
            self.published[backend.name] = new
            self.generation += 1


async def _get(client: HttpClient, path: str, **headers: str) -> HttpResponse:
    asked = {"accept": "application/json", **identity(AGGREGATOR), **{k.replace("_", "-"): v for k, v in headers.items()}}
    return await client.request("GET", path, headers=asked, timeout_s=TIMEOUT_S)


async def _read_openapi(backend: Backend, client: HttpClient, into: Published) -> None:
    """Documents are extras: a backend without them, or with broken ones, is available all the same."""
    try:
        index = await _get(client, "/openapi/v3")
        if index.status == 200:
            name = backend.path.removeprefix("/")
            paths: Any = orjson.loads(index.body).get("paths") or {}
            into.openapi_v3 = {name: paths[name]} if isinstance(paths.get(name), dict) else {}
        answer = await _get(client, "/openapi/v2", if_none_match=into.etag_v2)
        if answer.status == 200:
            document = orjson.loads(answer.body)
            kept = {k: v for k, v in (document.get("paths") or {}).items() if k == backend.path + "/" or k.startswith(backend.path + "/")}
            into.openapi_v2 = {"paths": kept, "definitions": document.get("definitions") or {}}
            into.etag_v2 = answer.headers.get("etag", "")
    except (OSError, ValueError, AttributeError) as error:
        log.info("an aggregated API has no readable OpenAPI documents", name=backend.name, error=str(error))


async def write_condition(core: Core, name: str, finding: Finding) -> None:
    """As far as the APIService is still there; whoever changes it meanwhile causes another check."""
    record = await core.store.get(APISERVICES.key(None, name))
    if record is None:
        return
    status = condition(record.value, finding, core.world.clock.timestamp())
    if status is None:
        return
    value = values.copy(record.value) | {"status": status}
    try:
        await writing.update(core, Request("update", APISERVICES, API_SERVER, None, name, "status", value=value))
    except StatusError as error:
        log.info("the condition was not written", name=name, error=error.message)
