"""The syntax tree of PromQL: what the parser makes and the engine evaluates. Pure data; equal trees are equal queries.

Every node knows where it stands in the query (`span`), for errors and for positions in warnings. Nodes are checked for types when they are
parsed: a tree that exists is well typed.

Source: Prometheus 3's querying documentation.
"""

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field

from podium.telemetry.metrics.labels import Matcher


class ValueType(enum.Enum):
    """Upstream's words, as in error messages and parse_query."""

    NONE = "none"
    SCALAR = "scalar"
    STRING = "string"
    VECTOR = "vector"
    MATRIX = "matrix"


@dataclass(frozen=True, slots=True)
class Span:
    """Where a node stands: characters [start, end) of the query, from 0."""

    start: int
    end: int


NOWHERE = Span(0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class NumberLiteral(Node):
    value: float
    duration: bool = False  # written as 5m: printed so again


@dataclass(frozen=True, slots=True)
class StringLiteral(Node):
    value: str  # bytes that are not UTF-8 are lone surrogates (quoting.unquote)


class AtModifier(enum.Enum):
    START = "start()"
    END = "end()"


@dataclass(frozen=True, slots=True)
class DurationExpression(Node):
    """A duration that is computed when the query starts: `[step() * 2 + 1m]`, `offset (1h / 2)`.

    Operators: + - * / % ^ (two operands), - + (one), min max (two), step range (none).
    """

    operator: str
    operands: tuple["DurationExpression | NumberLiteral", ...] = ()
    parenthesised: bool = False  # printed so again; (5m) is +(5m)


Duration = int | DurationExpression
"""Milliseconds, or what gives them when the query starts."""


@dataclass(frozen=True, slots=True)
class VectorSelector(Node):
    """`name{matchers} offset o @ t`. The name is among the matchers, as __name__."""

    name: str  # as written before the braces; '' when it was not
    matchers: tuple[Matcher, ...]
    offset_ms: Duration = 0  # positive: into the past
    at: int | AtModifier | None = None  # milliseconds
    extension: str = ""  # '', 'anchored' or 'smoothed': experimental extended range selectors


@dataclass(frozen=True, slots=True)
class MatrixSelector(Node):
    """`selector[range]`: samples in (t - range, t], left-open. Offset and @ stand on the selector."""

    selector: VectorSelector
    range_ms: Duration


@dataclass(frozen=True, slots=True)
class Subquery(Node):
    """`expression[range:step] offset o @ t`; no step: the default interval."""

    expression: "Expression"
    range_ms: Duration
    step_ms: Duration = 0  # 0: default
    offset_ms: Duration = 0
    at: int | AtModifier | None = None


@dataclass(frozen=True, slots=True)
class Unary(Node):
    operator: str  # + or -
    operand: "Expression"


@dataclass(frozen=True, slots=True)
class Parentheses(Node):
    expression: "Expression"


class Cardinality(enum.Enum):
    ONE_TO_ONE = "one-to-one"
    MANY_TO_ONE = "many-to-one"  # group_left
    ONE_TO_MANY = "one-to-many"  # group_right
    MANY_TO_MANY = "many-to-many"  # and, or, unless


@dataclass(frozen=True, slots=True)
class Matching:
    cardinality: Cardinality = Cardinality.ONE_TO_ONE
    labels: tuple[str, ...] = ()
    on: bool = False  # True: on(labels); False: ignoring(labels)
    include: tuple[str, ...] = ()  # of group_left / group_right
    fill_left: float | None = None  # experimental: fill, fill_left, fill_right
    fill_right: float | None = None


@dataclass(frozen=True, slots=True)
class Binary(Node):
    operator: str  # + - * / % ^ atan2 == != > < >= <= and or unless </ >/
    left: "Expression"
    right: "Expression"
    matching: Matching | None = None  # None: not between two vectors
    return_bool: bool = False


@dataclass(frozen=True, slots=True)
class Aggregation(Node):
    operator: str  # sum avg count min max group stddev stdvar topk bottomk count_values quantile limitk limit_ratio
    expression: "Expression"
    parameter: "Expression | None" = None
    grouping: tuple[str, ...] = ()
    without: bool = False


@dataclass(frozen=True, slots=True)
class Call(Node):
    function: str
    arguments: tuple["Expression", ...]


Expression = NumberLiteral | StringLiteral | VectorSelector | MatrixSelector | Subquery | Unary | Parentheses | Binary | Aggregation | Call


def children(node: Expression) -> Iterator[Expression]:
    """In the order they are written."""
    match node:
        case MatrixSelector():
            yield node.selector
        case Subquery() | Parentheses():
            yield node.expression
        case Unary():
            yield node.operand
        case Binary():
            yield node.left
            yield node.right
        case Aggregation():
            if node.parameter is not None:
                yield node.parameter
            yield node.expression
        case Call():
            yield from node.arguments
        case _:
            return
