"""The audit log: who asked for what, when, and what they were told; one JSON line per event, with upstream's fields.

Events are made on the request path (a few microseconds each, what is stored already is not encoded again) and written by a task of their own
in batches, off the event loop. Bounds: LINES_MAX waiting lines; beyond it events are dropped and counted, as upstream's batching backend does.
Files are rotated by size; the oldest beyond a count are removed.

Secrets: at the levels Request and RequestResponse bodies are recorded, those of Secrets, too. That is the policy's choice, as upstream's.

Source: k8s.io/apiserver pkg/apis/audit/v1 (Event), pkg/audit (request.go), plugin/pkg/audit/log.
"""

import asyncio
from pathlib import Path
from typing import Any

import orjson

from podium.api.audit_policy import LEVELS, REQUEST, RESPONSE, Policy, Verdict
from podium.api.request import ListResult, Request, Result, User
from podium.instrument.log import logger
from podium.objects.status import StatusError
from podium.objects.values import Object
from podium.world.interface import World

log = logger("api.audit")

FLUSH_S = 0.1
LINES_MAX = 50_000
FILE_BYTES_MAX = 100 * 1024 * 1024
FILES_MAX = 10


class AuditLog:
    """`run` is to be owned by a supervisor; `aclose` writes what is left."""

    def __init__(
        self, policy: Policy, path: Path, world: World, *, file_bytes_max: int = FILE_BYTES_MAX, files_max: int = FILES_MAX
    ) -> None:
        self._policy = policy
        self._path = path
        self._world = world
        self._file_bytes_max = file_bytes_max
        self._files_max = files_max
        self._lines: list[bytes] = []
        self._writing = asyncio.Lock()
        self.dropped = 0

    def begin(
        self,
        user: User,
        verb: str,
        uri: str,
        request: Request | None,
        *,
        impersonator: User | None = None,
        source: str = "",
        user_agent: str = "",
        audit_id: str = "",
    ) -> "AuditEvent | None":
        """None when the policy wants nothing of this request. `user` is whom it is served as."""
        verdict = self._policy.decide(user, verb, request, uri.partition("?")[0])
        if not verdict.level:
            return None
        event = AuditEvent(self, verdict, user, verb, uri, request, impersonator, source, user_agent, audit_id)
        event.emit("RequestReceived")
        return event

    def now(self) -> str:
        return self._world.clock.micro_timestamp()

    def uid(self) -> str:
        return self._world.uid()

    def put(self, line: bytes) -> None:
        if len(self._lines) >= LINES_MAX:
            self.dropped += 1
            return
        self._lines.append(line)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            await self.flush()

    async def flush(self) -> None:
        async with self._writing:
            lines, self._lines = self._lines, []
            if lines:
                try:
                    await asyncio.to_thread(self._write, b"\n".join(lines) + b"\n")
                except OSError as error:
                    self.dropped += len(lines)
                    log.error("audit events were lost", count=len(lines), file=str(self._path), error=str(error))

    async def aclose(self) -> None:
        await self.flush()

    def _write(self, data: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._path.exists() and self._path.stat().st_size + len(data) > self._file_bytes_max:
            self._rotate()
        with self._path.open("ab") as file:
            if file.tell() == 0:
                self._path.chmod(0o600)
            file.write(data)

    def _rotate(self) -> None:
        stamp = self._world.clock.micro_timestamp().replace(":", "-").rstrip("Z")
        self._path.rename(self._path.with_name(f"{self._path.stem}-{stamp}{self._path.suffix}"))
        kept = sorted(self._path.parent.glob(f"{self._path.stem}-*{self._path.suffix}"))
        for old in kept[: max(0, len(kept) - self._files_max)]:
            old.unlink()


class AuditEvent:
    """One request on its way. `emit` writes a line for a stage, unless the policy omits it."""

    def __init__(
        self, audit: AuditLog, verdict: Verdict, user: User, verb: str, uri: str, request: Request | None, impersonator: User | None,
        source: str, user_agent: str, audit_id: str,
    ) -> None:  # fmt: skip
        self._audit = audit
        self._verdict = verdict
        self._request = request
        self._received = audit.now()
        self._result: Result | None = None
        self._fields: Object = {
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": LEVELS[verdict.level], "auditID": audit_id or audit.uid(),
            "stage": "", "requestURI": uri, "verb": verb, "user": _user(impersonator or user),
        }  # fmt: skip
        if impersonator is not None:
            self._fields["impersonatedUser"] = _user(user)
        self._fields["sourceIPs"] = [source or "127.0.0.1"]
        self._fields["userAgent"] = user_agent
        if request is not None:
            self._fields["objectRef"] = _reference(request)

    def decoded(self) -> None:
        """The body has been read: keep it as it came, before anything changes it."""
        request = self._request
        if request is None or request.value is None:
            return
        metadata = request.value.get("metadata") if isinstance(request.value, dict) and request.verb == "create" else None
        if isinstance(metadata, dict) and isinstance(metadata.get("name"), str):
            self._fields["objectRef"].setdefault("name", metadata["name"])
        if self._verdict.level >= REQUEST:
            self._fields["requestObject"] = orjson.Fragment(orjson.dumps(self._shown(request.value)))

    def answered(self, result: Result) -> None:
        self._result = result

    def started(self) -> None:
        """A watch or a connection: its answer has begun and goes on."""
        self._fields["responseStatus"] = {"metadata": {}, "code": 200}
        self.emit("ResponseStarted")

    def complete(self, code: int, error: StatusError | None = None) -> None:
        status: Object = {"metadata": {}, "code": code}
        if error is not None:
            status |= {"status": "Failure", "message": error.message, "reason": error.reason}
            if error.details:
                status["details"] = error.details
        self._fields["responseStatus"] = status
        if self._verdict.level >= RESPONSE:
            body = self._response(error)
            if body is not None:
                self._fields["responseObject"] = body
        self.emit("Panic" if code == 500 and error is None else "ResponseComplete")

    def _response(self, error: StatusError | None) -> Any:
        if error is not None:
            return error.to_value()
        result = self._result
        if result is None:
            return None
        if isinstance(result, ListResult):
            assert self._request is not None
            resource = self._request.resource
            items = [self._shown(r.value) if self._verdict.omits_managed_fields else orjson.Fragment(r.encoded) for r in result.records]
            metadata = {"resourceVersion": str(result.revision)}
            return {"kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": metadata, "items": items}
        if result.record is not None and not self._verdict.omits_managed_fields:
            return orjson.Fragment(result.record.encoded)
        return self._shown(result.to_value())

    def _shown(self, value: Any) -> Any:
        if not self._verdict.omits_managed_fields or not isinstance(value, dict) or not isinstance(value.get("metadata"), dict):
            return value
        return {**value, "metadata": {k: v for k, v in value["metadata"].items() if k != "managedFields"}}

    def emit(self, stage: str) -> None:
        if stage in self._verdict.omitted_stages:
            return
        fields = {**self._fields, "stage": stage, "requestReceivedTimestamp": self._received, "stageTimestamp": self._audit.now()}
        if self._request is not None and self._request.annotations:
            fields["annotations"] = self._request.annotations
        self._audit.put(orjson.dumps(fields))


def _user(user: User) -> Object:
    value: Object = {"username": user.name}
    if user.uid:
        value["uid"] = user.uid
    value["groups"] = list(user.groups)
    if extra := getattr(user, "extra", None):
        value["extra"] = {key: list(values) for key, values in dict(extra).items()}
    return value


def _reference(request: Request) -> Object:
    resource = request.resource
    reference = {
        "resource": resource.plural, "namespace": request.namespace, "name": request.name, "apiGroup": resource.group,
        "apiVersion": resource.version, "subresource": request.subresource,
    }  # fmt: skip
    return {k: v for k, v in reference.items() if v}
