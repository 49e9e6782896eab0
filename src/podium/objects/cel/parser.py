"""Parser: tokens to a tree, with precedence climbing; macros are recognised here.

Invariants: the tree is at most DEPTH_MAX deep (chains of && and || are one node), so that no later stage recurses without bound.
Source: cel-spec, "Syntax" and "Macros"; cel-go ext (two-variable comprehensions, optMap, cel.bind).
"""

from podium.objects.cel.lexer import RESERVED, SyntaxFault, Token, tokens
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
from podium.objects.cel.values import INT_MAX

DEPTH_MAX = 100
"""Half of what cel-go allows: Python's own stack is the limit."""

_LOGICAL_LEVEL = 2
_LEVELS = {
    "||": 1, "&&": 2, "<": 3, "<=": 3, ">": 3, ">=": 3, "==": 3, "!=": 3, "in": 3, "+": 4, "-": 4, "*": 5, "/": 5, "%": 5,
}  # fmt: skip
"""Operator -> how tight it binds."""

_CONSTANTS = {"true": True, "false": False, "null": None}
_TOO_DEEP = f"expression recursion limit exceeded: {DEPTH_MAX}"
_SINGLE = {"all": (2, 2), "exists": (2, 2), "exists_one": (2, 2), "existsOne": (2, 2), "map": (2, 3), "filter": (2, 2)}
_DOUBLE = {
    "all": (3, 3), "exists": (3, 3), "exists_one": (3, 3), "existsOne": (3, 3),
    "transformList": (3, 4), "transformMap": (3, 4), "transformMapEntry": (3, 4),
}  # fmt: skip
"""Macro -> fewest and most arguments."""


def parse(source: str) -> Node:
    """Raises SyntaxFault."""
    return _Parser(tokens(source)).whole()


class _Parser:
    def __init__(self, found: list[Token]) -> None:
        self._tokens = found
        self._position = 0
        self._nested = 0

    def whole(self) -> Node:
        node = self._expression()
        if self._next.kind != "end":
            raise self._unexpected("<EOF>")
        return node

    # Levels of precedence, loosest first

    def _expression(self) -> Node:
        self._nested += 1
        if self._nested > DEPTH_MAX:
            raise SyntaxFault(self._next.at, _TOO_DEEP)
        node = self._climb(1)
        if self._is("?"):
            mark = self._take().at
            yes = self._climb(1)
            self._expect(":")
            node = self._kept(Conditional(mark, node, yes, self._expression()))
        self._nested -= 1
        return node

    def _climb(self, loosest: int) -> Node:
        """Operators that bind at least as tight as `loosest`."""
        node = self._unary()
        while True:
            token = self._next
            level = _LEVELS.get(token.text, 0) if token.kind in ("symbol", "name") else 0
            if level < loosest:
                return node
            self._take()
            right = self._climb(level + 1)
            operator = "@in" if token.text == "in" else f"_{token.text}_"
            if level > _LOGICAL_LEVEL:
                node = Call(token.at, operator, [node, right])
            elif isinstance(node, Logical) and node.operator == operator:
                node.add(token.at, right)
            else:
                node = Logical(operator, [node, right], [token.at])
            self._kept(node)

    def _unary(self) -> Node:
        token = self._next
        if not (self._is("!") or self._is("-")):
            return self._member()
        count = 0
        while self._is(token.text):
            self._take()
            count += 1
        if token.text == "-" and count == 1 and self._next.kind == "literal" and type(self._next.value) in (int, float):
            return self._negative(token)
        node = self._member()
        return node if count % 2 == 0 else self._kept(Call(token.at, f"{token.text}_", [node]))

    def _negative(self, sign: Token) -> Node:
        """A sign belongs to its number, so that the smallest int can be written."""
        number = self._tokens[self._position]
        self._tokens[self._position] = Token("literal", sign.text + number.text, sign.at, -number.value)
        return self._member()

    def _member(self) -> Node:
        node = self._primary()
        while True:
            if self._is("."):
                node = self._selection(node)
            elif self._is("["):
                mark = self._take().at
                optional = self._accept("?")
                index = self._expression()
                self._expect("]")
                node = self._kept(Call(mark, "_[?_]" if optional else "_[_]", [node, index]))
            elif self._is("{") and (name := qualified_name(node)):
                node = self._struct(node, name)
            else:
                return node

    def _selection(self, operand: Node) -> Node:
        dot = self._take().at
        optional = self._accept("?")
        token = self._next
        if token.kind != "name":
            raise self._unexpected("IDENTIFIER")
        self._take()
        if not self._is("(") or optional:
            return self._kept(Select(dot, operand, token.text, optional=optional))
        mark = self._take().at
        arguments = self._list(")")[0]
        return self._kept(self._macro(mark, token.text, operand, arguments) or Call(mark, token.text, arguments, operand))

    def _primary(self) -> Node:
        token = self._next
        if token.kind == "literal":
            self._take()
            if type(token.value) is int and token.value > INT_MAX:
                raise SyntaxFault(token.at, "invalid int literal")
            return Literal(token.at, token.value)
        if token.kind == "name" or (self._is(".") and self._tokens[self._position + 1].kind == "name"):
            return self._name()
        if self._accept("("):
            node = self._expression()
            self._expect(")")
            return node
        if self._accept("["):
            items, optional = self._list("]")
            return self._kept(ListLiteral(token.at, items, optional))
        if self._accept("{"):
            return self._map(token.at)
        raise self._unexpected(
            "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
        )

    def _name(self) -> Node:
        leading = "." if self._accept(".") else ""
        token = self._take()
        if token.text in _CONSTANTS:
            return Literal(token.at, _CONSTANTS[token.text])
        if token.text == "in":
            raise SyntaxFault(token.at, f"Syntax error: mismatched input '{token.text}' expecting IDENTIFIER")
        if not self._is("("):
            if token.text in RESERVED:
                raise SyntaxFault(token.at, f"reserved identifier: {token.text}")
            return Identifier(token.at, leading + token.text)
        mark = self._take().at
        arguments = self._list(")")[0]
        if token.text == "has" and len(arguments) == 1:
            field = arguments[0]
            if not isinstance(field, Select) or field.test:
                raise SyntaxFault(field.at, "invalid argument to has() macro")
            return Select(field.at, field.operand, field.field, test=True, optional=field.optional)
        return self._kept(Call(mark, leading + token.text, arguments))

    # Aggregates

    def _list(self, closing: str) -> tuple[list[Node], frozenset[int]]:
        items: list[Node] = []
        optional: set[int] = set()
        while not self._is(closing):
            if closing == "]" and self._accept("?"):
                optional.add(len(items))
            items.append(self._expression())
            if not self._accept(","):
                break
            if self._is(closing) and closing == ")":
                raise self._unexpected("an expression")
        self._expect(closing)
        return items, frozenset(optional)

    def _map(self, at: int) -> Node:
        entries: list[tuple[Node, Node]] = []
        optional: set[int] = set()
        while not self._is("}"):
            if self._accept("?"):
                optional.add(len(entries))
            key = self._expression()
            self._expect(":")
            entries.append((key, self._expression()))
            if not self._accept(","):
                break
        self._expect("}")
        return self._kept(MapLiteral(at, entries, frozenset(optional)))

    def _struct(self, node: Node, name: str) -> Node:
        at = self._take().at
        fields: list[tuple[int, str, Node]] = []
        optional: set[int] = set()
        while not self._is("}"):
            if self._accept("?"):
                optional.add(len(fields))
            token = self._take()
            if token.kind != "name":
                raise SyntaxFault(token.at, f"Syntax error: mismatched input '{token.text}' expecting IDENTIFIER")
            mark = self._expect(":").at
            fields.append((mark, token.text, self._expression()))
            if not self._accept(","):
                break
        self._expect("}")
        return self._kept(Struct(at, name, fields, frozenset(optional)))

    # Macros

    def _macro(self, mark: int, name: str, target: Node, arguments: list[Node]) -> Node | None:
        """The macro that the call is, None when it is a plain call."""
        count = len(arguments)
        if name in ("optMap", "optFlatMap") and count == 2:
            variable = self._variable(arguments[0], f"{name}() variable name must be a simple identifier")
            return OptionalMap(mark, target, variable, arguments[1], name == "optFlatMap")
        if name == "bind" and count == 3 and isinstance(target, Identifier) and target.name == "cel":
            variable = self._variable(arguments[0], "cel.bind() variable names must be simple identifiers")
            return Bind(mark, variable, arguments[1], arguments[2])
        if name == "sortBy" and count == 2:
            return self._sort_by(mark, target, arguments)
        fewest, most = _DOUBLE.get(name, (0, -1))
        if fewest <= count <= most:
            second = self._variable(arguments[1], "argument must be a simple name")
            return self._comprehension(mark, name, target, arguments, second, arguments[2:])
        fewest, most = _SINGLE.get(name, (0, -1))
        if fewest <= count <= most:
            return self._comprehension(mark, name, target, arguments, "", arguments[1:])
        return None

    def _comprehension(self, mark: int, name: str, target: Node, arguments: list[Node], second: str, rest: list[Node]) -> Node:
        first = self._variable(arguments[0], "argument must be a simple name")
        if first == second:
            raise SyntaxFault(arguments[1].at, f"duplicate variable name: {first}")
        macro = {"existsOne": "exists_one", "transformList": "map"}.get(name, name)
        where = rest[0] if len(rest) == 2 else None
        return Comprehension(mark, macro, target, first, second, where, rest[-1])

    def _sort_by(self, mark: int, target: Node, arguments: list[Node]) -> Node:
        variable = self._variable(arguments[0], "argument must be a simple name")
        keys = Comprehension(mark, "map", Identifier(mark, "@list"), variable, "", None, arguments[1])
        return Bind(mark, "@list", target, Call(mark, "@sort_by", [Identifier(mark, "@list"), keys]))

    def _variable(self, node: Node, message: str) -> str:
        if not isinstance(node, Identifier) or node.name.startswith("."):
            raise SyntaxFault(node.at, message)
        return node.name

    # Tokens

    @property
    def _next(self) -> Token:
        return self._tokens[self._position]

    def _is(self, symbol: str) -> bool:
        token = self._tokens[self._position]
        return token.text == symbol and token.kind == "symbol"

    def _take(self) -> Token:
        token = self._tokens[self._position]
        if token.kind != "end":
            self._position += 1
        return token

    def _accept(self, symbol: str) -> bool:
        if self._is(symbol):
            self._position += 1
            return True
        return False

    def _expect(self, symbol: str) -> Token:
        if not self._is(symbol):
            raise self._unexpected(f"'{symbol}'")
        return self._take()

    def _unexpected(self, expected: str) -> SyntaxFault:
        return SyntaxFault(self._next.at, f"Syntax error: mismatched input '{self._next.text}' expecting {expected}")

    def _kept(self, node: Node) -> Node:
        if node.depth > DEPTH_MAX:
            raise SyntaxFault(node.at, _TOO_DEEP)
        return node


def qualified_name(node: Node) -> str:
    """`a.b.c` of a chain of plain selections, empty for anything else."""
    parts: list[str] = []
    while isinstance(node, Select) and not node.test and not node.optional:
        parts.append(node.field)
        node = node.operand
    return ".".join([node.name, *reversed(parts)]) if isinstance(node, Identifier) else ""
