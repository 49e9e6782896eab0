"""The API server's front on HTTPS: bytes in, bytes out. The request path, in order:

authenticate (authentication) -> aggregated APIs (aggregated) -> route (routing)
-> decode (objects.decoding) -> authorize (authorization) -> verb (dispatch) -> render (rendering)

Every refusal is a StatusError raised somewhere on the way; it becomes a response here and nowhere else. The same `ApiServer.execute`
serves the in-process transport, which skips the bytes and keeps everything else.
"""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from podium.api import compression, documents, routing
from podium.api.aggregated import Aggregation
from podium.api.authentication import Authenticator, impersonated
from podium.api.authorization import authorize, check_impersonation
from podium.api.core import Core
from podium.api.dispatch import dispatch
from podium.api.measurements import Measurements, labels_of
from podium.api.negotiation import Form, negotiate
from podium.api.node_proxy import NodeProxy
from podium.api.rendering import list_response, object_response, value_response
from podium.api.request import ListResult, Request, Result, User
from podium.api.reviews import is_review
from podium.api.stream_watch import serve_watch
from podium.api.watching import Hubs
from podium.instrument.log import logger
from podium.instrument.metrics import CONTENT_TYPE as METRICS_TYPE
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

_PATCH_TYPES = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
    "application/apply-patch+yaml": "apply",
}
_PUBLIC = ("/healthz", "/livez", "/readyz")
_CONNECT = ("log", "exec", "attach", "portforward", "proxy")


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
    _documents: documents.Documents | None = field(default=None)

    async def execute(self, request: Request) -> Result:
        """Authorizes and runs one request that is not a watch or a connect. Raises StatusError."""
        authorize(request)
        try:
            return await dispatch(self.core, request, self.authenticator)
        except StoreError as error:
            log.error("the store refused", verb=request.verb, resource=request.resource.plural, error=str(error))
            raise ServerError(f"etcdserver: {error}") from error

    # -- HTTP

    def handle(self, http: HttpRequest, connection: Connection) -> Awaitable[Response | None]:
        return self._serve(http, connection)

    async def _serve(self, http: HttpRequest, connection: Connection) -> Response | None:
        try:
            response = await self._answer(http, connection)
        except StatusError as error:
            return error_response(error)
        if response is not None and compression.wanted(http, response):
            return await compression.compressed(response)
        return response

    async def _answer(self, http: HttpRequest, connection: Connection) -> Response | None:
        if http.path.startswith(_PUBLIC):
            return documents.health(http, ready=self.ready)
        user = await self._authenticate(http)
        if (backend := self.aggregation.backends.of_path(http.path)) is not None:
            return await self.aggregation.serve(backend, http, connection, user)
        target = routing.parse(http.path, self.core.catalog)
        if target is None:
            return self._document(http)
        return await self._serve_target(http, connection, target, user)

    async def _authenticate(self, http: HttpRequest) -> User:
        """Who asks, or whom they act as. Raises Unauthorized, Forbidden."""
        if authorization := http.headers.get("authorization"):
            user = await self.authenticator.by_token(authorization)
        elif http.peer is not None:
            user = self.authenticator.by_certificate(http.peer)
        else:
            raise Unauthorized("Unauthorized")
        wanted = impersonated(http.headers)
        if wanted is None:
            return user
        check_impersonation(user, wanted)
        return wanted

    def _document(self, http: HttpRequest) -> Response:
        if http.method not in ("GET", "HEAD"):
            raise NotFound("the server could not find the requested resource")
        if http.path == "/metrics":
            return Response(200, self.measurements.registry.exposition(), ((b"content-type", METRICS_TYPE.encode()),))
        if self._documents is None:
            self._documents = documents.Documents(self.core.catalog, self.aggregation.documents.join)
        return self._documents.serve(http)

    async def _serve_target(self, http: HttpRequest, connection: Connection, target: routing.Target, user: User) -> Response | None:
        options = {k: v[-1] for k, v in http.query.items()} if http.query else _NO_OPTIONS
        verb = target.verb(http.method, watch=options.get("watch", "false") in ("1", "true", "True", ""))
        if not verb:
            raise MethodNotAllowed("the server does not allow this method on the requested resource")
        request = Request(verb, target.resource, user, target.namespace, target.name, target.subresource, options=options)
        request.user_agent = http.headers.get("user-agent", "")
        return await self._measured(http, connection, request)

    async def _measured(self, http: HttpRequest, connection: Connection, request: Request) -> Response | None:
        """Serves one request, counts it, and turns a refusal into a response (with the warnings given so far)."""
        labels = labels_of(request)
        running = self.measurements.started(labels)
        clock = self.core.world.clock
        began_s, code = clock.monotonic(), 500
        try:
            response = await self._serve_request(http, connection, request)
            code = response.status if response is not None else 200
            return response
        except StatusError as error:
            code = error.code
            return error_response(error, request.warnings)
        except asyncio.CancelledError:
            code = 200 if labels[0] in ("WATCH", "CONNECT") else 499  # the client has gone
            raise
        finally:
            if connection.detached:  # a watch has begun: it counts until it ends
                connection.at_end(partial(self._finished, running, labels, 200, began_s))
            else:
                self._finished(running, labels, code, began_s)

    def _finished(self, running: Value, labels: tuple[str, ...], code: int, began_s: float) -> None:
        running.value -= 1
        self.measurements.finished(labels, code, self.core.world.clock.monotonic() - began_s)

    async def _serve_request(self, http: HttpRequest, connection: Connection, request: Request) -> Response | None:
        if request.subresource in _CONNECT:
            authorize(request)
            return await self.nodes.connect(request, http, connection)
        form = negotiate(http.headers.get("accept", ""))
        if form.as_kind == "Table" and is_review(request.resource):
            raise NotAcceptable(f"the resource {request.resource.plural} does not support being converted to a Table")
        if request.verb == "watch":
            authorize(request)
            return await serve_watch(self.core, self.hubs, request, form, connection)
        self._decode(http, request)
        result = await self.execute(request)
        return self._render(request, result, form)

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
