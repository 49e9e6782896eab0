"""The API server's front on HTTPS: bytes in, bytes out. The request path, in order:

authenticate (authentication, impersonation) -> aggregated APIs (aggregated) -> route (routing) -> authorize (authorization)
-> decode (objects.decoding) -> verb (dispatch) -> render (rendering)

Every refusal is a StatusError raised somewhere on the way; it becomes a response here and nowhere else. The same `ApiServer.execute`
serves the in-process transport, which skips the bytes and keeps everything else.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from podium.api import compression, documents, routing
from podium.api.account_tokens import DISCOVERY_PATH, JWKS_PATH
from podium.api.admission import approve_connect
from podium.api.admission.connections import connect_options
from podium.api.aggregated import Aggregation, attributes
from podium.api.aggregation import Backend
from podium.api.attributes import attributes_of_path
from podium.api.audit_log import AuditEvent, AuditLog
from podium.api.authentication import Authenticator
from podium.api.core import Core
from podium.api.dispatch import dispatch
from podium.api.flow_control import FlowControl
from podium.api.impersonation import impersonated
from podium.api.measurements import Measurements, labels_of
from podium.api.negotiation import Form, negotiate
from podium.api.node_proxy import NodeProxy
from podium.api.rendering import list_response, object_response, value_response
from podium.api.request import ANONYMOUS, ListResult, ObjectResult, Request, Result, User
from podium.api.reviews import REVIEWS
from podium.api.sharing import shared
from podium.api.stream_watch import serve_watch
from podium.api.watching import Hubs
from podium.instrument.log import logger
from podium.instrument.metrics import Value
from podium.objects.decoding import decode
from podium.objects.status import (
    BadRequest,
    MethodNotAllowed,
    NotAcceptable,
    NotFound,
    ServerError,
    StatusError,
    TooLarge,
    Unauthorized,
    UnsupportedMediaType,
)  # fmt: skip
from podium.store.errors import StoreError
from podium.world.http_server import Connection, HttpRequest, Response

log = logger("api")

_Serve = Callable[[HttpRequest, Connection, Request], Awaitable[Response | None]]
_PATCH_TYPES = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
    "application/apply-patch+yaml": "apply",
}
_PUBLIC = ("/healthz", "/livez", "/readyz")
_STREAMS = ("exec", "attach", "portforward")
_CONNECT_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_DEPRECATED = {("", "endpoints"): "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"}
_CONNECT = ("log", "exec", "attach", "portforward", "proxy")


@dataclass(slots=True)
class _Running:
    """What is kept of a watch's request while it runs: thousands do."""

    server: "ApiServer"
    gauge: Value
    labels: tuple[str, ...]
    began_s: float
    audit: AuditEvent | None

    def finished(self) -> None:
        self.server.finished(self.gauge, self.labels, 200, None, self.began_s, self.audit)


@dataclass(slots=True)
class ApiServer:
    """`ready` turns true once everything that /readyz promises is up."""

    core: Core
    hubs: Hubs
    authenticator: Authenticator
    nodes: NodeProxy
    measurements: Measurements
    aggregation: Aggregation
    ready: bool = False
    audit: AuditLog | None = None
    flows: FlowControl | None = None
    _documents: documents.Documents | None = field(default=None)

    async def execute(self, request: Request) -> Result:
        """Authorizes, runs and counts one request that is not a watch or a connect, for a client in this process. Raises StatusError."""
        labels = labels_of(request)
        running, code = self.measurements.started(labels), 500
        try:
            result = await self._execute(request)
            code = 200 if isinstance(result, ListResult) else result.status
            return result
        except StatusError as error:
            code = error.code
            raise
        finally:
            running.value -= 1
            self.measurements.finished(labels, code, None)

    async def _execute(self, request: Request) -> Result:
        if self.audit is None:
            self.core.authorizer.authorize(request)
            return await self._run(request)
        path = request.resource.path(request.namespace, request.name, request.subresource)
        request.audit = self.audit.begin(request.user, request.verb, path, request, user_agent=request.user_agent)
        code, failure = 500, None
        try:
            self._authorize(request)
            result = await self._run(request)
            code = 200 if isinstance(result, ListResult) else result.status
            return result
        except StatusError as error:
            code, failure = error.code, error
            raise
        finally:
            if request.audit is not None:
                request.audit.complete(code, failure)

    async def _run(self, request: Request) -> Result:
        if request.audit is None:
            return await self._dispatch(request)
        request.audit.decoded()
        result = await self._dispatch(request)
        request.audit.answered(result)
        return result

    async def _dispatch(self, request: Request) -> Result:
        if (backend := self.aggregation.backends.of(request.resource)) is not None:
            return ObjectResult(value=await self.aggregation.call(backend, request))
        try:
            return await dispatch(self.core, request, self.authenticator)
        except StoreError as error:
            log.error("the store refused", verb=request.verb, resource=request.resource.plural, error=str(error))
            raise ServerError(f"etcdserver: {error}") from error

    # -- HTTP

    def handle(self, http: HttpRequest, connection: Connection) -> Awaitable[Response | None]:
        return self._serve(http, connection)

    async def _serve(self, http: HttpRequest, connection: Connection) -> Response | None:
        audit_id = http.headers.get("audit-id")
        if not audit_id:
            audit_id = http.headers["audit-id"] = self.core.world.uid()  # all stages, and an aggregated API behind us, know it by this
        try:
            response = await self._answer(http, connection)
        except StatusError as error:
            response = error_response(error)
        if response is None:
            return None
        if compression.wanted(http, response):
            response = await compression.compressed(response)
        return Response(response.status, response.body, (*response.headers, (b"audit-id", audit_id.encode("latin-1"))))

    async def _answer(self, http: HttpRequest, connection: Connection) -> Response | None:
        if http.path.startswith(_PUBLIC):
            return documents.health(http, ready=self.ready)
        original, user = await self._authenticate(http, connection)
        if (backend := self.aggregation.backends.of_path(http.path)) is not None:
            return await self._serve_aggregated(http, connection, backend, original, user)
        target = routing.parse(http.path, self.core.catalog)
        if target is None:
            return self._serve_path(http, connection, original, user)
        return await self._serve_target(http, connection, target, original, user)

    async def _authenticate(self, http: HttpRequest, connection: Connection) -> tuple[User, User]:
        """(who asks, whom they act as). Raises Unauthorized, Forbidden."""
        try:
            user = await self._identify(http)
            return user, impersonated(self.core.authorizer, user, http.headers)
        except StatusError as error:
            if (event := self._audited(http, connection, ANONYMOUS, ANONYMOUS, None)) is not None:
                event.complete(error.code, error)
            raise

    def _audited(self, http: HttpRequest, connection: Connection, original: User, user: User, request: Request | None) -> AuditEvent | None:
        if self.audit is None:
            return None
        verb = request.verb if request is not None else http.method.lower()
        return self.audit.begin(
            user, verb, http.target, request, impersonator=original if original is not user else None, source=connection.remote_address,
            user_agent=http.headers.get("user-agent", ""), audit_id=http.headers["audit-id"],
        )  # fmt: skip

    async def _serve_aggregated(
        self, http: HttpRequest, connection: Connection, backend: Backend, original: User, user: User
    ) -> Response | None:
        """Passes the request on, counted and in turn as those for our own resources. Raises Forbidden for the backend's documents."""
        request = attributes(backend, http, user)
        if request is not None:
            request.audit = self._audited(http, connection, original, user, request)

            async def pass_on(http: HttpRequest, connection: Connection, request: Request) -> Response | None:
                return await self.aggregation.serve(backend, http, connection, user)

            return await self._measured(http, connection, request, pass_on)
        event = self._audited(http, connection, original, user, None)
        code, failure = 500, None
        try:
            response = await self.aggregation.serve(backend, http, connection, user)
            code = response.status if response is not None else 200
            return response
        except StatusError as error:
            code, failure = error.code, error
            raise
        finally:
            if event is not None:
                event.complete(code, failure)

    def _serve_path(self, http: HttpRequest, connection: Connection, original: User, user: User) -> Response:
        event = self._audited(http, connection, original, user, None)
        code, failure = 500, None
        try:
            self.core.authorizer.require(attributes_of_path(user, http.method, http.path, watch="watch" in http.query))
            response = self._document(http)
            code = response.status
            return response
        except StatusError as error:
            code, failure = error.code, error
            raise
        finally:
            if event is not None:
                event.complete(code, failure)

    async def _identify(self, http: HttpRequest) -> User:
        """Raises Unauthorized."""
        if authorization := http.headers.get("authorization"):
            return await self.authenticator.by_token(authorization)
        if http.peer is not None:
            return self.authenticator.by_certificate(http.peer)
        raise Unauthorized("Unauthorized")

    def _document(self, http: HttpRequest) -> Response:
        if http.method not in ("GET", "HEAD"):
            raise NotFound("the server could not find the requested resource")
        if http.path == "/metrics":
            return self.measurements.registry.respond(http.headers)
        if (component := self.measurements.components.get(http.path.removeprefix("/metrics/"))) is not None:
            return component.respond(http.headers)
        if http.path == JWKS_PATH:
            return Response(200, orjson.dumps(self.authenticator.accounts.jwks()), _JWKS)
        if http.path == DISCOVERY_PATH:
            return value_response(200, self.authenticator.accounts.discovery())
        if self._documents is None:
            self._documents = documents.Documents(self.core.catalog, self.aggregation.documents.join)
        return self._documents.serve(http)

    async def _serve_target(
        self, http: HttpRequest, connection: Connection, target: routing.Target, original: User, user: User
    ) -> Response | None:
        options = {k: v[-1] for k, v in http.query.items()} if http.query else _NO_OPTIONS
        verb = target.verb(http.method, watch=options.get("watch", "false") in ("1", "true", "True", ""))
        if not verb:
            raise MethodNotAllowed("the server does not allow this method on the requested resource")
        request = Request(verb, target.resource, user, target.namespace, target.name, target.subresource, options=options)
        request.user_agent, request.audit_id = http.headers.get("user-agent", ""), http.headers["audit-id"]
        request.audit = self._audited(http, connection, original, user, request)
        custom = target.resource.custom
        if deprecation := custom.deprecation if custom is not None else _DEPRECATED.get((target.resource.group, target.resource.plural)):
            request.warn(deprecation)
        return await self._measured(http, connection, request, self._serve_request)

    async def _measured(self, http: HttpRequest, connection: Connection, request: Request, serve: _Serve) -> Response | None:
        """Serves one request, counts it, and turns a refusal into a response (with the warnings given so far)."""
        labels = labels_of(request)
        running = self.measurements.started(labels)
        clock = self.core.world.clock
        began_s, code = clock.monotonic(), 500
        failure: StatusError | None = None
        try:
            if self.flows is None or request.verb == "watch" or request.subresource in _CONNECT or "upgrade" in http.headers:
                response = await serve(http, connection, request)
            else:
                response = await self._serve_in_turn(self.flows, http, connection, request, serve)
            code, failure = response.status if response is not None else 200, request.refusal
            return response
        except StatusError as error:
            code, failure = error.code, error
            return error_response(error, request.warnings)
        except asyncio.CancelledError:
            code = 200 if labels[0] in ("WATCH", "CONNECT") else 499  # the client has gone
            raise
        finally:
            if connection.detached:  # a watch has begun: it counts until it ends
                connection.at_end(_Running(self, running, shared(labels), began_s, request.audit).finished)
            else:
                self.finished(running, labels, code, failure, began_s, request.audit)

    def finished(
        self, running: Value, labels: tuple[str, ...], code: int, failure: StatusError | None, began_s: float, audit: AuditEvent | None
    ) -> None:
        running.value -= 1
        if audit is not None:
            audit.complete(code, failure)
        self.measurements.finished(labels, code, self.core.world.clock.monotonic() - began_s)

    async def _serve_in_turn(
        self, flows: FlowControl, http: HttpRequest, connection: Connection, request: Request, serve: _Serve
    ) -> Response | None:
        """With a seat of the request's priority level. Raises TooManyRequests when there is none for long."""
        found = flows.classify(request)
        if found is None:
            return await serve(http, connection, request)
        await flows.acquire(found)
        try:
            response = await serve(http, connection, request)
        except StatusError as error:
            response = error_response(error, request.warnings)
            request.refusal = error
        finally:
            flows.release(found)
        return Response(response.status, response.body, response.headers + found.headers) if response is not None else None

    async def _serve_request(self, http: HttpRequest, connection: Connection, request: Request) -> Response | None:
        if request.subresource in _CONNECT:
            self._authorize_connection(request, http.method)
            if request.audit is not None:
                request.audit.started()
            if request.subresource != "log":
                await approve_connect(self.core, request, connect_options(request, http.query))
            return await self.nodes.connect(request, http, connection)
        self._authorize(request)
        form = negotiate(http.headers.get("accept", ""))
        if form.as_kind == "Table" and (request.resource.group, request.resource.plural) in REVIEWS:
            raise NotAcceptable(f"the resource {request.resource.plural} does not support being converted to a Table")
        if request.verb == "watch":
            if request.audit is not None:
                request.audit.started()
            return await serve_watch(self.core, self.hubs, request, form, connection)
        self._decode(http, request)
        result = await self._run(request)
        return self._render(request, result, form)

    def _authorize(self, request: Request, verb: str = "") -> None:
        """Raises Forbidden. What was decided goes into the audit log."""
        if request.audit is None:
            self.core.authorizer.authorize(request, verb)
            return
        try:
            self.core.authorizer.authorize(request, verb)
        except StatusError:
            request.annotate("authorization.k8s.io/decision", "forbid")
            raise
        request.annotate("authorization.k8s.io/decision", "allow")

    def _authorize_connection(self, request: Request, method: str) -> None:
        """By what the connection does: a stream into a container needs `create` even where the protocol begins with a GET."""
        verb = _CONNECT_VERBS.get(method, "get")
        self._authorize(request, verb)
        if verb == "get" and request.subresource in _STREAMS:
            self._authorize(request, "create")

    def _render(self, request: Request, result: Result, form: Form) -> Response:
        now = self.core.world.clock.now()
        if isinstance(result, ListResult):
            return list_response(request, result, form, now)
        return object_response(request, result, form, now)

    @staticmethod
    def _decode(http: HttpRequest, request: Request) -> None:
        """The body into `request.value`; where the object's namespace is only in the URL or only in the body, both agree afterwards."""
        if http.method not in ("POST", "PUT", "PATCH", "DELETE"):
            return
        content_type = http.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        if http.method == "PATCH":
            request.patch_type = _PATCH_TYPES.get(content_type, "")
            if not request.patch_type:
                accepted = ", ".join(_PATCH_TYPES)
                raise UnsupportedMediaType(f"the body of the request was in an unknown format - accepted media types include: {accepted}")
            content_type = "application/yaml" if request.patch_type == "apply" else "application/json"
        if not http.body:
            if http.method == "DELETE":
                return
            raise BadRequest("the request has no body")
        decoded = decode(http.body, content_type, kind=request.resource.kind, allow_list=request.patch_type == "json")
        request.value, request.duplicates = decoded.value, decoded.duplicates
        if request.verb == "create" and request.resource.namespaced and not request.namespace:
            raise MethodNotAllowed("the server does not allow this method on the requested resource")

    def crashed(self, http: HttpRequest, error: Exception) -> Response:
        """What a bug of ours looks like from outside: a 500 without details; the log has them."""
        log.error("request failed", method=http.method, path=http.path, error=repr(error), exc_info=error)
        return error_response(ServerError("an internal error occurred; the server's log has the details"))

    @staticmethod
    def too_large() -> Response:
        return error_response(TooLarge("Request entity too large: limit is 3145728"))


_JWKS = ((b"content-type", b"application/jwk-set+json"), (b"cache-control", b"public, max-age=3600"))
_NO_OPTIONS: Mapping[str, str] = {}


def error_response(error: StatusError, warnings: Sequence[str] = ()) -> Response:
    response = value_response(error.code, error.to_value(), warnings)
    extra: list[tuple[bytes, bytes]] = []
    if error.code == 401:
        extra.append((b"www-authenticate", b"Bearer"))
    if error.retry_after_s is not None:
        extra.append((b"retry-after", b"%d" % error.retry_after_s))
    elif error.code in (429, 503):
        extra.append((b"retry-after", b"1"))
    return Response(response.status, response.body, (*response.headers, *extra)) if extra else response
