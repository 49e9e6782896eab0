"""An API server of somebody else's, as upstream's sample: flunders and their namespaces, in the memory of a process of its own.

    python -m tests.fakes.sample_api_server --certificate FILE --key FILE --clients-ca FILE

Prints its port and serves until it is ended. It believes the front proxy alone: a connection without a certificate of `--clients-ca` named
`front-proxy-client` is refused. Not a part of Podium: it takes nothing from the API server but the transport.
"""

import argparse
import asyncio
import ssl
import uuid
from collections.abc import Iterator
from typing import Any

import orjson

from podium.world.http_server import Connection, HttpRequest, HttpServer, Response, Stream

Object = dict[str, Any]
GROUP, VERSION = "wardle.example.com", "v1alpha1"
ROOT = f"/apis/{GROUP}/{VERSION}"
FRONT = "front-proxy-client"
VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
RESOURCES = {
    "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{GROUP}/{VERSION}",
    "resources": [
        {"name": "fischers", "singularName": "fischer", "namespaced": False, "kind": "Fischer", "verbs": VERBS},
        {"name": "flunders", "singularName": "flunder", "namespaced": True, "kind": "Flunder", "verbs": VERBS, "shortNames": ["fl"]},
    ],
}  # fmt: skip
_GROUP_VERSION = {"groupVersion": f"{GROUP}/{VERSION}", "version": VERSION}
DISCOVERY: dict[str, Object] = {
    "/apis": {
        "kind": "APIGroupList", "apiVersion": "v1",
        "groups": [{"name": GROUP, "versions": [_GROUP_VERSION], "preferredVersion": _GROUP_VERSION}],
    },
    f"/apis/{GROUP}": {
        "kind": "APIGroup", "apiVersion": "v1", "name": GROUP, "versions": [_GROUP_VERSION], "preferredVersion": _GROUP_VERSION
    },
    ROOT: RESOURCES,
}  # fmt: skip
KINDS = {"flunders": "Flunder", "fischers": "Fischer"}


class Refused(Exception):
    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason = code, reason

    def response(self) -> Response:
        value = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": self.code}
        return _json(self.code, {**value, "reason": self.reason, "message": str(self)})


def _json(code: int, value: Any) -> Response:
    return Response(code, orjson.dumps(value))


class SampleApi:
    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.revision = 1
        self.watchers: dict[Stream, tuple[str, str]] = {}
        self.users: list[str] = []

    async def handle(self, http: HttpRequest, connection: Connection) -> Response | None:
        try:
            if http.peer is None or http.peer.common_name != FRONT:
                raise Refused(401, "Unauthorized", "Unauthorized")
            self.users.append(http.headers["x-remote-user"])
            return await self._serve(http, connection)
        except Refused as refused:
            return refused.response()

    async def _serve(self, http: HttpRequest, connection: Connection) -> Response | None:
        if http.path in DISCOVERY:
            return _json(200, DISCOVERY[http.path])
        parts = http.path.removeprefix(ROOT).strip("/").split("/")
        namespace = ""
        if parts[0] == "namespaces":
            namespace, parts = parts[1], parts[2:]
        if not http.path.startswith(ROOT) or not parts or parts[0] not in KINDS or len(parts) > 2:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        plural, name = parts[0], parts[1] if len(parts) > 1 else ""
        if name:
            return self._one(http, plural, namespace, name)
        if http.method == "GET" and http.query.get("watch", ["false"])[-1] in ("1", "true"):
            return await self._watch(connection, plural, namespace)
        return self._all(http, plural, namespace)

    def _one(self, http: HttpRequest, plural: str, namespace: str, name: str) -> Response:
        key = (plural, namespace, name)
        old = self.objects.get(key)
        if old is None:
            raise Refused(404, "NotFound", f'{plural}.{GROUP} "{name}" not found')
        if http.method == "GET":
            return _json(200, old)
        if http.method == "DELETE":
            self._tell("DELETED", self.objects.pop(key))
            return _json(200, {"kind": "Status", "apiVersion": "v1", "status": "Success", "details": {"name": name}})
        if http.method == "PATCH":
            return _json(200, self._put(key, _merged(old, orjson.loads(http.body)), "MODIFIED"))
        if http.method == "PUT":
            return _json(200, self._put(key, orjson.loads(http.body), "MODIFIED"))
        raise Refused(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")

    def _all(self, http: HttpRequest, plural: str, namespace: str) -> Response:
        found = list(self._of(plural, namespace))
        if http.method == "POST":
            return _json(201, self._create(plural, namespace, orjson.loads(http.body)))
        if http.method == "DELETE":
            for value in found:
                self._tell("DELETED", self.objects.pop((plural, value["metadata"].get("namespace", ""), value["metadata"]["name"])))
        metadata = {"resourceVersion": str(self.revision)}
        return _json(200, {"kind": KINDS[plural] + "List", "apiVersion": f"{GROUP}/{VERSION}", "metadata": metadata, "items": found})

    def _of(self, plural: str, namespace: str) -> Iterator[Object]:
        return (v for (p, n, _), v in self.objects.items() if p == plural and namespace in ("", n))

    def _create(self, plural: str, namespace: str, value: Object) -> Object:
        name = value["metadata"]["name"]
        if (plural, namespace, name) in self.objects:
            raise Refused(409, "AlreadyExists", f'{plural}.{GROUP} "{name}" already exists')
        if value.get("spec", {}).get("flunderReference") and value["spec"].get("fischerReference"):
            raise Refused(
                422, "Invalid", f'{KINDS[plural]}.{GROUP} "{name}" is invalid: spec: Invalid value: only one reference may be set'
            )
        value["metadata"] |= {"uid": str(uuid.uuid4())} | ({"namespace": namespace} if namespace else {})
        return self._put((plural, namespace, name), value, "ADDED")

    def _put(self, key: tuple[str, str, str], value: Object, event: str) -> Object:
        self.revision += 1
        value["metadata"]["resourceVersion"] = str(self.revision)
        value |= {"kind": KINDS[key[0]], "apiVersion": f"{GROUP}/{VERSION}"}
        self.objects[key] = value
        self._tell(event, value)
        return value

    async def _watch(self, connection: Connection, plural: str, namespace: str) -> None:
        stream = connection.start_stream(200, ((b"content-type", b"application/json"),))
        self.watchers[stream] = (plural, namespace)
        try:
            await stream.wait_closed()
        finally:
            del self.watchers[stream]

    def _tell(self, event: str, value: Object) -> None:
        for stream, (plural, namespace) in self.watchers.items():
            if KINDS[plural] == value["kind"] and namespace in ("", value["metadata"].get("namespace", "")):
                stream.write(orjson.dumps({"type": event, "object": value}) + b"\n")


def _merged(value: Any, change: Any) -> Any:
    """RFC 7396."""
    if not isinstance(change, dict):
        return change
    result = dict(value) if isinstance(value, dict) else {}
    for key, wanted in change.items():
        if wanted is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), wanted)
    return result


async def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("--certificate", "--key", "--clients-ca"):
        parser.add_argument(name, required=True)
    given = parser.parse_args()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(given.certificate, given.key)
    tls.load_verify_locations(given.clients_ca)
    tls.verify_mode = ssl.CERT_OPTIONAL
    server = HttpServer(SampleApi().handle, tls)
    print(await server.listen("localhost", 0), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
