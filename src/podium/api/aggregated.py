"""Aggregation as the server sees it: one object with everything that aggregated APIs need, and the stage of the request path.

`stage` is asked after authentication. It authorizes what the URL names, as for a resource of our own, and passes the request on.
"""

from podium.api.aggregation import Backend, Backends
from podium.api.aggregation_calls import CALLS, ask
from podium.api.aggregation_checks import Checks
from podium.api.aggregation_documents import Joined
from podium.api.aggregation_local import LocalServices
from podium.api.aggregation_proxy import BackendClients, pass_on
from podium.api.attributes import attributes_of_path
from podium.api.core import Core, Object
from podium.api.front_proxy import FrontProxy, publish
from podium.api.request import Request, User
from podium.objects.resources import Resource
from podium.objects.status import MethodNotAllowed, ServiceUnavailable
from podium.world.http_server import Connection, HttpRequest, Response
from podium.world.supervisor import Supervisor

_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_TRUE = ("1", "true", "True", "")


class Aggregation:
    """Without a `front_proxy` backends cannot know this server, and those that ask for its certificate refuse."""

    def __init__(self, core: Core, front_proxy: FrontProxy | None = None) -> None:
        self._core = core
        self._front_proxy = front_proxy
        self.backends = Backends(core)
        self.clients = BackendClients(core, front_proxy)
        self.checks = Checks(core, self.backends, self.clients)
        self.documents = Joined(self.backends, self.checks)
        self.local = LocalServices(core)
        self._unsubscribe = core.catalog.subscribe(self.local.soon)

    async def start(self, tasks: Supervisor) -> None:
        await self.backends.follow(self._changed)
        if self._front_proxy is not None:
            await publish(self._core, self._front_proxy)
        tasks.start("local APIServices", self.local.run())
        tasks.start("APIService checks", self.checks.run())

    def _changed(self, name: str) -> None:
        self.checks.soon(name)

    async def call(self, backend: Backend, request: Request) -> Object:
        """The answer to a request that a component in this process makes, and that is authorized. Raises StatusError."""
        if request.verb not in CALLS:
            raise MethodNotAllowed(f"an aggregated API cannot be asked to {request.verb} from within this process")
        if not self.backends.available(backend):
            raise ServiceUnavailable("service unavailable")
        return await ask(await self.clients.of(backend), request)

    def resources(self) -> list[Resource]:
        """What the backends that are available serve, in the order of their names: as discovery tells it, without subresources."""
        found = []
        for backend in self.backends.all():
            if self.backends.available(backend) and (published := self.checks.published.get(backend.name)) is not None:
                found += [_resource(backend, row) for row in published.resources if "/" not in row["name"]]
        return found

    def unknown(self) -> list[str]:
        """Why discovery is incomplete, for each backend that does not answer."""
        versions = [f"{b.group}/{b.version}" for b in self.backends.all() if not self.backends.available(b)]
        return [f"{version}: stale GroupVersion discovery: {version}" for version in versions]

    async def aclose(self) -> None:
        self._unsubscribe()
        self.backends.stop()
        await self.clients.aclose()

    async def serve(self, backend: Backend, http: HttpRequest, connection: Connection, user: User) -> Response | None:
        """Raises Forbidden."""
        self._core.authorizer.require(attributes_of_path(user, http.method, http.path, watch=_watches(http)))
        return await pass_on(self.backends, self.clients, backend, http, connection, user)


def _resource(backend: Backend, row: Object) -> Resource:
    verbs = tuple(v for v in row.get("verbs") or () if isinstance(v, str))
    return Resource(backend.group, backend.version, row["name"], str(row.get("kind", "")), bool(row.get("namespaced")), verbs)


def attributes(backend: Backend, http: HttpRequest, user: User) -> Request | None:
    """What is asked for, as the audit log tells it; None for the backend's documents."""
    parts = http.path.removeprefix("/openapi/v3").strip("/").split("/")[3:]
    if not parts or http.path.startswith("/openapi/"):
        return None
    namespace: str | None = None
    if parts[0] == "namespaces" and len(parts) > 2:
        namespace, parts = parts[1], parts[2:]
    plural, name, subresource = [*parts[:3], "", ""][:3]
    verb = _VERBS.get(http.method, "")
    if not name:
        verb = {"get": "watch" if _watches(http) else "list", "delete": "deletecollection"}.get(verb, verb)
    resource = Resource(backend.group, backend.version, plural, "", namespaced=namespace is not None, verbs=())
    options = {k: v[-1] for k, v in http.query.items()}
    return Request(verb, resource, user, namespace, name, subresource, options=options)


def _watches(http: HttpRequest) -> bool:
    return "watch" in http.query and http.query["watch"][-1] in _TRUE
