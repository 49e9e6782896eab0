"""Aggregated APIs asked by components of this very process: the same request, made here instead of passed on.

What a namespace holds in an aggregated API goes with it, so the controllers must reach it like anything else. Watches are not among the calls:
nothing here mirrors an aggregated API.
"""

import ssl
from urllib.parse import urlencode

import orjson

from podium.api.aggregation_proxy import identity
from podium.api.core import Object
from podium.api.request import Request
from podium.objects.status import ServiceUnavailable, from_value
from podium.world.http_client import HttpClient

CALLS = {"get": "GET", "list": "GET", "create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE", "deletecollection": "DELETE"}
"""Verb -> method."""

TIMEOUT_S = 30.0
_PATCHES = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}


async def ask(client: HttpClient, request: Request) -> Object:
    """Raises StatusError: the backend's own, or ServiceUnavailable when it cannot be reached or says something else than an object."""
    query = urlencode(request.options)
    target = request.resource.path(request.namespace, request.name, request.subresource) + (f"?{query}" if query else "")
    headers = {"accept": "application/json", "user-agent": request.user_agent, **identity(request.user)}
    body = b"" if request.value is None else orjson.dumps(request.value)
    if body:
        headers["content-type"] = _PATCHES.get(request.patch_type, "application/json")
    try:
        answer = await client.request(CALLS[request.verb], target, body, headers, timeout_s=TIMEOUT_S)
        value = orjson.loads(answer.body)
    except (ConnectionError, TimeoutError, ssl.SSLError, orjson.JSONDecodeError) as error:
        raise ServiceUnavailable(f"error trying to reach service: {error}") from error
    if answer.status >= 300:
        raise from_value(answer.status, value)
    if not isinstance(value, dict):
        raise ServiceUnavailable("error trying to reach service: the answer is no object")
    return value
