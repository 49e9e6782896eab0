"""A client of bytes: requests go through the server's HTTP front without a socket, so statuses, media types and streams are as on the wire."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import orjson

from podium.control_plane import ControlPlane
from podium.world.http_server import HttpRequest, Peer

ADMIN = Peer("kubernetes-admin", ("system:masters",))
JSON_PATCH, MERGE, STRATEGIC, APPLY = (
    "application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json", "application/apply-patch+yaml",
)  # fmt: skip
EVENT_S_MAX = 30.0


@dataclass
class Answer:
    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def value(self) -> Any:
        return orjson.loads(self.body)


class Wire:
    """Where a stream goes: the events of a watch, in order."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[Any] = asyncio.Queue()
        self.closed = False
        self.buffered_bytes = 0
        self.remote_address = "127.0.0.1"
        self._rest = b""
        self._on_lost: Callable[[], None] | None = None
        self._at_end: Callable[[], None] | None = None

    def start_stream(self, status: int, headers: Any) -> "Wire":
        return self

    def write(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self.events.put_nowait(orjson.loads(line))

    def write_framed(self, chunk: bytes) -> None:
        self.write(chunk.partition(b"\r\n")[2].removesuffix(b"\r\n"))

    async def drain(self) -> None:
        return None

    def push(self, chunk: bytes, buffered_bytes_max: int) -> bool:
        self.write_framed(chunk)
        return not self.closed

    @property
    def detached(self) -> bool:
        return self._on_lost is not None

    def detach(self, on_lost: Callable[[], None]) -> None:
        self._on_lost = on_lost

    def at_end(self, call: Callable[[], None]) -> None:
        self._at_end = call

    def end(self) -> None:
        self.events.put_nowait(None)
        self._on_lost, at_end, self._at_end = None, self._at_end, None
        if at_end is not None:
            at_end()

    def hang_up(self) -> None:
        """The client goes."""
        self.closed = True
        if self._on_lost is not None:
            self._on_lost()
            self.end()

    def abort(self) -> None:
        self.closed = True

    async def next(self, kind: str = "", *, name: str = "") -> Any:
        """The object of the next event, which must be of `kind` unless that is empty; of `name` only, if given. None at the end."""
        while True:
            event = await asyncio.wait_for(self.events.get(), EVENT_S_MAX)
            if event is None:
                return None
            if event["type"] == "BOOKMARK" and kind != "BOOKMARK":
                continue
            if name and event["object"]["metadata"]["name"] != name:
                continue
            assert not kind or event["type"] == kind, f"{event['type']} instead of {kind}: {event['object']}"
            return event["object"] if kind else event

    async def until(self, condition: Any) -> Any:
        """The first event that meets `condition(type, object)`."""
        while True:
            event = await self.next()
            assert event is not None, "the watch ended"
            if condition(event["type"], event["object"]):
                return event["object"]

    @property
    def quiet(self) -> bool:
        return self.events.empty()


class Api:
    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane

    async def call(self, method: str, target: str, body: Any = None, *, peer: Peer | None = ADMIN, **headers: str) -> Answer:
        """Header names with underscores for dashes."""
        answer = await self._serve(method, target, body, peer, headers, Wire())
        assert answer is not None
        joined: dict[str, str] = {}
        for name, value in ((k.decode().lower(), v.decode()) for k, v in answer.headers):
            joined[name] = f"{joined[name]}, {value}" if name in joined else value
        return Answer(answer.status, answer.body, joined)

    def _serve(self, method: str, target: str, body: Any, peer: Peer | None, headers: dict[str, str], wire: Wire) -> Any:
        data = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        names = {"accept": "application/json", "content-type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
        parts = urlsplit(target)
        http = HttpRequest(method, parts.path, target, parse_qs(parts.query, keep_blank_values=True), names, data, peer)
        return self.plane.server.handle(http, wire)  # type: ignore[arg-type]

    async def _good(self, method: str, target: str, body: Any = None, **headers: str) -> Any:
        answer = await self.call(method, target, body, **headers)
        assert 200 <= answer.status < 300, f"{method} {target}: {answer.status} {answer.body.decode()}"
        return answer.value

    async def get(self, target: str, **headers: str) -> Any:
        return await self._good("GET", target, **headers)

    async def post(self, target: str, body: Any, **headers: str) -> Any:
        return await self._good("POST", target, body, **headers)

    async def put(self, target: str, body: Any, **headers: str) -> Any:
        return await self._good("PUT", target, body, **headers)

    async def patch(self, target: str, body: Any, kind: str = MERGE) -> Any:
        return await self._good("PATCH", target, body, content_type=kind)

    async def delete(self, target: str, options: Any = None) -> Any:
        return await self._good("DELETE", target, options)

    async def names(self, target: str) -> list[str]:
        return [item["metadata"]["name"] for item in (await self.get(target))["items"]]

    async def refused(self, status: int, method: str, target: str, body: Any = None, **headers: str) -> Any:
        """The Status of a refusal with this code."""
        answer = await self.call(method, target, body, **headers)
        assert answer.status == status, f"{method} {target}: {answer.status} {answer.body.decode()}"
        assert answer.value["kind"] == "Status" and answer.value["code"] == status
        return answer.value

    @asynccontextmanager
    async def watch(self, target: str, *, labels: str = "", fields: str = "", revision: str = "", **headers: str) -> AsyncIterator[Wire]:
        """From now on, or from `revision`; `target` may have a query."""
        query = {"labelSelector": labels, "fieldSelector": fields, "resourceVersion": revision or await self.revision(target)}
        text = "&".join(f"{k}={quote(v)}" for k, v in query.items() if v)
        wire = Wire()
        target += ("&" if "?" in target else "?") + f"watch=true&{text}"
        task = asyncio.ensure_future(self._serve("GET", target, None, ADMIN, headers, wire))
        try:
            await asyncio.sleep(0)
            if task.done() and (refusal := task.result()) is not None:
                raise AssertionError(refusal)
            yield wire
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            wire.hang_up()

    async def revision(self, target: str) -> str:
        return str((await self.get(target.partition("?")[0] + "?limit=1"))["metadata"]["resourceVersion"])

    async def settled(self, target: str, condition: Any, within_s: float = 60.0) -> Any:
        """The object at `target` (None while absent) once it meets `condition`; for controllers' work."""
        loop = asyncio.get_running_loop()
        end, value, pause_s = loop.time() + within_s, None, 0.005
        while loop.time() < end:
            answer = await self.call("GET", target)
            value = answer.value if answer.status == 200 else None
            if condition(value):
                return value
            pause_s = min(pause_s * 1.5, 0.5)
            await asyncio.sleep(pause_s)
        raise AssertionError(f"{target} did not settle: {value}")
