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
_FIXED = ("name", "namespace", "uid")
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
        return [_checked(head, index, old, new, api_version) for index, (old, new) in enumerate(zip(objects, converted, strict=True))]


def _converted(head: str, answer: Any, uid: str, version: str, count: int) -> list[Any]:
    if not isinstance(answer, dict) or (answer.get("kind"), answer.get("apiVersion")) != ("ConversionReview", f"{GROUP}/{version}"):
        found = f"{answer.get('apiVersion')}, Kind={answer.get('kind')}" if isinstance(answer, dict) else "no object"
        raise ServerError(
            f"invalid response for {head}: expected webhook response of {GROUP}/{version}, Kind=ConversionReview, got {found}"
        )
    response = answer.get("response")
    if not isinstance(response, dict):
        raise ServerError(f"invalid response for {head}: no response provided")
    if response.get("uid") != uid and version == "v1":
        raise ServerError(f'invalid response for {head}: expected response.uid="{uid}", got "{response.get("uid", "")}"')
    result = response.get("result") or {}
    if result.get("status") != "Success":
        if result.get("status") != "Failure" and version == "v1":
            shown = result.get("status", "")
            raise ServerError(f'invalid response for {head}: expected status of Success or Failure, got "{shown}"')
        raise ServerError(f"{head} failed: {result.get('message') or 'Unknown'}")
    converted = response.get("convertedObjects")
    if not isinstance(converted, list) or len(converted) != count:
        got = len(converted) if isinstance(converted, list) else 0
        raise ServerError(f"{head} returned {got} objects, expected {count}")
    return converted


def _checked(head: str, index: int, old: Object, new: Any, api_version: str) -> Object:
    """`new` with the metadata of `old`, but for labels and annotations. Raises ServerError."""
    where = f"{head} returned invalid converted object at index {index}"
    if not isinstance(new, dict) or not isinstance(new.get("metadata"), dict):
        raise ServerError(f"{where}: missing metadata in converted object")
    if new.get("apiVersion") != api_version:
        raise ServerError(f"{where}: invalid groupVersion (expected {api_version}, received {new.get('apiVersion', '')})")
    if new.get("kind") != old["kind"]:
        raise ServerError(f"{where}: invalid kind (expected {old['kind']}, received {new.get('kind', '')})")
    before, after = old["metadata"], new["metadata"]
    for name in _FIXED:
        if after.get(name, "") != before.get(name, ""):
            was, is_ = before.get(name, ""), after.get(name, "")
            raise ServerError(f"{head} returned invalid metadata: must have the same {name}: {was} != {is_}")
    kept = {k: v for k, v in before.items() if k not in ("labels", "annotations")}
    for name in ("labels", "annotations"):
        found = after.get(name)
        if not found:
            continue
        if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
            raise ServerError(f"{head} returned invalid metadata: metadata.{name} is no map of texts")
        kept[name] = found
    return {**new, "metadata": kept}
