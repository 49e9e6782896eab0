"""AlertmanagerConfigs from v1alpha1, which is stored, to v1beta1 and back; and the webhook that the API server asks for it.

The versions differ in little:

    v1alpha1                                     v1beta1
    spec.muteTimeIntervals                       spec.timeIntervals
    matchers: [{name, value, regex: true}]       matchers: [{name, value, matchType: "=~"}]
    apiKey: {name, key, optional}                apiKey: {name, key}

so what is written in v1beta1 comes back as it was; of v1alpha1 `optional` is not shown, and `regex` as a type. A route's children are converted
as far as they are what they should be: what is wrong with them is for who acts on them to tell, and must not keep a list from being read.

Source: the Prometheus operator's pkg/apis/monitoring/v1beta1/conversion_{from,to}.go; apiextensions.k8s.io/v1, ConversionReview.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from podium.telemetry.prometheus_operator.alertmanager_schemas import KEYS_UNCHANGED
from podium.telemetry.prometheus_operator.receiver_fields import INTEGRATIONS
from podium.telemetry.prometheus_operator.schemas import GROUP, KEY

PATH = "/convert"
ROUTES_DEPTH_MAX = 100
"""Deeper ones are left as they are; the operator refuses them anyway."""
Object = dict[str, Any]
_KEYS = {i.name: [n for n, (_, form) in i.fields.items() if form.schema is KEY and (i.name, n) not in KEYS_UNCHANGED] for i in INTEGRATIONS}


def to_v1beta1(given: Object) -> Object:
    return _converted(given, "v1beta1", ("muteTimeIntervals", "timeIntervals"), _typed, _without_optional)


def to_v1alpha1(given: Object) -> Object:
    return _converted(given, "v1alpha1", ("timeIntervals", "muteTimeIntervals"), lambda matcher: matcher, lambda name, entry: entry)


_CONVERSIONS: Mapping[str, Callable[[Object], Object]] = {f"{GROUP}/v1alpha1": to_v1alpha1, f"{GROUP}/v1beta1": to_v1beta1}


def answer(content_type: str, body: bytes) -> tuple[int, bytes]:
    """(status, body) of a ConversionReview."""
    if content_type.partition(";")[0].strip() != "application/json":
        return 415, b"invalid Content-Type, want `application/json`\n"
    try:
        request = orjson.loads(body)["request"]
        uid, wanted, objects = request["uid"], request["desiredAPIVersion"], request["objects"]
        response = {"uid": uid, **_response(wanted, objects)}
        return 200, orjson.dumps({"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview", "response": response})
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return 400, f"Unable to deserialize request: {error!r}\n".encode()


def _response(wanted: str, objects: list[Object]) -> Object:
    convert = _CONVERSIONS.get(wanted)
    kinds = {str(given.get("kind")) for given in objects}
    if convert is None or kinds - {"AlertmanagerConfig"}:
        return {"result": {"status": "Failure", "message": f"there is no conversion of {', '.join(sorted(kinds))} to {wanted}"}}
    found = [given if given.get("apiVersion") == wanted else convert(given) for given in objects]
    return {"convertedObjects": found, "result": {"status": "Success"}}


def _converted(
    given: Object, version: str, intervals: tuple[str, str], matcher: Callable[[Object], Object], entry: Callable[[str, Object], Object]
) -> Object:
    spec = dict(given.get("spec") or {})
    if intervals[0] in spec:
        spec[intervals[1]] = spec.pop(intervals[0])
    if "route" in spec:
        spec["route"] = _route(spec["route"], matcher, 0)
    if isinstance(spec.get("inhibitRules"), list):
        spec["inhibitRules"] = [_matched(rule, ("sourceMatch", "targetMatch"), matcher) for rule in spec["inhibitRules"]]
    if isinstance(spec.get("receivers"), list):
        spec["receivers"] = [_receiver(receiver, entry) for receiver in spec["receivers"]]
    return {**given, "apiVersion": f"{GROUP}/{version}", "spec": spec}


def _route(given: Any, matcher: Callable[[Object], Object], depth: int) -> Any:
    if not isinstance(given, dict) or depth > ROUTES_DEPTH_MAX:
        return given
    route = _matched(given, ("matchers",), matcher)
    if isinstance(route.get("routes"), list):
        route["routes"] = [_route(child, matcher, depth + 1) for child in route["routes"]]
    return route


def _matched(given: Object, names: tuple[str, ...], matcher: Callable[[Object], Object]) -> Object:
    changed = {n: [matcher(m) if isinstance(m, dict) else m for m in given[n]] for n in names if isinstance(given.get(n), list)}
    return {**given, **changed}


def _typed(given: Object) -> Object:
    kept = {name: value for name, value in given.items() if name != "regex"}
    return kept if kept.get("matchType") else {**kept, "matchType": "=~" if given.get("regex") else "="}


def _receiver(given: Object, entry: Callable[[str, Object], Object]) -> Object:
    changed = {name: [entry(name, e) for e in given[name]] for name in _KEYS if isinstance(given.get(name), list)}
    return {**given, **changed}


def _without_optional(integration: str, given: Object) -> Object:
    entry = {**given, **{name: _key(given[name]) for name in _KEYS[integration] if isinstance(given.get(name), dict)}}
    http = entry.get("httpConfig")
    if isinstance(http, dict) and isinstance(http.get("bearerTokenSecret"), dict):
        entry["httpConfig"] = {**http, "bearerTokenSecret": _key(http["bearerTokenSecret"])}
    return entry


def _key(given: Object) -> Object:
    return {name: value for name, value in given.items() if name != "optional"}
