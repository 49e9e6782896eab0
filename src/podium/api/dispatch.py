"""From an authenticated, authorized request to the verb that serves it: one table. Connect verbs and watches take over the connection and are
handled by the front (server.py, in_process)."""

from collections.abc import Awaitable, Callable

from podium.api import deleting, reading, subresources, token_requests, writing
from podium.api.admission import check_deletable
from podium.api.authentication import Authenticator
from podium.api.core import Core
from podium.api.node_restriction import check_delete
from podium.api.request import ListResult, ObjectResult, Request, Result
from podium.api.reviews import REVIEWS
from podium.objects.status import MethodNotAllowed

Verb = Callable[[Core, Request], Awaitable[Result]]


async def _delete(core: Core, request: Request) -> ObjectResult:
    check_deletable(request)
    check_delete(core.authorizer, request)
    return await deleting.delete(core, request)


async def _delete_collection(core: Core, request: Request) -> ListResult:
    return await deleting.delete_collection(core, request)


_VERBS: dict[str, Verb] = {
    "get": reading.get,
    "list": reading.list_,
    "create": writing.create,
    "update": writing.update,
    "patch": writing.patch,
    "delete": _delete,
    "deletecollection": _delete_collection,
}
_SUBRESOURCES: dict[tuple[str, str], Verb] = {
    ("get", "status"): reading.get,
    ("update", "status"): writing.update,
    ("patch", "status"): writing.patch,
    ("get", "approval"): reading.get,
    ("update", "approval"): writing.update,
    ("patch", "approval"): writing.patch,
    **{
        (verb, part): serve
        for part in ("ephemeralcontainers", "resize")
        for verb, serve in (("get", reading.get), ("update", writing.update), ("patch", writing.patch))
    },
    ("get", "scale"): subresources.get_scale,
    ("update", "scale"): subresources.change_scale,
    ("patch", "scale"): subresources.change_scale,
    ("create", "binding"): subresources.bind,
    ("create", "eviction"): subresources.evict,
    ("update", "finalize"): subresources.finalize,
}


async def dispatch(core: Core, request: Request, authenticator: Authenticator) -> Result:
    """Raises StatusError."""
    if not request.subresource:
        if request.verb not in request.resource.verbs:
            raise MethodNotAllowed("the server does not allow this method on the requested resource")
        if request.verb == "create" and (review := REVIEWS.get((request.resource.group, request.resource.plural))):
            return await review(core, request, authenticator)
        return await _VERBS[request.verb](core, request)
    if request.subresource == "token" and request.verb == "create" and request.resource.plural == "serviceaccounts":
        return await token_requests.create_token(core, request, authenticator)
    verb = _SUBRESOURCES.get((request.verb, request.subresource))
    if verb is None or request.resource.subresource(request.subresource) is None:
        raise subresources.refuse(request)
    return await verb(core, request)
