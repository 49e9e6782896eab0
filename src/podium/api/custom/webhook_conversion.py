"""Conversion by webhook: objects from one version of a custom kind to another, as the definition's author has written it.

The webhook gets all objects of a list in one ConversionReview, and may change what is theirs to change: of the metadata labels and annotations
only. Whatever else it changes, leaves out or gets wrong is refused, in upstream's words, and nothing is stored.

Source: apiextensions-apiserver pkg/apiserver/conversion/{converter,webhook_converter}.go.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from podium.api.webhook_client import CallFailed, WebhookClient, compile_place
from podium.objects.custom.kind import CustomKind
from podium.objects.status import ServerError

Object = dict[str, Any]

TIMEOUT_S = 30
REVIEW_VERSIONS = ("v1", "v1beta1")
GROUP = "apiextensions.k8s.io"
_FIXED = (("name", "name"), ("namespace", "namespace"), ("uid", "UID"))
Post = Callable[[Object, Object], Awaitable[Any]]


class WebhookConversion:
    """Called with (kind, objects, wanted apiVersion)."""

    def __init__(self, client: WebhookClient, uid: Callable[[], str]) -> None:
        self._client = client
        self._uid = uid

    async def __call__(self, kind: CustomKind, objects: list[Object], api_version: str) -> list[Object]:
        """Raises ServerError."""
        webhook = kind.definition["spec"]["conversion"]["webhook"]
        version = next((v for v in webhook["conversionReviewVersions"] if v in REVIEW_VERSIONS), "v1")
        uid = self._uid()
        request = {"uid": uid, "desiredAPIVersion": api_version, "objects": objects}
        review = {"kind": "ConversionReview", "apiVersion": f"{GROUP}/{version}", "request": request}
        head = f"conversion webhook for {objects[0]['apiVersion']}, Kind={kind.kind}"
        try:
            answer = await self._client.post(compile_place(webhook["clientConfig"]), review, TIMEOUT_S)
        except (CallFailed, ValueError) as error:
            raise ServerError(f"{head} failed: {error}") from error
        converted = _converted(head, answer, uid, version, len(objects))
        places = [f" at index {index}" for index in range(len(objects))] if len(objects) > 1 else [""]
        return [_checked(head, *each, api_version) for each in zip(places, objects, converted, strict=True)]


def _converted(head: str, answer: Any, uid: str, version: str, count: int) -> list[Any]:
    """What the answer holds. Raises ServerError."""
    if version == "v1":
        wanted = (f"{GROUP}/v1", "ConversionReview")
        found = (answer.get("apiVersion", ""), answer.get("kind", "")) if isinstance(answer, dict) else ("", "")
        if found != wanted:
            shown = f"{GROUP}/v1, Kind=ConversionReview, got {found[0]}, Kind={found[1]}"
            raise ServerError(f"{head} failed: expected webhook response of {shown}")
    response = answer.get("response") if isinstance(answer, dict) else None
    if not isinstance(response, dict):
        raise ServerError(f"{head} failed: no response provided")
    if version == "v1" and response.get("uid") != uid:
        raise ServerError(f'{head} failed: expected response.uid="{uid}", got "{response.get("uid", "")}"')
    result = response.get("result") or {}
    if result.get("status") != "Success":
        why = result.get("message") or f"response.result.status was '{result.get('status', '')}', not 'Success'"
        raise ServerError(f"{head} failed: {why}")
    converted = response.get("convertedObjects") or []
    if not isinstance(converted, list) or len(converted) != count:
        got = len(converted) if isinstance(converted, list) else 0
        raise ServerError(f"{head} returned {got} objects, expected {count}")
    return converted


def _checked(head: str, place: str, old: Object, new: Any, api_version: str) -> Object:
    """`new` with the metadata of `old`, but for labels and annotations. `place` says which of several it is. Raises ServerError."""
    if not isinstance(new, dict):
        raise ServerError(f"{head} returned invalid converted object{place or ' at index 0'}: it is no object")
    where = f"{head} returned invalid {'converted ' if place else ''}object{place}"
    at = place or " at index 0"
    if new.get("apiVersion") != api_version:
        why = f"invalid groupVersion (expected {api_version}, received {new.get('apiVersion', '')})"
        raise ServerError(f"{where.removesuffix(place)}{at}: {why}")
    if new.get("kind") != old["kind"]:
        why = f"invalid kind (expected {old['kind']}, received {new.get('kind', '')})"
        raise ServerError(f"{where.removesuffix(place)}{at}: {why}")
    before = old["metadata"]
    after = new.get("metadata")
    for name, shown in _FIXED:
        was, found = before.get(name, ""), after.get(name, "") if isinstance(after, dict) else ""
        if found != was:
            raise ServerError(f"{where}: must have the same {shown}: {was} != {found}")
    kept = {k: v for k, v in before.items() if k not in ("labels", "annotations")}
    for name in ("labels", "annotations"):
        found = after.get(name) if isinstance(after, dict) else None
        if not found:
            continue
        if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
            raise ServerError(
                f"{head} returned invalid metadata{' in object' + place if place else ''}: metadata.{name} is no map of texts"
            )
        kept[name] = found
    return {**new, "metadata": kept}
