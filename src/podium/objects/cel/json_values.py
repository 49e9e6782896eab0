"""JSON of CEL values: what an expression built goes into an object.

Source: cel-spec, "JSON Data Conversion".
"""

import base64
import math
from typing import Any

from podium.objects.cel.costs import deep_size
from podium.objects.cel.errors import CelRuntimeError
from podium.objects.cel.values import kind_of, type_name

_DEPTH_MAX = 64
VALUES_MAX = 500_000


def to_json(value: Any) -> Any:
    """Raises CelRuntimeError for what JSON has no form for, and for more than VALUES_MAX values."""
    if type(value) in (list, dict) and deep_size(value) > VALUES_MAX:
        raise CelRuntimeError(f"an expression gives more than {VALUES_MAX} values")
    return _to_json(value, 0)


def _to_json(value: Any, depth: int) -> Any:
    if depth > _DEPTH_MAX:
        raise CelRuntimeError("value is nested too deep")
    match kind_of(value):
        case "null" | "bool" | "string" | "int":
            return value
        case "uint":
            return int(value)
        case "double" if math.isfinite(value):
            return int(value) if value.is_integer() and abs(value) < 2**53 else value
        case "bytes":
            return base64.b64encode(value).decode()
        case "timestamp" | "duration":
            return str(value)
        case "list":
            return [_to_json(item, depth + 1) for item in value]
        case "map":
            return {_key(key): _to_json(item, depth + 1) for key, item in value.items()}
    raise CelRuntimeError(f"a value of type {type_name(value)} cannot be written as JSON")


def _key(key: Any) -> str:
    if type(key) is not str:
        raise CelRuntimeError(f"a map with keys of type {type_name(key)} cannot be written as JSON")
    return key
