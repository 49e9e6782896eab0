"""Python values as templates see them: Go's kinds, truth, type names, and which names of an object may be used.

    bool int float str          Go's bool, int, float64, string
    None                        nil, and what a missing key gives
    list, tuple                 a slice ([]interface {})
    dict                        a map (map[string]interface {}); iterated in the order of its keys
    a class with template_names a struct (or a named slice or map, when it extends list or dict)

A class shows nothing unless it says so, in class attributes:

    template_type: str                   Go's name of the type, for messages and printf's %T
    template_names: Mapping[str, str]    field or method as templates write it -> attribute; one that is callable is a method
    template_missing: Any                of a dict: what a missing key gives with missing_key="zero" (`""` for map[string]string)
    template_string: str                 the attribute, callable without arguments, that is Go's String()

Invariant: no attribute is read that is not in `template_names`.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

INT_MIN, INT_MAX = -(2**63), 2**63 - 1
UINT_MAX = 2**64 - 1


class Safe(str):
    """Text that html escaping leaves alone in its place. `kind` is html, attribute, url, css or script."""

    __slots__ = ("kind",)
    kind: str

    def __new__(cls, text: str, kind: str = "html") -> "Safe":
        safe = super().__new__(cls, text)
        safe.kind = kind
        return safe


@dataclass(frozen=True, slots=True)
class Function:
    """`parameters` are Go's type names ("string", "int", "float64", "bool", "interface {}", others as an object's template_type);
    the last one is the variadic one's element when `variadic`. `call` raises FunctionError to refuse; what it raises otherwise is
    shown the same way."""

    call: Callable[..., Any]
    parameters: tuple[str, ...]
    variadic: bool = False


ANY = "interface {}"
_ANNOTATED: dict[Any, str] = {str: "string", int: "int", float: "float64", bool: "bool", Any: ANY, object: ANY}


def function_of(call: "Callable[..., Any] | Function") -> Function:
    """A Function from a callable's annotations; a parameter without one takes anything. Keyword-only parameters are not for templates."""
    if isinstance(call, Function):
        return call
    try:
        return _described(call)
    except TypeError:  # unhashable
        return _describe(call)


@lru_cache(maxsize=4096)
def _described(call: Callable[..., Any]) -> Function:
    return _describe(call)


def _describe(call: Callable[..., Any]) -> Function:
    names: list[str] = []
    variadic = False
    for parameter in inspect.signature(call, eval_str=True).parameters.values():
        if parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD):
            continue
        variadic = variadic or parameter.kind == parameter.VAR_POSITIONAL
        names.append(_type_of_annotation(parameter.annotation))
    return Function(call, tuple(names), variadic)


def _type_of_annotation(annotation: Any) -> str:
    try:
        known = _ANNOTATED.get(annotation)
    except TypeError:
        known = None
    if known is not None:
        return known
    origin = getattr(annotation, "__origin__", annotation)
    return getattr(origin, "template_type", None) or ("slice" if origin in (list, tuple, Sequence) else ANY)


def kind(value: Any) -> str:
    """bool, int, float, string, slice, map, func, struct or invalid (nil)."""
    if value is None:
        return "invalid"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int"
    if isinstance(value, float):
        return "float"
    if isinstance(value, str):
        return "string"
    if isinstance(value, list | tuple):
        return "slice"
    if isinstance(value, dict):
        return "map"
    return "func" if isinstance(value, Function) or (callable(value) and not exposes(value)) else "struct"


_TYPE_NAMES = {
    "invalid": "<nil>", "bool": "bool", "int": "int", "float": "float64", "string": "string",
    "slice": "[]interface {}", "map": "map[string]interface {}", "func": "func()",
}  # fmt: skip


def type_name(value: Any) -> str:
    """As Go's %T would print it."""
    named = getattr(type(value), "template_type", None)
    if named is not None:
        return str(named)
    if isinstance(value, Safe):
        return {"html": "template.HTML", "attribute": "template.HTMLAttr", "url": "template.URL", "css": "template.CSS"}.get(
            value.kind, "template.JS"
        )
    return _TYPE_NAMES.get(kind(value)) or type(value).__name__


def exposes(value: Any) -> bool:
    return getattr(type(value), "template_names", None) is not None


def names_of(value: Any) -> Mapping[str, str]:
    """Empty for what shows nothing."""
    return getattr(type(value), "template_names", None) or {}


def string_of(value: Any) -> str | None:
    """What its String() gives; None when it has none."""
    name = getattr(type(value), "template_string", None)
    return None if name is None else str(getattr(value, name)())


def truth(value: Any) -> bool:
    """Go templates' truth: false are nil, false, 0, and what is empty. A struct is always true."""
    match kind(value):
        case "invalid":
            return False
        case "struct" | "func":
            return True
        case "slice" | "map" | "string":
            return len(value) > 0
    return value != 0


def sorted_items(mapping: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
    """In the order in which Go's templates and fmt show a map: false before true, numbers by value (NaN first), texts by their bytes."""
    return sorted(mapping.items(), key=lambda item: _order(item[0]))


def _order(key: Any) -> tuple[int, Any]:
    match kind(key):
        case "invalid":
            return 0, 0
        case "int" | "float" | "bool":
            return (1, float("-inf")) if key != key else (1, key)
        case "string":
            return 2, key.encode(errors="surrogateescape")
    return 3, str(key)


def fields_of(value: Any) -> list[tuple[str, Any]]:
    """A struct's fields (not its methods), in the order of template_names."""
    found = ((name, getattr(value, attribute)) for name, attribute in names_of(value).items())
    return [(name, field) for name, field in found if not inspect.isroutine(field)]
