"""A small webhook server on loopback, with a certificate of an authority of its own."""

import asyncio
import base64
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from podium.api.authority import Authority
from podium.world.http_server import Connection, HttpRequest, HttpServer, Response

Object = dict[str, Any]
Decide = Callable[[Object], Object | Awaitable[Object]]

ALLOW: Object = {"allowed": True}
SERVICE_HOST = "hook.default.svc"


def deny(message: str, **status: Any) -> Object:
    return {"allowed": False, "status": {"message": message, **status}}


def patch(*operations: Object, **more: Any) -> Object:
    encoded = base64.b64encode(orjson.dumps(list(operations))).decode()
    return {"allowed": True, "patchType": "JSONPatch", "patch": encoded, **more}


class HookServer:
    """`paths` decide on the request of a review; `asked` are the requests so far, by path. `whole` answers the whole review
    instead, `raw` without looking at it."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self.paths: dict[str, Decide] = {}
        self.asked: list[tuple[str, Object]] = []
        self.raw: Response | None = None
        self.whole: Callable[[Object], Object] | None = None
        self.port = 0

    async def start(self) -> None:
        certificate, key = self._authority.issue_files("hook", "hook", hosts=["127.0.0.1", SERVICE_HOST])
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
        self._server = HttpServer(self._handle, tls)
        self.port = await self._server.listen("127.0.0.1", 0)

    def drop_connections(self) -> None:
        """As a server that closes idle ones."""
        for connection in list(self._server.connections):
            connection.abort()

    async def stop(self) -> None:
        await self._server.close()

    async def _handle(self, http: HttpRequest, connection: Connection) -> Response | None:
        review = orjson.loads(http.body)
        self.asked.append((http.path, review["request"]))
        if self.raw is not None:
            return self.raw
        if self.whole is not None:
            return Response(200, orjson.dumps(self.whole(review)))
        response = self.paths[http.path](review["request"])
        if asyncio.iscoroutine(response):
            response = await response
        answer = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1"}
        return Response(200, orjson.dumps({**answer, "response": {"uid": review["request"]["uid"], **response}}))

    def config(self, path: str) -> Object:
        return {"url": f"https://127.0.0.1:{self.port}{path}", "caBundle": base64.b64encode(self._authority.ca_pem).decode()}

    def webhook(self, path: str, resources: str = "configmaps", operations: str = "CREATE", **more: Any) -> Object:
        rule = {"operations": operations.split(), "apiGroups": ["*"], "apiVersions": ["*"], "resources": resources.split()}
        name = path.strip("/").replace("/", "-") + ".test.example"
        return {
            "name": name, "rules": [rule], "clientConfig": self.config(path), "sideEffects": "None", "admissionReviewVersions": ["v1"], **more,
        }  # fmt: skip


def configuration(kind: str, name: str, *webhooks: Object, **labels: str) -> Object:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": f"{kind}WebhookConfiguration", "metadata": {"name": name, "labels": labels},
        "webhooks": list(webhooks),
    }  # fmt: skip
