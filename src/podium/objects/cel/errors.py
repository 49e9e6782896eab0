"""Errors of CEL: in the expression (compile time), in its evaluation (run time), and its cost.

Source: cel-go common/error.go (form of messages: place, source line, caret).
"""

from dataclasses import dataclass

SNIPPET_CHARS_MAX = 16 * 1024
"""A longer line is not shown."""
ISSUES_MAX = 100


@dataclass(frozen=True, slots=True)
class Issue:
    """`line` counts from 1, `column` from 0."""

    line: int
    column: int
    message: str

    def show(self, source: str) -> str:
        """`ERROR: <input>:1:7: ...` with the source line and a caret below."""
        lines = source.split("\n")
        text = lines[self.line - 1] if self.line <= len(lines) else ""
        if len(text) > SNIPPET_CHARS_MAX:
            return f"ERROR: <input>:{self.line}:{self.column + 1}: {self.message}"
        head = f"ERROR: <input>:{self.line}:{self.column + 1}: {self.message}"
        return f"{head}\n | {text}\n | {'.' * self.column}^"


class CelCompileError(Exception):
    """The expression is no expression, or its types do not fit. `message` is ready for the user; `line`, `column` those of the first issue
    (both from 1)."""

    def __init__(self, source: str, issues: list[Issue]) -> None:
        self.issues = sorted(issues, key=lambda i: (i.line, i.column))
        self.message = "\n".join(issue.show(source) for issue in self.issues)
        self.line = self.issues[0].line
        self.column = self.issues[0].column + 1
        super().__init__(self.message)


class CelRuntimeError(Exception):
    """The evaluation has no value: a missing key, an overflow, a type without such an operation."""

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)


class CostExceeded(CelRuntimeError):
    """The evaluation took more than its budget. Nothing absorbs it."""

    def __init__(self) -> None:
        super().__init__("operation cancelled: actual cost limit exceeded")


def no_such_overload() -> CelRuntimeError:
    return CelRuntimeError("no such overload")


def no_such_key(key: object) -> CelRuntimeError:
    return CelRuntimeError(f"no such key: {key}")
