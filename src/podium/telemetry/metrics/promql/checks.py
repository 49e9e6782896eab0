"""Whether a tree that is well formed means something: types, matchings, selectors that would choose everything. Also its depth.

Of several mistakes the first is reported that upstream reports first. A tree deeper than DEPTH_MAX is refused here, so that whoever walks a
parsed tree may recurse.

Source: PromQL's documentation; error texts are upstream's.
"""

from podium.telemetry.metrics.labels import METRIC_NAME
from podium.telemetry.metrics.promql.errors import ParseError
from podium.telemetry.metrics.promql.quoting import quote
from podium.telemetry.metrics.promql.signatures import DOCUMENTED_TYPES, PARAMETER_TYPES, SIGNATURES
from podium.telemetry.metrics.promql.syntax import (
    Aggregation,
    Binary,
    Call,
    Cardinality,
    Expression,
    MatrixSelector,
    Node,
    NumberLiteral,
    Parentheses,
    StringLiteral,
    Subquery,
    Unary,
    ValueType,
    VectorSelector,
)

DEPTH_MAX = 150
"""Levels of a tree; a chain of operators, `a + b + c`, counts one for each."""

COMPARISONS = frozenset(("==", "!=", ">", "<", ">=", "<="))
SET_OPERATORS = frozenset(("and", "or", "unless"))

_OPERANDS = (ValueType.SCALAR, ValueType.VECTOR)


def value_type(node: Expression) -> ValueType:
    """What a checked tree gives."""
    match node:
        case NumberLiteral():
            return ValueType.SCALAR
        case StringLiteral():
            return ValueType.STRING
        case VectorSelector() | Aggregation():
            return ValueType.VECTOR
        case MatrixSelector() | Subquery():
            return ValueType.MATRIX
        case Call():
            return SIGNATURES[node.function].returns
        case Parentheses():
            return value_type(node.expression)
        case Unary():
            return value_type(node.operand)
        case Binary():
            if node.matching is not None or value_type(node.left) is ValueType.VECTOR:
                return ValueType.VECTOR
            return value_type(node.right)


def check(tree: Expression, query: str) -> ValueType:
    """The tree's type. Raises ParseError."""
    return _Check(query).visit(tree, 1)


def too_deep(query: str, start: int) -> ParseError:
    return ParseError(
        f"query is nested too deeply, more than {DEPTH_MAX} levels: split it, or use a regular expression", query, start, start
    )


class _Check:
    __slots__ = ("query",)

    def __init__(self, query: str) -> None:
        self.query = query

    def fail(self, node: Node, message: str) -> None:
        raise ParseError(message, self.query, node.span.start, node.span.end)

    def visit(self, node: Expression, depth: int) -> ValueType:
        if depth > DEPTH_MAX:
            raise too_deep(self.query, node.span.start)
        kind = type(node)
        if kind is VectorSelector:
            self.selector(node)  # type: ignore[arg-type]
            return ValueType.VECTOR
        if kind is MatrixSelector:
            self.selector(node.selector)  # type: ignore[union-attr]
            return ValueType.MATRIX
        if kind is Call:
            return self.call(node, depth)  # type: ignore[arg-type]
        if kind is Aggregation:
            return self.aggregation(node, depth)  # type: ignore[arg-type]
        if kind is Binary:
            return self.binary(node, depth)  # type: ignore[arg-type]
        return self.other(node, depth)

    def other(self, node: Expression, depth: int) -> ValueType:
        match node:
            case Parentheses():
                return self.visit(node.expression, depth + 1)
            case Unary():
                found = self.visit(node.operand, depth + 1)
                if found not in _OPERANDS:
                    allowed = "unary expression only allowed on expressions of type scalar or instant vector"
                    self.fail(node, f"{allowed}, got {quote(DOCUMENTED_TYPES[found])}")
                return found
            case Subquery():
                found = self.visit(node.expression, depth + 1)
                if found is not ValueType.VECTOR:
                    self.fail(node, f"subquery is only allowed on instant vector, got {found.value} instead")
                return ValueType.MATRIX
            case StringLiteral():
                return ValueType.STRING
            case _:
                return ValueType.SCALAR

    def selector(self, node: VectorSelector) -> None:
        if node.name:
            for matcher in node.matchers[:-1]:
                if matcher.name == METRIC_NAME:
                    self.fail(node, f"metric name must not be set twice: {quote(node.name)} or {quote(matcher.value)}")
        elif all(matcher.matches("") for matcher in node.matchers):
            self.fail(node, "vector selector must contain at least one non-empty matcher")

    def expect(self, node: Expression, wanted: ValueType, context: str, depth: int) -> None:
        found = self.visit(node, depth)
        if found is not wanted:
            self.fail(node, f"expected type {DOCUMENTED_TYPES[wanted]} in {context}, got {DOCUMENTED_TYPES[found]}")

    def aggregation(self, node: Aggregation, depth: int) -> ValueType:
        self.expect(node.expression, ValueType.VECTOR, "aggregation expression", depth + 1)
        if node.parameter is not None:
            self.expect(node.parameter, PARAMETER_TYPES[node.operator], "aggregation parameter", depth + 1)
        return ValueType.VECTOR

    def call(self, node: Call, depth: int) -> ValueType:
        signature = SIGNATURES[node.function]
        given, least, most = len(node.arguments), signature.count_min, signature.count_max
        if given < least or (most is not None and given > most):
            bound = "" if least == most else "at least " if given < least else "at most "
            count = least if given < least else most
            self.fail(node, f"expected {bound}{count} argument(s) in call to {quote(node.function)}, got {given}")
        context = f"call to function {quote(node.function)}"
        for n, argument in enumerate(node.arguments):
            if node.function == "info" and n == 1:
                self.info_labels(node, argument, depth + 1)
            else:
                self.expect(argument, signature.argument(n), context, depth + 1)
        return signature.returns

    def info_labels(self, node: Call, argument: Expression, depth: int) -> None:
        """The second argument of info() is not a selector but the matchers of one: it may match everything."""
        if isinstance(argument, VectorSelector):
            if argument.name:
                self.fail(argument, "expected label selectors only, got vector selector instead")
            return
        found = self.visit(argument, depth)
        if found is not ValueType.VECTOR:
            wanted = DOCUMENTED_TYPES[ValueType.VECTOR]
            self.fail(node, f'expected type {wanted} in call to function "info", got {DOCUMENTED_TYPES[found]}')
        self.fail(argument, "expected label selectors only")

    def binary(self, node: Binary, depth: int) -> ValueType:
        left = self.visit(node.left, depth + 1)
        right = self.visit(node.right, depth + 1)
        operator, matching = node.operator, node.matching
        if node.return_bool and operator not in COMPARISONS:
            self.fail_operator(node, "bool modifier can only be used on comparison operators")
        if operator in COMPARISONS and not node.return_bool and left is right is ValueType.SCALAR:
            self.fail_operator(node, "comparisons between scalars must use BOOL modifier")
        if matching is not None and matching.on:
            for label in matching.labels:
                if label in matching.include:
                    self.fail_operator(node, f"label {quote(label)} must not occur in ON and GROUP clause at once")
        for operand, found in ((node.left, left), (node.right, right)):
            if found not in _OPERANDS:
                self.fail(operand, "binary expression must contain only scalar and instant vector types")
        vectors = left is right is ValueType.VECTOR
        if not vectors and matching is not None:
            if matching.labels:
                self.fail(node, "vector matching only allowed between instant vectors")
            self.fail(node, "filling in missing series only allowed between instant vectors")
        if operator in SET_OPERATORS:
            self.set_operation(node, vectors)
        return ValueType.VECTOR if ValueType.VECTOR in (left, right) else ValueType.SCALAR

    def set_operation(self, node: Binary, vectors: bool) -> None:
        matching = node.matching
        if not vectors or matching is None:
            self.fail(node, f"set operator {quote(node.operator)} not allowed in binary scalar expression")
        elif matching.cardinality is not Cardinality.MANY_TO_MANY:
            self.fail(node, f"no grouping allowed for {quote(node.operator)} operation")
        elif matching.fill_left is not None or matching.fill_right is not None:
            self.fail(node, "filling in missing series not allowed for set operators")

    def fail_operator(self, node: Binary, message: str) -> None:
        """Points at the operator with its modifiers."""
        start, end = node.left.span.end, node.right.span.start
        between = self.query[start:end]
        raise ParseError(message, self.query, start + len(between) - len(between.lstrip()), start + len(between.rstrip()))
