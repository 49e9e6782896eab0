"""Checks lengths: a file over 600 lines is two things, and so is a function over 70.

    python tools/check_lengths.py [FOLDER...]

Comments and docstrings count: what needs that much explanation is too long as well.
"""

import ast
import sys
from pathlib import Path

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70

EXCEPTIONS: dict[str, str] = {}
"""`path` or `path::function`, as printed, to the reason why it stays as it is."""

ROOT = Path(__file__).parents[1]
FOLDERS = ("src", "tests", "tools", "bench", "examples")


def check(root: Path, folders: tuple[str, ...] = FOLDERS, exceptions: dict[str, str] = EXCEPTIONS) -> list[str]:
    """One line for each breach, and for each exception that is not needed any more."""
    breaches: list[str] = []
    unused = dict(exceptions)
    for path in sorted(p for folder in folders for p in (root / folder).rglob("*.py") if "generated" not in p.parts):
        source = path.read_bytes()
        name = path.relative_to(root).as_posix()
        found = [(name, 1, source.count(b"\n"), FILE_LINES_MAX)]
        if found[0][2] > FUNCTION_LINES_MAX:
            found += [(f"{name}::{f}", line, length, FUNCTION_LINES_MAX) for f, line, length in functions(source, str(path))]
        for what, line, length, most in found:
            if length <= most:
                continue
            if unused.pop(what, None) is None and what not in exceptions:
                breaches.append(f"{name}:{line}: {what.rpartition('::')[2]} has {length} lines, at most {most}: it is two things; split it")
    breaches += [f"{what}: the exception ({reason}) is not needed any more: delete it" for what, reason in unused.items()]
    return breaches


def functions(source: bytes, filename: str) -> list[tuple[str, int, int]]:
    """(name, first line, lines) of each function, without its decorators."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return [
        (n.name, n.lineno, (n.end_lineno or n.lineno) - n.lineno + 1) for n in ast.walk(ast.parse(source, filename)) if isinstance(n, kinds)
    ]


def main(arguments: list[str]) -> int:
    breaches = check(ROOT, tuple(arguments) or FOLDERS)
    for breach in breaches:
        print(breach)
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
