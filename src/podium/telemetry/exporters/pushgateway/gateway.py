"""The pushgateway: keeps what short jobs push, for Prometheus to scrape.

PUT replaces a group, POST replaces the pushed names in it, DELETE removes it; a grouping key is in the path:
`/metrics/job/JOB{/LABEL/VALUE}`, where `LABEL@base64` has its value in base64url. Pushes are text or delimited protobuf, gzip or plain, of
at most the server's body limit, UNPACKED_BYTES_MAX unpacked.

What was pushed is in the file within `persist_interval_s`, and when the gateway ends; as upstream, an answer does not wait for that.

Source: pushgateway handler/{push,delete,misc,status}.go, api/v1/api.go, README.
"""

import asyncio
import base64
import binascii
import zlib
from html import escape
from pathlib import Path
from typing import Any

import orjson

from podium import __version__
from podium.instrument.exposition import Family, Pairs, number, respond
from podium.instrument.log import logger
from podium.instrument.metrics import Registry
from podium.instrument.process_metrics import register_process
from podium.telemetry.exporters import serving
from podium.telemetry.exporters.errors import BadExposition
from podium.telemetry.exporters.pushgateway import persistence
from podium.telemetry.exporters.pushgateway.groups import Group, Groups, describe
from podium.telemetry.exporters.pushgateway.protobuf_format import MEDIA_TYPE, parse_protobuf
from podium.telemetry.exporters.text_format import LABEL_NAME, parse_text
from podium.world.http_messages import HttpRequest, Response
from podium.world.interface import World

log = logger("exporters.pushgateway")

PERSIST_INTERVAL_S = 5.0
UNPACKED_BYTES_MAX = 32 * 1024 * 1024
KEY_LABELS_MAX = 32
VALUE_CHARS_MAX = 4096
BASE64 = "@base64"


class BadPush(ValueError):
    """The path or the body of a push cannot be used."""


class Pushgateway:
    """`path` is where pushed metrics are kept, None for nowhere. `admin` enables the wipe of everything. Raises OSError when the file
    cannot be read."""

    def __init__(
        self, world: World, path: Path | None = None, *, admin: bool = False, persist_interval_s: float = PERSIST_INTERVAL_S
    ) -> None:
        self._clock = world.clock
        self._path = path
        self._admin = admin
        self._persist_interval_s = persist_interval_s
        self._groups = Groups()
        self._changed = asyncio.Event()
        self._began = world.clock.timestamp()
        self.registry = registry = Registry(lambda: world.clock.now().timestamp())
        register_process(registry)
        registry.constant("pushgateway_build_info", "The version of this pushgateway; always 1.", {"version": __version__})
        text = "Requests to the pushgateway."
        self._requests = registry.counter("pushgateway_http_requests_total", text, ("code", "handler", "method"))
        if path is not None:
            self._groups.restore(persistence.load(path))

    async def run(self) -> None:
        """Writes what was pushed, until cancelled; then once more."""
        try:
            while True:
                await self._changed.wait()
                await asyncio.sleep(self._persist_interval_s)
                self._save()
        finally:
            if self._changed.is_set():
                self._save()

    def _save(self) -> None:
        self._changed.clear()
        if self._path is None:
            return
        try:
            persistence.save(self._path, self._groups.all())
        except OSError as error:
            self._changed.set()  # again at the next turn
            log.error("pushed metrics cannot be written", file=str(self._path), error=str(error))

    def handle(self, request: HttpRequest) -> Response:
        handler, answer = self._answer(request)
        self._requests.labels(str(answer.status), handler, request.method.lower()).add()
        return answer

    def _answer(self, request: HttpRequest) -> tuple[str, Response]:
        path, method = request.path, request.method
        if path.startswith("/metrics/"):
            return "push" if method != "DELETE" else "delete", self._group_request(path, method, request)
        if path == "/api/v1/admin/wipe":
            return "api/v1/wipe", self._wipe(method)
        if method not in ("GET", "HEAD"):
            return "other", serving.text(405, "Method Not Allowed")
        match path:
            case "/metrics":
                families = {family.name: family for family in self.registry.collected()}
                return "metrics", respond(self._with_own(families), request.headers)
            case "/api/v1/metrics":
                return "api/v1/metrics", _json({"status": "success", "data": [_described(group) for group in self._groups.all()]})
            case "/api/v1/status":
                return "api/v1/status", self._status()
            case "/-/ready" | "/-/healthy":
                return path[3:], serving.text(200, "OK")
            case "/":
                return "page", self._page()
        return "other", serving.text(404, "404 page not found")

    def _with_own(self, own: dict[str, Family]) -> list[Family]:
        """Pushed families, and the gateway's own; those of one name together."""
        for family in self._groups.collected():
            into = own.setdefault(family.name, family)
            if into is not family:
                into.samples.update(family.samples)
        return list(own.values())

    def _group_request(self, path: str, method: str, request: HttpRequest) -> Response:
        if not path.startswith(("/metrics/job/", f"/metrics/job{BASE64}/")):
            return serving.text(404, "404 page not found")
        try:
            labels = grouping_key(path)
        except BadPush as error:
            return serving.text(400, str(error))
        if method == "DELETE":
            self._groups.delete(labels)
            self._changed.set()
            return Response(202)
        if method not in ("PUT", "POST"):
            return serving.text(405, "Method Not Allowed")
        now_s = self._clock.now().timestamp()
        try:
            families = _families(request)
        except BadPush as error:
            return serving.text(415, str(error))
        except BadExposition as error:
            return serving.text(400, str(error))
        self._changed.set()
        try:
            own = {family.name: family.kind for family in self.registry.collected()}
            self._groups.push(labels, families, now_s, replace=method == "PUT", own=own)
        except BadExposition as error:
            log.warning("push refused", group=dict(labels).get("job", ""), error=str(error))
            return serving.text(400, str(error))
        return Response(200)

    def _wipe(self, method: str) -> Response:
        if not self._admin:
            return serving.text(404, "404 page not found")
        if method != "PUT":
            return serving.text(405, "Method Not Allowed")
        self._groups.wipe()
        self._changed.set()
        return Response(202)

    def _status(self) -> Response:
        flags = {"persistence.file": str(self._path or ""), "web.enable-admin-api": str(self._admin).lower()}
        build = {"version": __version__}
        return _json({"status": "success", "data": {"build_information": build, "flags": flags, "start_time": self._began}})

    def _page(self) -> Response:
        parts = []
        for group in self._groups.all():
            title = ", ".join(f'{escape(name)}="{escape(value)}"' for name, value in group.labels)
            rows = "".join(
                f"<tr><td>{escape(family.name)}</td><td>{family.kind}</td><td>{len(family.samples)}</td><td>{escape(family.text)}</td></tr>"
                for _, family, _ in describe(group)
            )
            state = "" if group.last_push_successful else " <strong>(last push failed)</strong>"
            head = "<tr><th>Metric</th><th>Kind</th><th>Samples</th><th>Meaning</th></tr>"
            parts.append(f"<h2>{title}{state}</h2><table>{head}{rows}</table>")
        return serving.page("Pushgateway", serving.links({"Metrics": "/metrics", "Groups": "/api/v1/metrics"}) + "".join(parts))


def grouping_key(path: str) -> Pairs:
    """The labels in a path `/metrics/job/JOB{/LABEL/VALUE}`, percent-decoded, as upstream's router does: a value with a slash in it needs
    base64. Sorted by name. Raises BadPush."""
    words = path.removeprefix("/metrics/").split("/")
    if len(words) % 2:
        raise BadPush(f"odd number of components in label string {path!r}")
    if len(words) > 2 * KEY_LABELS_MAX:
        raise BadPush(f"more than {KEY_LABELS_MAX} labels")
    labels: dict[str, str] = {}
    for name, value in zip(words[::2], words[1::2], strict=True):
        if name.endswith(BASE64):
            name, value = name.removesuffix(BASE64), _from_base64(value)
        if not LABEL_NAME.fullmatch(name) or name.startswith("__"):
            raise BadPush(f"improper label name {name[:80]!r}")
        if name in labels:
            raise BadPush(f"label {name!r} is there twice")
        if len(value) > VALUE_CHARS_MAX:
            raise BadPush(f"the value of {name!r} is longer than {VALUE_CHARS_MAX} characters")
        labels[name] = value
    if not labels["job"]:
        raise BadPush("job name is required")
    return tuple(sorted(labels.items()))


def _from_base64(text: str) -> str:
    """Padding is optional; a single `=` is the empty text. Raises BadPush."""
    bare = text.rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise BadPush(f"invalid base64 encoding in label value {text[:80]!r}: {error}") from error


def _families(request: HttpRequest) -> dict[str, Family]:
    """Raises BadPush for an encoding that is not taken, BadExposition for what cannot be read."""
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip"):
        raise BadPush(f"content encoding {encoding!r} is not supported: use gzip")
    body = _unpacked(request.body) if encoding == "gzip" else request.body
    kind = request.headers.get("content-type", "").lower()
    if kind.partition(";")[0].strip() == MEDIA_TYPE:
        if "encoding=delimited" not in kind.replace(" ", "") or "io.prometheus.client.metricfamily" not in kind:
            raise BadPush("a protobuf push is of io.prometheus.client.MetricFamily with encoding=delimited")
        return parse_protobuf(body)
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise BadExposition(f"text format parsing error: not UTF-8: {error}") from error
    if text and not text.endswith("\n"):
        raise BadExposition("text format parsing error: unexpected end of input stream: the last line has no end")
    return parse_text(text)


def _unpacked(body: bytes) -> bytes:
    unpacker = zlib.decompressobj(zlib.MAX_WBITS + 16)
    try:
        data = unpacker.decompress(body, UNPACKED_BYTES_MAX)
    except zlib.error as error:
        raise BadExposition(f"the body is not gzip: {error}") from error
    if unpacker.unconsumed_tail:
        raise BadExposition(f"the body is larger than {UNPACKED_BYTES_MAX} bytes")
    if not unpacker.eof:
        raise BadExposition("the body is cut off")
    return data


def _described(group: Group) -> dict[str, Any]:
    found: dict[str, Any] = {"labels": dict(group.labels), "last_push_successful": group.last_push_successful}
    for name, family, changed_s in describe(group):
        found[name] = {"time_stamp": _timestamp(changed_s), "type": family.kind.upper(), "metrics": _metrics(family)}
        if family.text:
            found[name]["help"] = family.text
    return found


def _metrics(family: Family) -> list[dict[str, Any]]:
    """Upstream's shape: a value, or quantiles or buckets with sum and count."""
    found: dict[Pairs, dict[str, Any]] = {}
    for (suffix, labels), value in family.samples.items():
        plain = tuple(pair for pair in labels if pair[0] not in ("le", "quantile") or family.kind not in ("histogram", "summary"))
        entry = found.setdefault(plain, {"labels": dict(plain)})
        bound = next((text for name, text in labels if name in ("le", "quantile") and (name, text) not in plain), None)
        if suffix in ("_sum", "_count"):
            entry[suffix[1:]] = number(value)
        elif bound is not None:
            entry.setdefault("buckets" if suffix == "_bucket" else "quantiles", {})[bound] = number(value)
        else:
            entry["value"] = number(value)
    return list(found.values())


def _timestamp(seconds: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _json(value: Any) -> Response:
    return Response(200, orjson.dumps(value))
