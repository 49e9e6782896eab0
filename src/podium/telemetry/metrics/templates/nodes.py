"""The parsed template. `str(node)` is its text as Go prints it, which is what error messages show.

`position` is an index into the source's text. Invariant: nodes are never changed once parsed.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Source:
    """One parsed text. `name` is what errors call it."""

    name: str
    text: str

    def line(self, position: int) -> int:
        return 1 + self.text.count("\n", 0, position)

    def location(self, position: int) -> str:
        """`NAME:LINE:COLUMN`; the column counts bytes from 0."""
        before = self.text[:position].rpartition("\n")[2]
        return f"{self.name}:{self.line(position)}:{len(before.encode(errors='surrogateescape'))}"


@dataclass(frozen=True, slots=True)
class Node:
    source: Source
    position: int


@dataclass(frozen=True, slots=True)
class Text(Node):
    text: str


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A string, number, boolean or character. `text` as written; `value` str, bool, int or float; `is_int`, `is_float`: what a number may be."""

    text: str
    value: Any
    is_int: bool = False
    is_float: bool = False

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Nil(Node):
    def __str__(self) -> str:
        return "nil"


@dataclass(frozen=True, slots=True)
class Dot(Node):
    def __str__(self) -> str:
        return "."


@dataclass(frozen=True, slots=True)
class Identifier(Node):
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Field(Node):
    names: tuple[str, ...]

    def __str__(self) -> str:
        return "".join(f".{name}" for name in self.names)


@dataclass(frozen=True, slots=True)
class Variable(Node):
    """`name` with its dollar sign."""

    name: str
    fields: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ".".join((self.name, *self.fields))


@dataclass(frozen=True, slots=True)
class Chain(Node):
    """Fields of a parenthesised pipeline or of a function's result."""

    of: Node
    fields: tuple[str, ...]

    def __str__(self) -> str:
        inner = f"({self.of})" if isinstance(self.of, Pipe) else str(self.of)
        return inner + "".join(f".{name}" for name in self.fields)


@dataclass(frozen=True, slots=True)
class Command(Node):
    arguments: tuple[Node, ...]

    def __str__(self) -> str:
        return " ".join(f"({a})" if isinstance(a, Pipe) else str(a) for a in self.arguments)


@dataclass(frozen=True, slots=True)
class Pipe(Node):
    declared: tuple[Variable, ...]
    is_assignment: bool
    commands: tuple[Command, ...]

    def __str__(self) -> str:
        sign = " = " if self.is_assignment else " := "
        declared = ", ".join(map(str, self.declared)) + sign if self.declared else ""
        return declared + " | ".join(map(str, self.commands))


@dataclass(frozen=True, slots=True)
class Action(Node):
    pipe: Pipe

    def __str__(self) -> str:
        return "{{" + str(self.pipe) + "}}"


@dataclass(frozen=True, slots=True)
class Branch(Node):
    """`keyword` is if, with or range."""

    keyword: str
    pipe: Pipe
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...] | None

    def __str__(self) -> str:
        return "{{" + f"{self.keyword} {self.pipe}" + "}}"


@dataclass(frozen=True, slots=True)
class Jump(Node):
    """`keyword` is break or continue."""

    keyword: str

    def __str__(self) -> str:
        return "{{" + self.keyword + "}}"


@dataclass(frozen=True, slots=True)
class Call(Node):
    """`{{template "name" pipe}}`, also of a block."""

    name: str
    pipe: Pipe | None

    def __str__(self) -> str:
        from podium.telemetry.metrics.templates.quoting import quote

        return "{{template " + quote(self.name) + (f" {self.pipe}" if self.pipe else "") + "}}"


Body = tuple[Node, ...]


def is_empty(body: Body) -> bool:
    """Nothing but white space: such a definition never replaces another."""
    return all(isinstance(node, Text) and not node.text.strip() for node in body)
