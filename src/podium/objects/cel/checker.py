"""Checker: every node gets its type, every name what it stands for, every call the overloads that may serve it.

Gradual: what is `dyn` fits everywhere and is looked at when it is there. All faults are found, not only the first.

Source: cel-go checker/checker.go, checker/errors.go (messages).
"""

from collections.abc import Mapping
from typing import Any

from podium.objects.cel import library
from podium.objects.cel.errors import ISSUES_MAX, Issue
from podium.objects.cel.overloads import Overload
from podium.objects.cel.parser import qualified_name
from podium.objects.cel.syntax import (
    Bind,
    Call,
    Comprehension,
    Conditional,
    Identifier,
    ListLiteral,
    Literal,
    Logical,
    MapLiteral,
    Node,
    OptionalMap,
    Select,
    Struct,
)
from podium.objects.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DYN,
    ERROR,
    INT,
    NULL,
    STRING,
    UINT,
    ObjectType,
    Type,
    assignable,
    join,
    list_of,
    map_of,
    optional_of,
    substitute,
    type_of_type,
)
from podium.objects.cel.values import TypeValue, Uint

_LITERALS: dict[type, Type] = {bool: BOOL, int: INT, Uint: UINT, float: DOUBLE, str: STRING, bytes: BYTES, type(None): NULL}

TYPE_NAMES: Mapping[str, str] = {
    name: name for name in ("bool", "bytes", "double", "int", "list", "map", "null_type", "optional_type", "string", "type", "uint")
} | {name: name for name in ("google.protobuf.Timestamp", "google.protobuf.Duration", *library.OPAQUE_TYPES)}
"""Names that stand for types as values."""


class Checker:
    """`slots` are the variables of the frame: those of the environment first, then those of macros."""

    def __init__(self, source: str, variables: Mapping[str, Type], structs: frozenset[str]) -> None:
        self._source = source
        self._variables = variables
        self._structs = structs
        self._scopes: list[dict[str, tuple[int, Type]]] = []
        self._root = {name: (index + 1, type_) for index, (name, type_) in enumerate(variables.items())}
        self.slots = len(variables) + 1
        self.issues: list[Issue] = []

    def report(self, at: int, message: str) -> None:
        line = self._source.count("\n", 0, at) + 1
        column = at - (self._source.rfind("\n", 0, at) + 1)
        issue = Issue(line, column, message)
        if len(self.issues) < ISSUES_MAX and issue not in self.issues:
            self.issues.append(issue)

    def check(self, node: Node) -> Type:
        node.type = self._CHECKS[type(node)](self, node)
        return node.type

    # Names

    def _lookup(self, name: str) -> tuple[int, Type] | None:
        if name.startswith("."):
            return self._root.get(name[1:])
        for scope in reversed(self._scopes):
            if name in scope:
                return scope[name]
        return self._root.get(name)

    def _identifier(self, node: Identifier) -> Type:
        found = self._lookup(node.name)
        if found is not None:
            node.resolved = ("slot", found[0])
            return found[1]
        if named := TYPE_NAMES.get(node.name.removeprefix(".")):
            node.resolved = ("constant", TypeValue(named))
            return type_of_type(DYN)
        self.report(node.at, f"undeclared reference to '{node.name}' (in container '')")
        return ERROR

    def _select(self, node: Select) -> Type:
        name = qualified_name(node)
        if name and self._lookup(name.partition(".")[0]) is None:
            if name in library.CONSTANTS:
                value, kind = library.CONSTANTS[name]
                node.resolved = ("constant", value)
                return kind
            if name in TYPE_NAMES:
                node.resolved = ("constant", TypeValue(TYPE_NAMES[name]))
                return type_of_type(DYN)
        operand = self.check(node.operand)
        below = operand.parameters[0] if operand.kind == "optional_type" and operand.parameters else operand
        found = self._field(node, below)
        if node.test:
            return BOOL
        if node.optional or operand.kind == "optional_type":
            return optional_of(found) if found.kind != "optional_type" else found
        return found

    def _field(self, node: Select, operand: Type) -> Type:
        if isinstance(operand, ObjectType):
            field = operand.fields.get(node.field)
            if field is None:
                self.report(node.at, f"undefined field '{node.field}'")
                return ERROR
            node.key = field.name
            return field.type
        if operand.kind == "map":
            return operand.parameters[1]
        if operand.kind in ("dyn", "error", "parameter"):
            return DYN
        self.report(node.at, f"type '{operand}' does not support field selection")
        return ERROR

    # Calls

    def _call(self, node: Call) -> Type:
        name = qualified_name(node.target) if node.target is not None else ""
        if name and f"{name}.{node.function}" in library.OVERLOADS and self._lookup(name.partition(".")[0]) is None:
            node.function, node.target = f"{name}.{node.function}", None
        for operand in node.operands:
            self.check(operand)
        function = node.function.removeprefix(".")
        declared = library.OVERLOADS.get(function)
        if declared is None:
            self.report(node.at, f"undeclared reference to '{node.function}' (in container '')")
            return ERROR
        given = [operand.type for operand in node.operands]
        result: Type | None = None
        for overload in declared:
            if overload.member != (node.target is not None):
                continue
            made = _resolve(overload, given)
            if made is not None:
                node.overloads.append(overload)
                result = made if result is None or str(result) == str(made) else DYN
        if result is None:
            self.report(
                node.at, f"found no matching overload for '{node.function}' applied to '{_signature(given, node.target is not None)}'"
            )
            return ERROR
        return _kept_order(given[0], result) if node.function == "_+_" else result

    def _logical(self, node: Logical) -> Type:
        for operand in node.operands:
            self.check(operand)
        types = [operand.type for operand in node.operands]
        for place, mark in enumerate(node.marks):
            pair = [types[place] if place == 0 else BOOL, types[place + 1]]
            if not all(assignable(BOOL, t, {}) for t in pair):
                self.report(mark, f"found no matching overload for '{node.operator}' applied to '{_signature(pair, False)}'")
        return BOOL

    def _conditional(self, node: Conditional) -> Type:
        given = [self.check(node.condition), self.check(node.yes), self.check(node.no)]
        joined = join(given[1], given[2])
        if joined is None or not assignable(BOOL, given[0], {}):
            self.report(node.at, f"found no matching overload for '_?_:_' applied to '{_signature(given, False)}'")
            return ERROR
        return _larger(given[1], given[2]) if joined.kind == given[1].kind == given[2].kind else joined

    # Aggregates

    def _list(self, node: ListLiteral) -> Type:
        joined: Type | None = None
        for place, item in enumerate(node.items):
            given = self._unwrapped(item, place in node.optional)
            joined = self._joined(joined, given, item.at)
        return list_of(joined or DYN)

    def _unwrapped(self, node: Node, optional: bool) -> Type:
        given = self.check(node)
        if not optional or given.kind in ("dyn", "error"):
            return DYN if optional else given
        if given.kind != "optional_type":
            self.report(node.at, f"expected type 'optional_type({given})' but found '{given}'")
            return ERROR
        return given.parameters[0]

    def _joined(self, joined: Type | None, given: Type, at: int) -> Type:
        """Literals hold one type (or dyn): upstream's homogeneous aggregates."""
        both = join(joined, given)
        if both is None:
            self.report(at, f"expected type '{joined}' but found '{given}'")
            return ERROR
        return both

    def _map(self, node: MapLiteral) -> Type:
        keys: Type | None = None
        joined: Type | None = None
        for place, (key, value) in enumerate(node.entries):
            keys = self._joined(keys, self.check(key), key.at)
            if keys.kind not in ("dyn", "error", "string", "int", "uint", "bool"):
                self.report(key.at, f"unsupported map key type: {keys}")
            joined = self._joined(joined, self._unwrapped(value, place in node.optional), value.at)
        return map_of(keys or DYN, joined or DYN)

    def _struct(self, node: Struct) -> Type:
        if node.name == "JSONPatch" and "JSONPatch" in self._structs:
            return self._json_patch(node)
        if "Object" not in self._structs or not (node.name == "Object" or node.name.startswith("Object.")):
            self.report(node.at, f"undeclared reference to '{node.name}' (in container '')")
            for _, _, value in node.fields:
                self.check(value)
            return ERROR
        for mark, name, value in node.fields:
            given = self.check(value)
            for item in _structs_in(value):
                wanted = f"{node.name}.{name}"
                if item.name != wanted:
                    text = f'unexpected type name "{item.name}", expected "{wanted}", which matches field name path from root Object type'
                    self.report(mark, text)
            if given.kind in _NOT_IN_OBJECTS:
                self.report(mark, f"expected type of field '{name}' is 'dyn' but provided type is '{given}'")
        return Type("object", name=node.name)

    def _json_patch(self, node: Struct) -> Type:
        wanted = {"op": STRING, "path": STRING, "from": STRING, "value": DYN}
        for mark, name, value in node.fields:
            given = self.check(value)
            field = wanted.get(name)
            if field is None:
                self.report(mark, f"undefined field '{name}'")
            elif not assignable(field, given, {}):
                self.report(mark, f"expected type of field '{name}' is '{field}' but provided type is '{given}'")
        return Type("object", name="JSONPatch")

    # Macros

    def _comprehension(self, node: Comprehension) -> Type:
        over = self.check(node.range)
        first, second = self._variables_over(node, over)
        scope = {node.first: (self._slot(), first)}
        if node.second:
            scope[node.second] = (self._slot(), second)
        node.slots = (scope[node.first][0], scope[node.second][0] if node.second else 0)
        self._scopes.append(scope)
        if node.where is not None:
            self._boolean(node.where)
        step = self.check(node.step)
        if node.macro in ("all", "exists", "exists_one", "filter"):
            self._boolean(node.step, checked=True)
        self._scopes.pop()
        return self._result(node, over, first, second, step)

    def _result(self, node: Comprehension, over: Type, first: Type, second: Type, step: Type) -> Type:
        match node.macro:
            case "map":
                return list_of(step)
            case "filter":
                return list_of(first)
            case "transformMap":
                return map_of(first if over.kind == "map" else INT if over.kind == "list" else DYN, step)
            case "transformMapEntry":
                return step if step.kind == "map" else map_of(DYN, DYN)
        return BOOL

    def _variables_over(self, node: Comprehension, over: Type) -> tuple[Type, Type]:
        match over.kind:
            case "list":
                return (INT, over.parameters[0]) if node.second else (over.parameters[0], DYN)
            case "map":
                return over.parameters[0], over.parameters[1]
            case "dyn" | "error":
                return DYN, DYN
        self.report(node.range.at, f"expression of type '{over}' cannot be range of a comprehension (must be list, map, or dynamic)")
        return ERROR, ERROR

    def _boolean(self, node: Node, *, checked: bool = False) -> None:
        given = node.type if checked else self.check(node)
        if not assignable(BOOL, given, {}):
            self.report(node.at, f"expected type 'bool' but found '{given}'")

    def _optional_map(self, node: OptionalMap) -> Type:
        target = self.check(node.target)
        if target.kind not in ("optional_type", "dyn", "error"):
            name = "optFlatMap" if node.flat else "optMap"
            self.report(node.at, f"found no matching overload for '{name}' applied to '{_signature([target, DYN], True)}'")
        below = target.parameters[0] if target.kind == "optional_type" else DYN
        node.slot = self._slot()
        self._scopes.append({node.variable: (node.slot, below)})
        step = self.check(node.step)
        self._scopes.pop()
        return step if node.flat else optional_of(step)

    def _bind(self, node: Bind) -> Type:
        value = self.check(node.value)
        node.slot = self._slot()
        self._scopes.append({node.variable: (node.slot, value)})
        step = self.check(node.step)
        self._scopes.pop()
        return step

    def _slot(self) -> int:
        self.slots += 1
        return self.slots - 1

    _CHECKS: Mapping[type, Any] = {
        Literal: lambda self, node: _LITERALS[type(node.value)],
        Identifier: _identifier,
        Select: _select,
        Call: _call,
        Logical: _logical,
        Conditional: _conditional,
        ListLiteral: _list,
        MapLiteral: _map,
        Struct: _struct,
        Comprehension: _comprehension,
        OptionalMap: _optional_map,
        Bind: _bind,
    }


_NOT_IN_OBJECTS = frozenset({"type", "opaque"})


def _structs_in(node: Node) -> list[Struct]:
    """The struct literals that are the value, or the items of the list that is it."""
    if isinstance(node, Struct):
        return [node]
    if isinstance(node, ListLiteral):
        return [s for item in node.items for s in _structs_in(item)]
    if isinstance(node, Conditional):
        return _structs_in(node.yes) + _structs_in(node.no)
    return []


def _kept_order(first: Type, result: Type) -> Type:
    """A set to which a list is added stays a set, and a list by keys one by keys."""
    if not first.list_type or result.kind != "list":
        return result
    return list_of(result.parameters[0], list_type=first.list_type, map_keys=first.map_keys)


def _resolve(overload: Overload, given: list[Type]) -> Type | None:
    if len(given) != len(overload.arguments):
        return None
    bound: dict[str, Type] = {}
    for wanted, one in zip(overload.arguments, given, strict=True):
        if not assignable(wanted, one, bound):
            return None
    return substitute(overload.result, bound)


def _signature(types: list[Type], is_member: bool) -> str:
    names = [str(t) for t in types]
    return f"{names[0]}.({', '.join(names[1:])})" if is_member else f"({', '.join(names)})"


def _larger(one: Type, other: Type) -> Type:
    """Of two types of one kind, the one with the greater bound."""
    if one.max_elements is None or other.max_elements is None:
        return one if one.max_elements is None else other
    return one if one.max_elements >= other.max_elements else other
