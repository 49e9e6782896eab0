"""Tokens to nodes: one text gives a body and the templates it defines.

Bounds: TEXT_CHARS_MAX, NESTING_MAX (blocks and parentheses). Errors carry Go's words and the line.

Source: Go's text/template/parse (grammar in the comments of its parser).
"""

from collections.abc import Container

from podium.telemetry.metrics.templates import lexer as lex
from podium.telemetry.metrics.templates import nodes
from podium.telemetry.metrics.templates.errors import TemplateError
from podium.telemetry.metrics.templates.lexer import Lexer, Token
from podium.telemetry.metrics.templates.numbers import parse_number
from podium.telemetry.metrics.templates.quoting import quote, unquote

TEXT_CHARS_MAX = 1024 * 1024
NESTING_MAX = 60

_OPERANDS = (lex.BOOL, lex.CHARACTER, lex.FIELD, lex.IDENTIFIER, lex.NUMBER, lex.STRING, lex.VARIABLE, lex.OPEN)
_ENDS = ("end", "else")


class Parser:
    def __init__(self, name: str, text: str, functions: Container[str]) -> None:
        """`functions` are the names that may be called."""
        self._source = nodes.Source(name, text)
        if len(text) > TEXT_CHARS_MAX:
            raise TemplateError(f"template: {name}: the text is longer than {TEXT_CHARS_MAX} characters")
        self._functions = functions
        own_words = frozenset(word for word in ("break", "continue") if word in functions)
        self._tokens = Lexer(text, own_words).tokens()
        self._next = 0
        self._variables: list[str] = ["$"]
        self._nesting = self._ranges = 0
        self._action_line = 0
        self._definitions: dict[str, nodes.Body] = {}

    def parse(self) -> tuple[nodes.Body, dict[str, nodes.Body]]:
        """The text's own body, and the bodies it defines by name. Raises TemplateError."""
        body: list[nodes.Node] = []
        while (token := self._peek()).type != lex.EOF:
            if token.type == lex.LEFT and self._is_definition():
                self._definition()
                continue
            node = self._text_or_action()
            if isinstance(node, _End):
                raise self._error(f"unexpected {node}")
            body.append(node)
        return tuple(body), self._definitions

    # -- tokens

    def _peek(self) -> Token:
        return self._tokens[min(self._next, len(self._tokens) - 1)]

    def _take(self) -> Token:
        token = self._peek()
        self._next = min(self._next + 1, len(self._tokens))
        return token

    def _peek_word(self) -> Token:
        while (token := self._peek()).type == lex.SPACE:
            self._next += 1
        return token

    def _take_word(self) -> Token:
        self._peek_word()
        return self._take()

    def _error(self, message: str) -> TemplateError:
        line = self._tokens[max(min(self._next, len(self._tokens)) - 1, 0)].line
        return TemplateError(f"template: {self._source.name}:{line}: {message}", line)

    def _unexpected(self, token: Token, context: str) -> TemplateError:
        if token.type != lex.ERROR:
            return self._error(f"unexpected {token} in {context}")
        extra = ""
        if self._action_line and self._action_line != token.line:
            extra = f" in action started at {self._source.name}:{self._action_line}"
            if token.value.endswith(" action"):
                extra = extra[len(" in action") :]
        return self._error(f"{token}{extra}")

    def _expect(self, kinds: tuple[str, ...], context: str) -> Token:
        token = self._take_word()
        if token.type not in kinds:
            raise self._unexpected(token, context)
        return token

    def _is_word(self, token: Token, *words: str) -> bool:
        return token.type == lex.KEYWORD and token.value in words

    # -- structure

    def _is_definition(self) -> bool:
        following = self._next + 1
        while following < len(self._tokens) and self._tokens[following].type == lex.SPACE:
            following += 1
        return following < len(self._tokens) and self._is_word(self._tokens[following], "define")

    def _definition(self) -> None:
        self._take()
        self._take_word()
        token = self._expect((lex.STRING,), "define clause")
        name = self._unquoted(token)
        self._expect((lex.RIGHT,), "define clause")
        self._define(name, self._scoped_body("define clause"))

    def _scoped_body(self, context: str) -> nodes.Body:
        """A definition's: it sees no variable but $."""
        variables, ranges = self._variables, self._ranges
        self._variables, self._ranges = ["$"], 0
        body, end = self._list()
        if end.keyword != "end":
            raise self._error(f"unexpected {end} in {context}")
        self._variables, self._ranges = variables, ranges
        return body

    def _define(self, name: str, body: nodes.Body) -> None:
        before = self._definitions.get(name)
        if before is None or nodes.is_empty(before):
            self._definitions[name] = body
        elif not nodes.is_empty(body):
            raise self._error(f"template: multiple definition of template {quote(name)}")

    def _list(self) -> "tuple[nodes.Body, _End]":
        """Up to its end or else, which is returned too."""
        self._nesting += 1
        if self._nesting > NESTING_MAX:
            raise self._error(f"nested deeper than {NESTING_MAX}")
        body: list[nodes.Node] = []
        while self._peek_word().type != lex.EOF:
            node = self._text_or_action()
            if isinstance(node, _End):
                self._nesting -= 1
                return tuple(body), node
            body.append(node)
        self._take()
        raise self._error("unexpected EOF")

    def _text_or_action(self) -> nodes.Node:
        token = self._take_word()
        if token.type == lex.TEXT:
            return nodes.Text(self._source, token.position, token.value)
        if token.type != lex.LEFT:
            raise self._unexpected(token, "input")
        self._action_line = token.line
        node = self._action()
        self._action_line = 0
        return node

    def _action(self) -> nodes.Node:
        token = self._take_word()
        if token.type == lex.KEYWORD:
            match token.value:
                case "block":
                    return self._block()
                case "break" | "continue":
                    return self._jump(token)
                case "else" | "end":
                    return self._end(token)
                case "if" | "range" | "with":
                    return self._branch(token.value)
                case "template":
                    return self._call()
        self._next -= 1
        pipe = self._pipe("command", lex.RIGHT)
        return nodes.Action(self._source, token.position, pipe)

    def _jump(self, token: Token) -> nodes.Node:
        braces = "{{" + token.value + "}}"
        end = self._take_word()
        if end.type != lex.RIGHT:
            raise self._unexpected(end, braces)
        if not self._ranges:
            raise self._error(braces + " outside {{range}}")
        return nodes.Jump(self._source, token.position, token.value)

    def _end(self, token: Token) -> "_End":
        if token.value == "else" and self._is_word(self._peek_word(), "if", "with"):
            return _End(self._source, token.position, "else")
        self._expect((lex.RIGHT,), token.value)
        return _End(self._source, token.position, token.value)

    def _branch(self, keyword: str) -> nodes.Branch:
        known = len(self._variables)
        pipe = self._pipe(keyword, lex.RIGHT)
        self._ranges += keyword == "range"
        body, end = self._list()
        self._ranges -= keyword == "range"
        otherwise: nodes.Body | None = None
        if end.keyword == "else":
            if keyword != "range" and self._is_word(self._peek_word(), keyword):
                self._take_word()
                self._nesting += 1
                if self._nesting > NESTING_MAX:
                    raise self._error(f"nested deeper than {NESTING_MAX}")
                otherwise = (self._branch(keyword),)
                self._nesting -= 1
            else:
                otherwise, end = self._list()
                if end.keyword != "end":
                    raise self._error(f"expected end; found {end}")
        del self._variables[known:]
        return nodes.Branch(self._source, pipe.position, keyword, pipe, body, otherwise)

    def _block(self) -> nodes.Call:
        token = self._take_word()
        name = self._template_name(token, "block clause")
        pipe = self._pipe("block clause", lex.RIGHT)
        self._define(name, self._scoped_body("block clause"))
        return nodes.Call(self._source, token.position, name, pipe)

    def _call(self) -> nodes.Call:
        token = self._take_word()
        name = self._template_name(token, "template clause")
        pipe = None
        if self._take_word().type != lex.RIGHT:
            self._next -= 1
            pipe = self._pipe("template clause", lex.RIGHT)
        return nodes.Call(self._source, token.position, name, pipe)

    def _template_name(self, token: Token, context: str) -> str:
        if token.type != lex.STRING:
            raise self._unexpected(token, context)
        return self._unquoted(token)

    def _unquoted(self, token: Token) -> str:
        try:
            return unquote(token.value)
        except ValueError as error:
            raise self._error(str(error)) from error

    # -- pipelines

    def _pipe(self, context: str, end: str) -> nodes.Pipe:
        start = self._peek_word()
        declared, is_assignment = self._declarations(context)
        commands: list[nodes.Command] = []
        while True:
            token = self._take_word()
            if token.type == end:
                break
            if token.type not in _OPERANDS and token.value not in (".", "nil"):
                raise self._unexpected(token, context)
            self._next -= 1
            commands.append(self._command())
        if not commands:
            raise self._error(f"missing value for {context}")
        for number, command in enumerate(commands[1:], 2):
            if isinstance(command.arguments[0], nodes.Literal | nodes.Dot | nodes.Nil):
                raise self._error(f"non executable command in pipeline stage {number}")
        return nodes.Pipe(self._source, start.position, declared, is_assignment, tuple(commands))

    def _declarations(self, context: str) -> tuple[tuple[nodes.Variable, ...], bool]:
        declared: list[nodes.Variable] = []
        while (variable := self._peek_word()).type == lex.VARIABLE:
            before = self._next
            self._take()
            following = self._peek_word()
            if following.type in (lex.ASSIGN, lex.DECLARE):
                self._take_word()
                self._declare(declared, variable)
                return tuple(declared), following.type == lex.ASSIGN
            if following.value != ",":
                self._next = before
                break
            self._take_word()
            self._declare(declared, variable)
            if context != "range" or len(declared) >= 2:
                raise self._error(f"too many declarations in {context}")
            if self._peek_word().type not in (lex.VARIABLE, lex.RIGHT, lex.CLOSE):
                raise self._error("range can only initialize variables")
        return tuple(declared), False

    def _declare(self, declared: list[nodes.Variable], token: Token) -> None:
        declared.append(nodes.Variable(self._source, token.position, token.value))
        self._variables.append(token.value)

    def _command(self) -> nodes.Command:
        position = self._peek_word().position
        arguments: list[nodes.Node] = []
        while True:
            self._peek_word()
            operand = self._operand()
            if operand is not None:
                arguments.append(operand)
            token = self._take()
            if token.type == lex.SPACE:
                continue
            if token.type in (lex.RIGHT, lex.CLOSE):
                self._next -= 1
            elif token.type != lex.PIPE:
                raise self._unexpected(token, "operand")
            break
        if not arguments:
            raise self._error("empty command")
        return nodes.Command(self._source, position, tuple(arguments))

    def _operand(self) -> nodes.Node | None:
        term = self._term()
        if term is None or self._peek().type != lex.FIELD or self._peek().value == ".":
            return term
        position = self._peek().position
        names: list[str] = []
        while self._peek().type == lex.FIELD and self._peek().value != ".":
            names.append(self._take().value[1:])
        match term:
            case nodes.Field():
                return nodes.Field(self._source, position, (*term.names, *names))
            case nodes.Variable():
                return nodes.Variable(self._source, position, term.name, (*term.fields, *names))
            case nodes.Literal() | nodes.Nil() | nodes.Dot():
                raise self._error(f"unexpected . after term {quote(str(term))}")
        return nodes.Chain(self._source, position, term, tuple(names))

    def _term(self) -> nodes.Node | None:
        token = self._take_word()
        source, at = self._source, token.position
        match token.type:
            case lex.IDENTIFIER:
                if token.value not in self._functions:
                    raise self._error(f"function {quote(token.value)} not defined")
                return nodes.Identifier(source, at, token.value)
            case lex.FIELD:
                return nodes.Dot(source, at) if token.value == "." else nodes.Field(source, at, (token.value[1:],))
            case lex.VARIABLE:
                if token.value not in self._variables:
                    raise self._error(f"undefined variable {quote(token.value)}")
                return nodes.Variable(source, at, token.value)
            case lex.BOOL:
                return nodes.Literal(source, at, token.value, token.value == "true")
            case lex.NUMBER | lex.CHARACTER:
                return self._number(token)
            case lex.STRING:
                return nodes.Literal(source, at, token.value, self._unquoted(token))
            case lex.OPEN:
                self._nesting += 1
                if self._nesting > NESTING_MAX:
                    raise self._error("max expression depth exceeded")
                pipe = self._pipe("parenthesized pipeline", lex.CLOSE)
                self._nesting -= 1
                return pipe
        if self._is_word(token, "nil"):
            return nodes.Nil(source, at)
        self._next -= 1
        return None

    def _number(self, token: Token) -> nodes.Literal:
        try:
            value, is_int, is_float = parse_number(token.value)
        except ValueError as error:
            raise self._error(str(error)) from error
        return nodes.Literal(self._source, token.position, token.value, value, is_int, is_float)


class _End(nodes.Jump):
    """The {{end}} or {{else}} of a list; never part of a body."""

    __slots__ = ()

    def __str__(self) -> str:
        return "{{" + self.keyword + "}}"
