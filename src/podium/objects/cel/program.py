"""Programs: an expression compiled for an environment, ready to be evaluated any number of times.

Invariants: compiling and evaluating raise CelCompileError and CelRuntimeError and nothing else; evaluation ends, since every loop and every
call takes from the budget.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from podium.objects.cel import costs, validators
from podium.objects.cel.checker import Checker
from podium.objects.cel.compiler import Compiler, Run
from podium.objects.cel.errors import CelCompileError, CelRuntimeError, CostExceeded, Issue
from podium.objects.cel.estimates import estimate
from podium.objects.cel.lexer import SyntaxFault
from podium.objects.cel.parser import parse
from podium.objects.cel.syntax import Node
from podium.objects.cel.types import Convert, Type, assignable


@dataclass(frozen=True, slots=True)
class Environment:
    """`variables` by name. `structs`: names of what may be built with braces: `Object` (and everything below it), `JSONPatch`."""

    variables: Mapping[str, Type] = field(default_factory=dict)
    structs: frozenset[str] = frozenset()


class Budget:
    """What several evaluations may take together. `remaining` may end below 0: then CostExceeded was raised."""

    __slots__ = ("remaining",)

    def __init__(self, remaining: int = costs.OBJECT_BUDGET) -> None:
        self.remaining = remaining


class Program:
    """`type` is what it gives as far as the checker knows; `uses` the variables it reads."""

    def __init__(self, source: str, node: Node, environment: Environment, run: Run, cost: int, slots: int, uses: frozenset[str]) -> None:
        self.source = source
        self.type = node.type
        self.uses = uses
        self._node = node
        self._run = run
        self._cost = cost
        self._frame: list[Any] = [None] * slots
        self._variables: list[tuple[int, str, Convert | None]] = [
            (index + 1, name, type_.convert) for index, (name, type_) in enumerate(environment.variables.items()) if name in uses
        ]

    def evaluate(self, bindings: Mapping[str, Any], budget: Budget | None = None) -> Any:
        """The value. A variable that is not bound is an error. Raises CelRuntimeError (CostExceeded when the budget is used up)."""
        limit = costs.CALL_BUDGET if budget is None else min(costs.CALL_BUDGET, budget.remaining)
        frame = self._frame.copy()
        frame[0] = limit - self._cost
        try:
            for index, name, convert in self._variables:
                value = bindings[name]
                frame[index] = value if convert is None else convert(value)
            value = self._run(frame)
        except CelRuntimeError:
            raise
        except KeyError as error:
            raise CelRuntimeError(f"no such attribute(s): {error.args[0]}") from None
        except RecursionError:
            raise CelRuntimeError("expression is nested too deep") from None
        except Exception as error:
            raise CelRuntimeError("no such overload") from error
        finally:
            if budget is not None:
                budget.remaining -= limit - frame[0]
        if frame[0] < 0:
            raise CostExceeded
        return value

    def estimate(self) -> costs.Range:
        """The least and the most that an evaluation costs, from the bounds of the schema; UNBOUNDED when there are none."""
        return estimate(self._node)


def compile(expression: str, environment: Environment, *, result: Type | None = None) -> Program:
    """Raises CelCompileError: syntax, names, types; also when the expression cannot give `result`."""
    try:
        node = parse(expression)
        checker = Checker(expression, environment.variables, environment.structs)
        checker.check(node)
        if not checker.issues:
            validators.validate(node, checker.report)
        if checker.issues:
            raise CelCompileError(expression, checker.issues)
        if result is not None and not assignable(result, node.type, {}):
            raise CelCompileError(expression, [Issue(1, 0, f"expected type '{result}' but found '{node.type}'")])
        compiler = Compiler()
        run, cost = compiler.block(node)
    except SyntaxFault as fault:
        raise CelCompileError(expression, [_issue(expression, fault)]) from None
    except RecursionError:
        raise CelCompileError(expression, [Issue(1, 0, "expression is nested too deep")]) from None
    return Program(expression, node, environment, run, cost, checker.slots, _used(node, environment))


def _issue(expression: str, fault: SyntaxFault) -> Issue:
    line = expression.count("\n", 0, fault.at) + 1
    return Issue(line, fault.at - (expression.rfind("\n", 0, fault.at) + 1), fault.message)


def _used(node: Node, environment: Environment) -> frozenset[str]:
    names = list(environment.variables)
    slots = {n.resolved[1] for n in validators.walk(node) if getattr(n, "resolved", None) and n.resolved[0] == "slot"}  # type: ignore[attr-defined]
    return frozenset(names[slot - 1] for slot in slots if 1 <= slot <= len(names))
