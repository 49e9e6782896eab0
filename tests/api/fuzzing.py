"""Requests drawn at random, against the HTTP handler of a real control plane: what an API server must survive.

`Fuzzer(seed).run(count)` sends `count` requests, some of them at once: objects from the schemas and mutations of them, odd paths, queries,
bodies, patches, content types. It fails on a 5xx other than 503 and 504, on an exception, on a request that hangs, and on a list that cannot be
read afterwards. Everything comes from the seed: the failure's message has the request and how to run it again.

`python -m tests.api.fuzzing [--seed N] [--requests N]`; each round of ROUND requests starts with a fresh server, from SEED/round.
"""

import argparse
import asyncio
import random
import secrets
import sys
import tempfile
import time
import traceback
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, quote, unquote

import orjson

from podium.api.authority import Authority
from podium.control_plane import ControlPlane, build
from podium.objects import schema
from podium.objects.resources import Resource, resource
from podium.store.memory import MemoryStore
from podium.world.http_server import Connection, HttpRequest, Peer, Response
from podium.world.real import RealWorld
from tests.api.test_any_object import WORDS, drawn
from tests.conformance.objects import OBJECTS

ROUND = 5_000
TOGETHER = 4
HANG_S = 10.0
WATCH_S = 0.002
FINDINGS_MAX = 50
ADMIN = Peer("kubernetes-admin", ("system:masters",))
NAMES = ["a", "b", "c", "v1.g", "x-1"]
NAMESPACES = ["default"] * 8 + ["kube-system", "ns1", "absent", "A_b"]
MEDIA = [
    "application/json", "application/yaml", "application/merge-patch+json", "application/json-patch+json",
    "application/strategic-merge-patch+json", "application/apply-patch+yaml", "application/vnd.kubernetes.protobuf", "application/cbor",
    "text/plain", "", "application/json; charset=utf-8", ";", "application/json;stream=watch",
]  # fmt: skip
ACCEPTS = [
    "", "*/*", "application/json", "application/yaml", "application/json;as=Table;v=v1;g=meta.k8s.io", "text/html", ";;,", "application/*",
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
    "application/vnd.kubernetes.protobuf", "application/json;as=Nothing;v=v1;g=meta.k8s.io", "application/vnd.kubernetes.protobuf,*/*",
    "application/yaml;as=Table;v=v1;g=meta.k8s.io", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
]  # fmt: skip
SELECTORS = [
    "", "a", "a=b", "a==b", "a!=b", "!a", "a in (b,c)", "a notin (b)", "a in", "a in (", "=b", ",", "a,,b", "a=b,c!=d", "metadata.name=a",
    "metadata.name!=a", "metadata.namespace=default", "spec.nodeName=x", "status.phase=Running", "type=Opaque", "é=é", "a" * 300, "\\", "a=\\,",
    "a>1", "a<x", "(", "metadata.name", "involvedObject.name=a", "spec.type=ClusterIP", "a\x00=b",
]  # fmt: skip
NUMBERS = ["", "0", "1", "2", "-1", "x", "99999999999999999999", "1.5", "1e3", "٣", "0x1", " 1", "+1", "true", "9223372036854775808"]
LEAVES: list[Any] = [
    None, True, 0, -1, 2**53, 2**63 - 1, 2**64, 1.5, 1e300, "", "x", "é", "\x00", "\ud800".encode("utf-8", "replace").decode(), "a" * 5000,
    [], {}, [None], [[]], {"": ""}, {"a": None}, [{}], "2026-01-01T00:00:00Z", "10Gi", "-5",
]  # fmt: skip
DELETE_OPTIONS: list[Any] = [
    {}, {"gracePeriodSeconds": 0}, {"preconditions": {"uid": "x"}}, {"gracePeriodSeconds": -1}, {"dryRun": ["All"]}, None, [], "x",
]  # fmt: skip


def _definition(plural: str, kind: str, names: list[str], schema_of: Any, **version: Any) -> Any:
    versions = [
        {"name": name, "served": True, "storage": name == names[0], "schema": {"openAPIV3Schema": schema_of}, **version} for name in names
    ]
    return {
        "metadata": {"name": f"{plural}.fuzz.io"},
        "spec": {
            "group": "fuzz.io",
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "versions": versions,
        },
    }


_STRICT: Any = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "replicas": {"type": "integer", "default": 1, "minimum": 0},
                "text": {"type": "string", "maxLength": 100, "nullable": True},
                "list": {
                    "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "maxItems": 10,
                    "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "maxLength": 10}}},
                },
            },
            "x-kubernetes-validations": [{"rule": "!has(self.replicas) || self.replicas < 100", "message": "too many"}],
        },
        "status": {"type": "object", "properties": {"phase": {"type": "string"}}},
        "data": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}  # fmt: skip
_COLUMNS = [
    {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
    {"name": "N", "type": "integer", "jsonPath": ".spec.replicas"},
]
DEFINITIONS = [
    _definition("strict", "Strict", ["v1", "v2"], _STRICT, subresources={"status": {}}, additionalPrinterColumns=_COLUMNS),
    _definition("loose", "Loose", ["v1"], {"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
]
ODD_PARTS = [
    "api", "apis", "v1", "apps", "namespaces", "default", "pods", "configmaps", "a", "", "..", "%2e", "é", "status", "watch", "proxy",
    "openapi", "v2", "v3", "healthz", "livez", "readyz", "metrics", "version", "log", "exec", "\x00", "a" * 300, "finalize", "*",
]  # fmt: skip


@dataclass
class FakeStream:
    written: list[bytes] = field(default_factory=list)
    closed: bool = False
    buffered_bytes: int = 0
    lost: Any = None

    def write(self, data: bytes) -> None:
        self.written.append(data)

    write_framed = write

    def push(self, data: bytes, buffered_bytes_max: int) -> bool:
        self.written.append(data)
        return not self.closed

    def detach(self, on_lost: Any) -> None:
        self.lost = on_lost

    async def drain(self) -> None:
        return None

    async def wait_closed(self) -> None:
        await asyncio.sleep(3600)

    def end(self) -> None:
        self.closed = True


@dataclass
class FakeConnection:
    """What handlers use of a connection."""

    remote_address = "127.0.0.1"

    stream: FakeStream = field(default_factory=FakeStream)
    peer: Peer = ADMIN
    closed: bool = False
    buffered_bytes: int = 0

    @property
    def detached(self) -> bool:
        return self.stream.lost is not None

    def at_end(self, call: Any) -> None:
        """Watches of the fuzzer live until the client goes, which is at once."""
        lost, self.stream.lost = self.stream.lost, None
        asyncio.get_running_loop().call_later(WATCH_S, lambda: (lost(), call()))

    def start_stream(self, status: int, headers: Any, **_: Any) -> FakeStream:
        return self.stream

    async def drain(self) -> None:
        return None

    def abort(self) -> None:
        self.closed = True

    close = abort


class Found(AssertionError):
    """What must not be."""


class Fuzzer:
    def __init__(self, seed: str, plane: ControlPlane) -> None:
        self.draw = random.Random(seed)
        self.plane = plane
        self.resources = [r for r in plane.server.core.catalog if (r.api_version, r.kind) in schema.kinds()]
        self.answers: Counter[int] = Counter()
        self.last: dict[str, Any] = {}
        self.tokens: list[str] = []
        self.sent = 0
        self.findings: dict[str, str] = {}

    async def run(self, count: int) -> None:
        """Raises Found."""
        while self.sent < count:
            batch = [self.request() for _ in range(self.draw.randint(1, TOGETHER))]
            await asyncio.gather(*(self.send(http) for http in batch))
            if self.sent % 500 < len(batch):
                await self.read_all()
        await self.read_all()
        if self.findings:
            raise Found(f"answers {sorted(self.answers.items())}\n" + "\n\n".join(f"== {text}" for text in self.findings.values()))

    def find(self, signature: str, text: str) -> None:
        """One of each kind is told."""
        if len(self.findings) < FINDINGS_MAX:
            self.findings.setdefault(signature, text)

    # -- what is sent

    def request(self) -> HttpRequest:
        draw = self.draw
        if draw.random() < 0.06:
            return self.odd()
        resource = draw.choice(self.resources if draw.random() < 0.6 else self.resources[:24])
        custom = [r for r in self.plane.server.core.catalog if r.custom is not None]
        if custom and draw.random() < 0.1:
            resource = draw.choice(custom)
        kind = draw.choices(
            ["create", "update", "patch", "delete", "get", "list", "watch", "deletecollection", "subresource"],
            [30, 12, 20, 6, 4, 12, 3, 2, 11],
        )[0]
        name = draw.choice(NAMES)
        if draw.random() < 0.5 and (live := [k for k in self.last if k.startswith(resource.prefix)]):
            name = draw.choice(live).rpartition("/")[2]
        namespace = draw.choice(NAMESPACES) if resource.namespaced else None
        subresource = ""
        if kind == "subresource":
            subresource = draw.choice([s.name for s in resource.subresources] + ["status", "scale", "nothing"])
            kind = draw.choice(["create", "update", "patch", "get", "delete"])
        named = kind not in ("create", "list", "watch", "deletecollection") or subresource != ""
        path = resource.path(namespace, name if named else "", subresource)
        if resource.namespaced and draw.random() < 0.04:
            path = resource.path(None, name if named else "", subresource)
        method = {"create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE", "deletecollection": "DELETE"}.get(kind, "GET")
        query = self.query(kind)
        media, body = self.body(kind, resource, namespace, name, subresource)
        return self.http(method, path, query, media, body)

    def http(self, method: str, path: str, query: list[tuple[str, str]], media: str, body: bytes) -> HttpRequest:
        headers = {"content-type": media, "accept": self.draw.choice(ACCEPTS) if self.draw.random() < 0.12 else "application/json"}
        if not media and self.draw.random() < 0.5:
            del headers["content-type"]
        if self.draw.random() < 0.03:
            headers["impersonate-user"] = self.draw.choice(["ann", "system:serviceaccount:default:default", "", "system:anonymous", "é"])
        if self.draw.random() < 0.02:
            headers["authorization"] = self.draw.choice(["Bearer x", "Bearer a.b.c", "Basic eDp5", "Bearer", "é", "Bearer " + "a" * 9000])
        text = "&".join(f"{quote(k)}={quote(v)}" for k, v in query)
        return HttpRequest(method, path, path + ("?" + text if text else ""), parse_qs(text, keep_blank_values=True), headers, body, ADMIN)

    def query(self, kind: str) -> list[tuple[str, str]]:
        draw = self.draw
        found: list[tuple[str, str]] = []
        common = {"dryRun": ["All", "x", ""], "fieldValidation": ["Strict", "Warn", "Ignore", "x"], "fieldManager": ["me", "", "a" * 200, "é\x00"],
                  "force": ["true", "x", "false"], "pretty": ["true"]}  # fmt: skip
        lists = {"labelSelector": SELECTORS, "fieldSelector": SELECTORS, "limit": NUMBERS, "resourceVersion": NUMBERS,
                 "resourceVersionMatch": ["Exact", "NotOlderThan", "x", ""], "continue": ["x", "", "e30", *self.tokens[-3:]],
                 "timeoutSeconds": NUMBERS, "includeObject": ["None", "Object", "x"], "allowWatchBookmarks": ["true", "x"],
                 "sendInitialEvents": ["true", "false", "x"]}  # fmt: skip
        deletes = {"gracePeriodSeconds": NUMBERS, "propagationPolicy": ["Orphan", "Foreground", "x"], "orphanDependents": ["true", "x"]}
        choices: dict[str, list[str]] = lists if kind in ("list", "watch", "get") else common
        if kind in ("delete", "deletecollection"):
            choices = {**common, **deletes, **(lists if kind == "deletecollection" else {})}
        for name, values in choices.items():
            if draw.random() < 0.06:
                found.append((name, draw.choice(values)))
        if kind == "watch":
            found.append(("watch", draw.choice(["1", "true", "x", ""])))
        return found

    def body(self, kind: str, resource: Resource, namespace: str | None, name: str, subresource: str) -> tuple[str, bytes]:
        draw = self.draw
        if kind in ("get", "list", "watch"):
            return "", b"" if draw.random() < 0.95 else b"{}"
        if kind in ("delete", "deletecollection"):
            value: Any = draw.choice(DELETE_OPTIONS)
            if draw.random() < 0.2:
                value = {"propagationPolicy": draw.choice(WORDS), "preconditions": {"resourceVersion": draw.choice(NUMBERS)}}
            return "application/json", b"" if draw.random() < 0.5 else orjson.dumps(value)
        if kind == "patch":
            return self.patch(resource, namespace, name)
        value = self.object(resource, namespace, name, subresource, fresh=kind == "create")
        if draw.random() < 0.25:
            value = self.mutated(value)
        return self.encoded(value, draw.choice(MEDIA) if draw.random() < 0.03 else "application/json")

    def encoded(self, value: Any, media: str) -> tuple[str, bytes]:
        draw = self.draw
        body = dumps(value)
        if draw.random() < 0.04:
            body = self.torn(body)
        if draw.random() < 0.01:
            body = b'{"a":' * draw.choice([50, 5_000]) + body
        return media, body

    def torn(self, body: bytes) -> bytes:
        """Bytes changed, left out or put in twice."""
        draw, data = self.draw, bytearray(body or b"{}")
        for _ in range(draw.randint(1, 4)):
            at = draw.randrange(len(data) + 1)
            data[at : at + draw.choice([0, 1, 5])] = draw.choice(
                [b"", b'"', b"{", b"]", b"\x00", b"\xff", b",", b":", b"\\u0000", data[:20], b"&a *a"]
            )
        return bytes(data)

    def object(self, resource: Resource, namespace: str | None, name: str, subresource: str, *, fresh: bool) -> Any:
        draw = self.draw
        live = self.last.get(resource.key(namespace, name))
        if live is not None and (not fresh or draw.random() < 0.3):
            value = deepcopy(live)
            if draw.random() < 0.3:
                value["metadata"].pop("resourceVersion", None)
            some = self.drawn(resource.api_version, resource.kind)
            for key in [k for k in (some if isinstance(some, dict) else ()) if k != "metadata"][: draw.randint(0, 2)]:
                value[key] = some[key]
        else:
            sub = resource.subresource(subresource)
            api_version, kind = resource.api_version, resource.kind
            if sub is not None and (wanted := (f"{sub.group}/{sub.version}".lstrip("/"), sub.kind)) in schema.kinds():
                api_version, kind = wanted
            sample = OBJECTS.get(f"{resource.plural}.{resource.group}".rstrip("."))
            value = self.drawn(api_version, kind)
            if sample is not None and kind == resource.kind and draw.random() < 0.8:
                kept = [k for k in value if k not in ("metadata", *sample)][: draw.randint(0, 1)]
                value = {
                    **{k: value[k] for k in kept},
                    **deepcopy(sample),
                    "metadata": {} if draw.random() < 0.8 else value.get("metadata"),
                }
            value = (value if isinstance(value, dict) else {"spec": value}) | {"apiVersion": api_version, "kind": kind}
        if draw.random() < 0.9 and isinstance(value, dict):
            metadata = value["metadata"] = value.get("metadata") or {}
            if draw.random() < 0.8:
                for key in ("ownerReferences", "managedFields", "finalizers", "deletionTimestamp", "selfLink"):
                    metadata.pop(key, None)
                metadata.pop("labels", None), metadata.pop("annotations", None)
            metadata["name"] = name
            if namespace:
                metadata["namespace"] = namespace
            if fresh and draw.random() < 0.1:
                metadata["generateName"] = draw.choice(["g-", "", "A", "a" * 300])
                metadata.pop("name", None)
            if draw.random() < 0.8:
                for key in ("resourceVersion", "uid") if fresh else ():
                    metadata.pop(key, None)
        return value

    def drawn(self, api_version: str, kind: str) -> Any:
        """By the schema, or anything for a custom kind."""
        if (api_version, kind) in schema.kinds():
            return drawn(schema.load(api_version, kind), self.draw)
        some = {"spec": {"replicas": 1, "list": [{"name": "a"}], "text": "x"}, "status": {"phase": "x"}, "data": {"k": "v"}}
        return self.mutated({k: v for k, v in some.items() if self.draw.random() < 0.7})

    def leaf(self) -> Any:
        return deepcopy(self.draw.choice(LEAVES))

    def mutated(self, value: Any) -> Any:
        """The same with something else somewhere."""
        draw = self.draw
        for _ in range(draw.randint(1, 3)):
            if isinstance(value, dict) and value and draw.random() < 0.9:
                key = draw.choice(sorted(value))
                value[key] = self.mutated(value[key]) if draw.random() < 0.8 else self.leaf()
            elif isinstance(value, list) and value and draw.random() < 0.9:
                at = draw.randrange(len(value))
                value[at] = self.mutated(value[at]) if draw.random() < 0.7 else self.leaf()
                if draw.random() < 0.2:
                    value.append(deepcopy(value[at]))
            else:
                return self.leaf()
        return value

    def patch(self, resource: Resource, namespace: str | None, name: str) -> tuple[str, bytes]:
        draw = self.draw
        media = draw.choice(MEDIA[2:6]) if draw.random() < 0.95 else draw.choice(MEDIA)
        if media == "application/json-patch+json" and draw.random() < 0.95:
            live = self.last.get(resource.key(namespace, name)) or {}
            value: Any = [self.operation(live) for _ in range(draw.randint(0, 4))]
        elif media == "application/apply-patch+yaml":
            value = self.object(resource, namespace, name, "", fresh=True)
            if isinstance(value, dict) and isinstance(value.get("metadata"), dict):
                value["metadata"].pop("managedFields", None)
        else:
            value = self.drawn(resource.api_version, resource.kind)
            if not isinstance(value, dict):
                value = {"spec": value}
            if draw.random() < 0.6:
                value.pop("metadata", None)
            if draw.random() < 0.2:
                value["spec"] = {"$patch": draw.choice(["delete", "replace", "x"]), "$setElementOrder/containers": [{"name": "a"}, 1],
                                 "$deleteFromPrimitiveList/finalizers": ["a"], "$retainKeys": ["a"],
                                 "containers": [{"$patch": "delete", "name": "a"}]}  # fmt: skip
        if draw.random() < 0.25:
            value = self.mutated(value)
        return self.encoded(value, media)

    def operation(self, live: Any) -> Any:
        draw = self.draw
        path, at = "", live
        while isinstance(at, dict | list) and at and draw.random() < 0.8:
            key = draw.choice(sorted(at)) if isinstance(at, dict) else draw.randrange(len(at))
            path += "/" + str(key).replace("~", "~0").replace("/", "~1")
            at = at[key]
        path += draw.choice(["", "", "", "/-", "/x", "/0", "/-1", "/01", "/~2", "/"])
        some = {"op": draw.choice(["add", "remove", "replace", "move", "copy", "test", "x"]), "path": path, "value": self.leaf(),
                "from": draw.choice(["", "/metadata", "/spec", path])}  # fmt: skip
        if draw.random() < 0.1:
            some.pop(draw.choice(sorted(some)))
        return some

    def odd(self) -> HttpRequest:
        draw = self.draw
        path = "/" + "/".join(draw.choice(ODD_PARTS) for _ in range(draw.randint(0, 8)))
        method = draw.choice(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "BREW"])
        query = [(draw.choice(["watch", "limit", "a", "", "command", "container"]), draw.choice(WORDS)) for _ in range(draw.randint(0, 2))]
        return self.http(
            method,
            unquote(path),
            query,
            draw.choice(MEDIA),
            draw.choice([b"", b"{}", b"[]", b"null", b"\xff", b"a: b", b"- 1", b"&a [*a]"]),
        )

    # -- what comes back

    async def send(self, http: HttpRequest) -> Any:
        self.sent += 1
        connection = FakeConnection()
        try:
            answer = self.plane.server.handle(http, cast(Connection, connection))
            is_long = "watch" in http.query or http.path.endswith(("/log", "/exec", "/attach", "/portforward", "/proxy"))
            async with asyncio.timeout(WATCH_S if is_long else HANG_S):
                response = answer if isinstance(answer, Response) else await answer
        except TimeoutError:
            if is_long:
                return None
            self.find(f"hang {http.method}", f"hangs: {shown(http)}\n{traceback.format_exc()}")
            return None
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            self.find(f"{frame.filename}:{frame.lineno} {error!r:.40}", f"{shown(http)}\n{traceback.format_exc()}")
            return None
        if response is None:
            return None
        self.answers[response.status] += 1
        if response.status >= 500 and response.status not in (503, 504):
            self.find(f"{response.body[:60]!r}", f"{response.status}: {shown(http)}\n{response.body[:600]!r}")
        if b"Traceback" in response.body or b"object at 0x" in response.body:
            self.find("leak", f"leaks: {shown(http)}\n{response.body[:600]!r}")
        return response

    async def read_all(self) -> None:
        """Every list in every form, and what is there now."""
        self.last = {}
        for kind in [*self.resources, *(r for r in self.plane.server.core.catalog if r.custom is not None)]:
            if "list" not in kind.verbs:
                continue
            for accept in (ACCEPTS[2], ACCEPTS[4], ACCEPTS[7]) if self.draw.random() < 0.3 else (ACCEPTS[2],):
                path = kind.path()
                http = HttpRequest(
                    "GET", path, path, {"limit": ["500"]} if self.draw.random() < 0.3 else {}, {"accept": accept}, b"", ADMIN
                )
                response = await self.send(http)
                if response is None or response.status != 200:
                    self.find(f"list {path}", f"a list that cannot be read: {shown(http)} {response}")
                    continue
                value = orjson.loads(response.body)
                if accept == ACCEPTS[2]:
                    for item in value["items"]:
                        metadata = item["metadata"]
                        if not metadata.get("name") or not metadata.get("uid") or not metadata.get("resourceVersion"):
                            self.find(f"identity {path}", f"an object without an identity: {item}")
                            continue
                        self.last[kind.key(metadata.get("namespace"), metadata["name"])] = item
                if token := value.get("metadata", {}).get("continue"):
                    self.tokens.append(token)


def dumps(value: Any) -> bytes:
    """With numbers that orjson does not write."""
    import json

    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value).encode()


def shown(http: HttpRequest) -> str:
    return f"{http.method} {http.target} {http.headers} {http.body[:3000]!r}"


async def fuzz(seed: str, count: int, directory: Path) -> Counter[int]:
    """One round. Raises Found."""
    authority = Authority.load_or_create(directory)
    plane = await build(MemoryStore(), RealWorld(), service_cidr="10.96.0.0/24", signing_key=authority.service_account_key)
    try:
        await plane.client().create(resource("serviceaccounts"), {"metadata": {"name": "default", "namespace": "default"}})
        await plane.client().create(resource("namespaces"), {"metadata": {"name": "ns1"}})
        for definition in DEFINITIONS:
            await plane.client().create(resource("customresourcedefinitions", "apiextensions.k8s.io"), deepcopy(definition))
        await asyncio.sleep(0.05)
        fuzzer = Fuzzer(seed, plane)
        await fuzzer.run(count)
        return fuzzer.answers
    finally:
        await plane.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description="Sends random requests to an API server and fails on what must not be.")
    parser.add_argument("--seed", default=secrets.token_hex(4))
    parser.add_argument("--requests", type=int, default=100_000)
    arguments = parser.parse_args()
    began_s, answers, sent, number = time.monotonic(), Counter[int](), 0, 0
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        while sent < arguments.requests:
            count = min(ROUND, arguments.requests - sent)
            try:
                answers += asyncio.run(fuzz(f"{arguments.seed}/{number}", count, Path(directory)))
            except Found as found:
                print(
                    f"{found}\nafter {sent} requests; again: python -m tests.api.fuzzing --seed {arguments.seed} --requests {sent + count}"
                )
                sys.exit(1)
            sent, number = sent + count, number + 1
    shown_answers = " ".join(f"{status}:{n}" for status, n in sorted(answers.items()))
    print(f"{sent} requests, no finding, {time.monotonic() - began_s:.0f} s; answers {shown_answers}")


if __name__ == "__main__":
    main()
