"""Get and list. Objects go out as the bytes they were stored as.

Continue tokens carry the revision of the first page and the last key seen, so that all pages are one snapshot. When that revision has been
compacted away, the refusal carries a token for the same place at no revision (NEWEST): the next page is read as things are now, and the pages
after it are one snapshot with it.
Source: k8s.io/apiserver storage/etcd3 (continue tokens, remainingItemCount), API concepts: resourceVersion.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from itertools import compress

import orjson

from podium.api import list_options
from podium.api.core import Core
from podium.api.request import ListResult, ObjectResult, Request
from podium.objects import selectors
from podium.objects.resources import Resource
from podium.objects.status import BadRequest, Expired, Timeout
from podium.store.errors import Compacted, FutureRevision
from podium.store.interface import Page
from podium.store.record import Record, values_of

Matcher = Callable[[Record], bool]

NEWEST = -1
"""The revision in the token of a list that goes on although its own revision is gone."""


async def get(core: Core, request: Request) -> ObjectResult:
    _at_least(core, request.options.get("resourceVersion", ""))
    return ObjectResult(await core.fetch(request))


async def list_(core: Core, request: Request) -> ListResult:
    list_options.check(request)
    prefix = scope_prefix(request)
    matches = matcher(request)
    limit, token = request.number("limit"), request.options.get("continue", "")
    revision, after = _decode_token(request, token) if token else (_list_revision(core, request), "")
    if name := _single_name(request):
        record = await core.store.get(request.resource.key(request.namespace, name))
        records = [record] if record is not None and (matches is None or matches(record)) else []
        return ListResult(records, core.store.revision)
    try:
        if matches is None:
            page = await core.store.range(prefix, after=after, limit=limit, revision=revision)
            return _result(page, await core.seen(request.resource, page.records), limit)
        if not limit:
            page = await core.store.range(prefix, after=after, revision=revision)
            return ListResult(_selected(request, await core.seen(request.resource, page.records)), page.revision)
        return await _filtered(core, request.resource, prefix, after, limit, revision, matches)
    except Compacted as error:
        if not token:
            raise Expired(f"The resourceVersion for the provided list is too old. ({error})") from error
        raise _expired_token(after) from error
    except FutureRevision as error:
        raise _too_large(error.revision, error.newest) from error


async def _filtered(core: Core, resource: Resource, prefix: str, after: str, limit: int, revision: int, matches: Matcher) -> ListResult:
    found: list[Record] = []
    while True:
        page = await core.store.range(prefix, after=after, limit=limit, revision=revision)
        revision = page.revision
        seen = await core.seen(resource, page.records)
        for record in seen:
            if matches(record):
                found.append(record)
                if len(found) == limit:
                    more = page.remaining > 0 or record is not seen[-1]
                    return ListResult(found, revision, _encode_token(revision, record.key) if more else "")
        if not page.remaining:
            return ListResult(found, revision)
        after = page.records[-1].key


def _result(page: Page, records: list[Record], limit: int) -> ListResult:
    if not page.remaining or not limit:
        return ListResult(records, page.revision)
    return ListResult(records, page.revision, _encode_token(page.revision, records[-1].key), page.remaining)


def scope_prefix(request: Request) -> str:
    resource = request.resource
    return f"{resource.prefix}{request.namespace}/" if resource.namespaced and request.namespace else resource.prefix


def _single_name(request: Request) -> str:
    """The name that a field selector pins down, when the key is then known."""
    fields = request.options.get("fieldSelector", "")
    if "metadata.name" not in fields or (request.resource.namespaced and not request.namespace):
        return ""
    return selectors.parse_fields(request.resource, fields).required("metadata.name") or ""


def _selectors(request: Request) -> tuple[selectors.LabelSelector | None, selectors.FieldSelector | None]:
    """None where everything matches. Raises BadRequest."""
    label_text, field_text = request.options.get("labelSelector", ""), request.options.get("fieldSelector", "")
    labels = selectors.parse_labels(label_text) if label_text else None
    fields = selectors.parse_fields(request.resource, field_text) if field_text else None
    return labels if labels is not None and not labels.empty else None, fields if fields is not None and not fields.empty else None


def matcher(request: Request) -> Matcher | None:
    """The test for the request's selectors; None when everything matches. Raises BadRequest."""
    labels, fields = _selectors(request)
    if labels is not None and fields is not None:
        by_label, by_field = labels.matches, fields.matches
        return lambda record: by_label(record.value["metadata"].get("labels")) and by_field(record.value)
    if labels is not None:
        by_label = labels.matches
        return lambda record: by_label(record.value["metadata"].get("labels"))
    if fields is not None:
        by_field = fields.matches
        return lambda record: by_field(record.value)
    return None


def _selected(request: Request, records: Sequence[Record]) -> list[Record]:
    """Those that the request's selectors match: `matcher`, with a loop of its own for each of the forms that large lists have."""
    labels, fields = _selectors(request)
    found = values_of(records)
    if labels is not None and fields is not None:
        by_label, by_field = labels.matches, fields.matches
        return [r for r, v in zip(records, found, strict=True) if by_label(v["metadata"].get("labels")) and by_field(v)]
    if labels is not None:
        own = [v["metadata"].get("labels") or _NO_LABELS for v in found]
        if labels.pair is None:
            return list(compress(records, map(labels.matches, own)))
        key, wanted = labels.pair
        return [r for r, pairs in zip(records, own, strict=True) if pairs.get(key) == wanted]
    return list(compress(records, map(fields.matches, found))) if fields is not None else list(records)


_NO_LABELS: Mapping[str, str] = {}


def parse_revision(text: str) -> int:
    if not text.isdecimal():
        raise BadRequest(f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax')
    return int(text)


def _list_revision(core: Core, request: Request) -> int:
    """The revision to read at: 0 for now. `NotOlderThan` (and the default) is met by now, if now is late enough."""
    text, match = request.options.get("resourceVersion", ""), request.options.get("resourceVersionMatch", "")
    if match == "Exact":
        return parse_revision(text)
    _at_least(core, text)
    return 0


def _at_least(core: Core, text: str) -> None:
    if text and text != "0" and (asked := parse_revision(text)) > core.store.revision:
        raise _too_large(asked, core.store.revision)


def _too_large(asked: int, newest: int) -> Timeout:
    details = {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}], "retryAfterSeconds": 1}
    return Timeout(f"Too large resource version: {asked}, current: {newest}", details=details)


def _encode_token(revision: int, key: str) -> str:
    return base64.urlsafe_b64encode(orjson.dumps({"v": "meta.k8s.io/v1", "rv": revision, "start": key})).decode().rstrip("=")


def _decode_token(request: Request, token: str) -> tuple[int, str]:
    if request.options.get("resourceVersion", "") not in ("", "0"):
        raise BadRequest("specifying resource version is not allowed when using continue")
    try:
        value = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        revision, key = value["rv"], value["start"]
        if value["v"] != "meta.k8s.io/v1" or not isinstance(revision, int) or not isinstance(key, str):
            raise ValueError(token)
    except (ValueError, KeyError, TypeError):
        raise BadRequest("continue key is not valid: encoding is not a continue token of this server") from None
    if not key.startswith(scope_prefix(request)):
        raise BadRequest("continue key is not valid: it belongs to another list")
    return (0 if revision == NEWEST else revision), key


def _expired_token(after: str) -> Expired:
    error = Expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue "
        "parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided "
        "token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was "
        "returned and now may show up in the list."
    )
    error.continue_token = _encode_token(NEWEST, after)
    return error
