"""Results as bytes. An object or a list in its own form is what the store holds, joined; nothing is encoded again.

Tables and metadata-only forms are built from the decoded objects.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from podium.api.negotiation import Form
from podium.api.request import ListResult, ObjectResult, Request
from podium.objects import conversion
from podium.objects.resources import Resource
from podium.objects.status import BadRequest
from podium.store.record import Record
from podium.world.http_server import Response, frame

if TYPE_CHECKING:
    from podium.api.tables import Printer

Object = dict[str, Any]

_JSON = ((b"cache-control", b"no-cache, private"), (b"content-type", b"application/json"))
_YAML = ((b"cache-control", b"no-cache, private"), (b"content-type", b"application/yaml"))
_INCLUDE = ("None", "Metadata", "Object")


def object_response(request: Request, result: ObjectResult, form: Form, now: datetime) -> Response:
    if request.resource.storage_api_version and result.to_value().get("kind") == request.resource.kind:
        result = ObjectResult(value=conversion.from_storage(request.resource, result.to_value()), status=result.status)
    if form.as_kind == "Table" and result.to_value().get("kind") != "Status":
        return _response(request, result.status, orjson.dumps(_table(request, [result.to_value()], {}, now)), form)
    if form.as_kind:
        return _response(request, result.status, orjson.dumps(partial(result.to_value())), form)
    body = result.record.encoded if result.record is not None else orjson.dumps(result.to_value())
    return _response(request, result.status, body, form)


def list_response(request: Request, result: ListResult, form: Form, now: datetime) -> Response:
    resource = request.resource
    metadata: Object = {"resourceVersion": str(result.revision)}
    if result.continue_token:
        metadata["continue"] = result.continue_token
    if result.remaining is not None:
        metadata["remainingItemCount"] = result.remaining
    if form.as_kind == "Table":
        body = orjson.dumps(_table(request, [r.value for r in result.records], metadata, now))
    elif form.as_kind:
        found = [partial(r.value) for r in result.records]
        body = orjson.dumps({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": found})
    else:
        if resource.storage_api_version:
            items = [orjson.dumps(conversion.from_storage(resource, r.value)) for r in result.records]
        else:
            items = [r.encoded for r in result.records]
        head = f'{{"kind":"{resource.list_kind}","apiVersion":"{resource.api_version}","metadata":'.encode()
        head += orjson.dumps(metadata) + b',"items":['
        if items:  # one join: a large list is copied once
            items[0] = head + items[0]
            items[-1] += b"]}"
            body = b",".join(items)
        else:
            body = head + b"]}"
    return _response(request, 200, body, form)


def value_response(status: int, value: Any, warnings: Sequence[str] = ()) -> Response:
    return Response(status, orjson.dumps(value), _with_warnings(_JSON, warnings) if warnings else _JSON)


def _response(request: Request, status: int, body: bytes, form: Form) -> Response:
    if form.media == "yaml":
        import yaml

        body = yaml.safe_dump(orjson.loads(body), default_flow_style=False).encode()
        return Response(status, body, _with_warnings(_YAML, request.warnings))
    return Response(status, body, _with_warnings(_JSON, request.warnings) if request.warnings else _JSON)


def _with_warnings(headers: tuple[tuple[bytes, bytes], ...], warnings: Sequence[str]) -> tuple[tuple[bytes, bytes], ...]:
    return (*headers, *((b"warning", b'299 - "%b"' % _quoted(w)) for w in warnings))


def _quoted(text: str) -> bytes:
    plain = "".join(c if c.isprintable() else " " for c in text)
    return plain.replace("\\", "\\\\").replace('"', '\\"').encode("ascii", "replace")


def partial(value: Object) -> Object:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": value["metadata"]}


def _include(request: Request) -> str:
    include = request.options.get("includeObject", "") or "Metadata"
    if include not in _INCLUDE:
        raise BadRequest(f'includeObject: Unsupported value: "{include}": supported values: "Metadata", "None", "Object"')
    return include


def _row(value: Object, printer: "Printer", now: datetime, include: str) -> Object:
    row: Object = {"cells": printer.cells(value, now)}
    if conditions := printer.conditions(value):
        row["conditions"] = conditions
    if include != "None":
        row["object"] = value if include == "Object" else partial(value)
    return row


def _table(request: Request, items: Sequence[Object], metadata: Object, now: datetime, *, columns: bool = True) -> Object:
    kind = "Scale" if request.subresource == "scale" else ""
    from podium.api import tables  # not before somebody asks for one

    printer, include = tables.printer(request.resource, kind), _include(request)
    shown = [conversion.from_storage(request.resource, v) for v in items] if request.resource.storage_api_version else items
    rows = [_row(value, printer, now, include) for value in shown]
    if not metadata and items:
        metadata = {"resourceVersion": items[0]["metadata"].get("resourceVersion", "")}
    return {
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": printer.columns if columns else [], "rows": rows,
    }  # fmt: skip


def change_renderer(
    request: Request, form: Form, now: Callable[[], datetime], *, columns: bool = True
) -> Callable[[Sequence[tuple[str, Record]]], bytes]:
    """How a watch writes a batch of changes: one HTTP chunk of newline-separated events; tables with or without `columns`."""
    if not form.as_kind and not request.resource.storage_api_version:
        return _plain_changes

    def render(changes: Sequence[tuple[str, Record]]) -> bytes:
        at = now()

        def make(value: Object) -> Object:
            if form.as_kind == "Table":
                return _table(request, [value], {}, at, columns=columns)
            return partial(value) if form.as_kind else conversion.from_storage(request.resource, value)

        return frame(b"".join(orjson.dumps({"type": t, "object": make(r.value)}) + b"\n" for t, r in changes))

    return render


def _plain_changes(changes: Sequence[tuple[str, Record]]) -> bytes:
    return frame(b"".join([b'{"type":"%b","object":%b}\n' % (t.encode(), r.encoded) for t, r in changes]))


def form_key(request: Request, form: Form) -> tuple[str, str, Resource]:
    """Watchers with equal keys can share rendered bytes."""
    return form.as_kind, request.options.get("includeObject", ""), request.resource
