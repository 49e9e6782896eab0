"""Runs a parsed template on data: walks the nodes, evaluates pipelines, calls functions and methods.

A value is what values.py says; what a command of a pipeline gives is the last argument of the next one. Constants take the type of the
parameter they are given to (`3` is a float64 where one is wanted).

Bounds (all raise TemplateError): OUTPUT_CHARS_MAX of output and of a function's result, STEPS_MAX nodes walked (and STEP_CHARS characters of
functions' arguments and results), DEPTH_MAX templates within templates.

Source: Go's text/template/exec.go for order of evaluation and words.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from podium.telemetry.metrics.templates import nodes
from podium.telemetry.metrics.templates.errors import TemplateError
from podium.telemetry.metrics.templates.functions import BUILTINS
from podium.telemetry.metrics.templates.printf import show
from podium.telemetry.metrics.templates.quoting import quote
from podium.telemetry.metrics.templates.values import (
    ANY,
    INT_MAX,
    INT_MIN,
    Function,
    function_of,
    kind,
    names_of,
    sorted_items,
    truth,
    type_name,
)

OUTPUT_CHARS_MAX = 4 * 1024 * 1024
STEPS_MAX = 1_000_000
STEP_CHARS = 64
"""Characters that a function is given or gives for one more step."""
DEPTH_MAX = 60


class Sink(Protocol):
    """Where output goes."""

    def text(self, text: str) -> None:
        """The template's own text."""
        ...

    def value(self, value: Any) -> None:
        """What an action gives."""
        ...


class PlainSink:
    def __init__(self) -> None:
        self.parts: list[str] = []

    def text(self, text: str) -> None:
        self.parts.append(text)

    def value(self, value: Any) -> None:
        self.parts.append("<no value>" if value is None else show(value))


class _Missing:
    pass


MISSING: Any = _Missing()
"""No value came down the pipeline (unlike None, which is nil)."""


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


@dataclass(slots=True)
class Budget:
    steps: int = STEPS_MAX
    output: int = OUTPUT_CHARS_MAX


class Execution:
    """One template being executed; those that it calls have one each and share its budget and sink."""

    def __init__(
        self,
        name: str,
        bodies: Mapping[str, nodes.Body],
        functions: Mapping[str, "Callable[..., Any] | Function"],
        sink: Sink,
        missing_key: str,
        budget: Budget,
        depth: int = 0,
    ) -> None:
        self._name, self._bodies, self._functions = name, bodies, functions
        self._sink, self._missing_key, self._budget, self._depth = sink, missing_key, budget, depth
        self._variables: list[tuple[str, Any]] = []

    def run(self, body: nodes.Body, data: Any) -> None:
        self._variables = [("$", data)]
        self._walk_all(data, body)

    def error(self, node: nodes.Node, message: str) -> TemplateError:
        location = node.source.location(node.position)
        text = f"template: {location}: executing {quote(self._name)} at <{node}>: {message}"
        return TemplateError(text, node.source.line(node.position))

    # -- statements

    def _walk_all(self, dot: Any, body: nodes.Body) -> None:
        for node in body:
            self._walk(dot, node)

    def _walk(self, dot: Any, node: nodes.Node) -> None:
        self._step(node)
        match node:
            case nodes.Text():
                self._spend(node, len(node.text))
                self._sink.text(node.text)
            case nodes.Action():
                value = self._pipe(dot, node.pipe)
                if not node.pipe.declared:
                    self._print(node, value)
            case nodes.Branch():
                mark = len(self._variables)
                if node.keyword == "range":
                    self._range(dot, node)
                else:
                    value = self._pipe(dot, node.pipe)
                    if truth(value):
                        self._walk_all(value if node.keyword == "with" else dot, node.body)
                    elif node.otherwise is not None:
                        self._walk_all(dot, node.otherwise)
                del self._variables[mark:]
            case nodes.Call():
                self._call_template(dot, node)
            case nodes.Jump():
                raise _Break if node.keyword == "break" else _Continue

    def _charge(self, node: nodes.Node, *values: Any) -> None:
        """Long texts are work, too."""
        self._step(node, sum(len(value) for value in values if isinstance(value, str)) // STEP_CHARS)

    def _step(self, node: nodes.Node, steps: int = 1) -> None:
        self._budget.steps -= steps
        if self._budget.steps < 0:
            raise self.error(node, f"more than {STEPS_MAX} steps")

    def _spend(self, node: nodes.Node, chars: int) -> None:
        self._budget.output -= chars
        if self._budget.output < 0:
            raise self.error(node, f"the output is longer than {OUTPUT_CHARS_MAX} characters")

    def _print(self, node: nodes.Action, value: Any) -> None:
        if kind(value) == "func":
            raise self.error(node, f"can't print {node} of type {type_name(value)}")
        self._spend(node, len(value) if isinstance(value, str) else 8)
        try:
            self._sink.value(value)
        except (ValueError, RecursionError) as error:
            raise self.error(node, str(error)) from error

    def _range(self, dot: Any, node: nodes.Branch) -> None:
        value = self._pipe(dot, node.pipe)
        items = self._items(node, value)
        try:
            ran = self._iterate(node, items)
        except _Break:
            return
        if not ran and node.otherwise is not None:
            self._walk_all(dot, node.otherwise)

    def _items(self, node: nodes.Branch, value: Any) -> Any:
        match kind(value):
            case "invalid":
                return ()
            case "slice":
                return enumerate(value)
            case "map":
                return sorted_items(value)
            case "int":
                if len(node.pipe.declared) > 1:
                    raise self.error(node.pipe.commands[-1].arguments[0], f"can't use {value} to iterate over more than one variable")
                return ((None, i) for i in range(value))
        raise self.error(node.pipe.commands[-1].arguments[0], f"range can't iterate over {show(value)}")

    def _iterate(self, node: nodes.Branch, items: Any) -> bool:
        declared, assigns = node.pipe.declared, node.pipe.is_assignment
        mark = len(self._variables)
        ran = False
        for key, element in items:
            ran = True
            self._step(node)
            pairs = [(declared[-1].name, element)] if declared else []
            if len(declared) > 1:
                pairs.insert(0, (declared[0].name, key))
            if assigns:
                for name, value in pairs:
                    self._assign(node, name, value)
            elif pairs:
                self._variables[mark - len(pairs) : mark] = pairs
            try:
                self._walk_all(element, node.body)
            except _Continue:
                pass
            finally:
                del self._variables[mark:]
        return ran

    def _call_template(self, dot: Any, node: nodes.Call) -> None:
        body = self._bodies.get(node.name)
        if body is None:
            raise self.error(node, f"template {quote(node.name)} not defined")
        if self._depth >= DEPTH_MAX:
            raise self.error(node, f"exceeded maximum template depth ({DEPTH_MAX})")
        data = self._pipe(dot, node.pipe) if node.pipe is not None else None
        inner = Execution(node.name, self._bodies, self._functions, self._sink, self._missing_key, self._budget, self._depth + 1)
        inner.run(body, data)

    # -- pipelines

    def _pipe(self, dot: Any, pipe: nodes.Pipe) -> Any:
        value = MISSING
        for command in pipe.commands:
            value = self._command(dot, command, value)
        for variable in pipe.declared:
            if pipe.is_assignment:
                self._assign(pipe, variable.name, value)
            else:
                self._variables.append((variable.name, value))
        return value

    def _assign(self, node: nodes.Node, name: str, value: Any) -> None:
        for i in range(len(self._variables) - 1, -1, -1):
            if self._variables[i][0] == name:
                self._variables[i] = (name, value)
                return
        raise self.error(node, f"undefined variable: {name}")

    def _variable(self, node: nodes.Variable) -> Any:
        for name, value in reversed(self._variables):
            if name == node.name:
                return value
        raise self.error(node, f"undefined variable: {node.name}")

    def _command(self, dot: Any, command: nodes.Command, final: Any) -> Any:
        self._step(command)
        first, arguments = command.arguments[0], command.arguments[1:]
        match first:
            case nodes.Field():
                return self._fields(dot, dot, first, first.names, arguments, final)
            case nodes.Chain():
                return self._chain(dot, first, arguments, final)
            case nodes.Identifier():
                return self._function(dot, first, command, arguments, final)
            case nodes.Variable() if first.fields:
                return self._fields(dot, self._variable(first), first, first.fields, arguments, final)
        if arguments or final is not MISSING:
            raise self.error(first, f"can't give argument to non-function {first}")
        match first:
            case nodes.Pipe():
                return self._pipe(dot, first)
            case nodes.Variable():
                return self._variable(first)
            case nodes.Dot():
                return dot
            case nodes.Literal():
                return self._constant(first)
        raise self.error(first, "nil is not a command")

    def _constant(self, node: nodes.Literal) -> Any:
        if kind(node.value) == "int" and not INT_MIN <= node.value <= INT_MAX:
            raise self.error(node, f"{node.text} overflows int")
        return node.value

    def _chain(self, dot: Any, node: nodes.Chain, arguments: tuple[nodes.Node, ...] = (), final: Any = MISSING) -> Any:
        if isinstance(node.of, nodes.Nil):
            raise self.error(node, f"indirection through explicit nil in {node}")
        return self._fields(dot, self._argument(dot, ANY, node.of), node, node.fields, arguments, final)

    def _fields(
        self,
        dot: Any,
        receiver: Any,
        node: nodes.Node,
        names: tuple[str, ...],
        arguments: tuple[nodes.Node, ...] = (),
        final: Any = MISSING,
    ) -> Any:
        for name in names[:-1]:
            receiver = self._field(dot, receiver, node, name, (), MISSING)
        return self._field(dot, receiver, node, names[-1], arguments, final)

    def _field(self, dot: Any, receiver: Any, node: nodes.Node, name: str, arguments: tuple[nodes.Node, ...], final: Any) -> Any:
        if receiver is None:
            if self._missing_key == "error":
                raise self.error(node, f"nil data; no entry for key {quote(name)}")
            if self._missing_key == "zero":
                raise self.error(node, f"nil pointer evaluating interface {{}}.{name}")
            return None
        attribute = names_of(receiver).get(name)
        if attribute is not None:
            member = getattr(receiver, attribute)
            if callable(member) and kind(member) == "func":
                return self._invoke(dot, function_of(member), node, name, arguments, final)
            if arguments or final is not MISSING:
                raise self.error(node, f"{name} has arguments but cannot be invoked as function")
            return member
        if isinstance(receiver, dict):
            if arguments or final is not MISSING:
                raise self.error(node, f"{name} is not a method but has arguments")
            if name in receiver:
                return receiver[name]
            if self._missing_key == "error":
                raise self.error(node, f"map has no entry for key {quote(name)}")
            return getattr(type(receiver), "template_missing", None) if self._missing_key == "zero" else None
        raise self.error(node, f"can't evaluate field {name} in type {type_name(receiver)}")

    # -- calls

    def _function(self, dot: Any, node: nodes.Identifier, at: nodes.Node, arguments: tuple[nodes.Node, ...], final: Any) -> Any:
        found = self._functions.get(node.name)
        if found is not None:
            return self._invoke(dot, function_of(found), at, node.name, arguments, final)
        function = BUILTINS.get(node.name)
        if function is None:
            raise self.error(node, f"{quote(node.name)} is not a defined function")
        if node.name in ("and", "or"):
            return self._logic(dot, at, node.name, arguments, final)
        return self._invoke(dot, function, at, node.name, arguments, final)

    def _logic(self, dot: Any, node: nodes.Node, name: str, arguments: tuple[nodes.Node, ...], final: Any) -> Any:
        """Stops at the first argument that decides."""
        if not arguments and final is MISSING:
            raise self.error(node, f"wrong number of args for {name}: want at least 1 got 0")
        value = None
        for argument in arguments:
            value = self._argument(dot, ANY, argument)
            if truth(value) == (name == "or"):
                return value
        return value if final is MISSING else final

    def _invoke(self, dot: Any, function: Function, node: nodes.Node, name: str, arguments: tuple[nodes.Node, ...], final: Any) -> Any:
        types = function.parameters
        first = node.arguments[0] if isinstance(node, nodes.Command) else node
        count = len(arguments) + (final is not MISSING)
        if function.variadic:
            if count < len(types) - 1:
                raise self.error(first, f"wrong number of args for {name}: want at least {len(types) - 1} got {len(arguments)}")
        elif count != len(types):
            raise self.error(first, f"wrong number of args for {name}: want {len(types)} got {count}")
        values = [self._argument(dot, types[min(i, len(types) - 1)], argument) for i, argument in enumerate(arguments)]
        if final is not MISSING:
            values.append(self._fit(node, final, types[min(count, len(types)) - 1]))
        self._charge(first, *values)
        try:
            given = function.call(*values)
        except TemplateError as error:
            raise self.error(node, f"error calling {name}: {error}") from error
        except Exception as error:  # as Go recovers a panic of a function: the template is at fault, not the process
            raise self.error(node, f"error calling {name}: {error}") from error
        if isinstance(given, str) and len(given) > OUTPUT_CHARS_MAX:
            raise self.error(first, f"the result of {name} is longer than {OUTPUT_CHARS_MAX} characters")
        self._charge(first, given)
        return given

    def _argument(self, dot: Any, wanted: str, node: nodes.Node) -> Any:
        match node:
            case nodes.Dot():
                return self._fit(node, dot, wanted)
            case nodes.Nil():
                if wanted in ("string", "int", "float64", "bool"):
                    raise self.error(node, f"cannot assign nil to {wanted}")
                return None
            case nodes.Field():
                return self._fit(node, self._fields(dot, dot, node, node.names), wanted)
            case nodes.Variable():
                value = self._variable(node)
                return self._fit(node, self._fields(dot, value, node, node.fields) if node.fields else value, wanted)
            case nodes.Pipe():
                return self._fit(node, self._pipe(dot, node), wanted)
            case nodes.Identifier():
                return self._fit(node, self._function(dot, node, node, (), MISSING), wanted)
            case nodes.Chain():
                return self._fit(node, self._chain(dot, node), wanted)
            case nodes.Literal():
                return self._literal(node, wanted)
        raise AssertionError(node)

    def _literal(self, node: nodes.Literal, wanted: str) -> Any:
        given = kind(node.value)
        match wanted:
            case "string" | "bool":
                if given != wanted:
                    raise self.error(node, f"expected {wanted}; found {node}")
            case "int":
                if not node.is_int:
                    raise self.error(node, f"expected integer; found {node}")
                return int(node.value)
            case "float64":
                if not node.is_float:
                    raise self.error(node, f"expected float; found {node}")
                return float(node.value)
            case _ if wanted != ANY:
                raise self.error(node, f"can't handle {node} for arg of type {wanted}")
        return self._constant(node)

    def _fit(self, node: nodes.Node, value: Any, wanted: str) -> Any:
        """`value` where `wanted` is expected."""
        if wanted == ANY:
            return value
        if wanted == "slice":
            if value is None or kind(value) == "slice":
                return value or []
        elif value is None:
            if wanted in ("string", "int", "float64", "bool"):
                raise self.error(node, f"invalid value; expected {wanted}")
            return None
        elif wanted == type_name(value) or (wanted == "string" and type(value) is str):
            return value
        raise self.error(node, f"wrong type for value; expected {'[]string' if wanted == 'slice' else wanted}; got {type_name(value)}")
