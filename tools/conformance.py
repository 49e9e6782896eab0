"""Writes docs/conformance.md: which behaviours of the conformance suite a test of ours shows.

    python tools/conformance.py [--check]

The behaviours are listed in tests/conformance/behaviours.txt by what they need; those that need containers are not in the table. Tests name
what they show: `@pytest.mark.conformance("NAME")`, NAME with or without its ending ` [Conformance]`, on a function or on one row of a table
(`pytest.param(..., id="x", marks=pytest.mark.conformance("NAME"))`, the table in the decorator or in a variable of the module).
`shows = pytest.mark.conformance` may stand for it. The marks are read from the source: nothing is imported or run. --check fails when the
file is not what it would be.
"""

import ast
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
BEHAVIOURS = ROOT / "tests/conformance/behaviours.txt"
TABLE = ROOT / "docs/conformance.md"
SUFFIX = " [Conformance]"
WITH_CONTAINERS = "with containers"
_HEAD = """# Conformance

<!-- Written by `make conformance` (tools/conformance.py) from the tests' marks. Do not edit. -->

What a certified cluster must do, by the names of the upstream suite's tests, as far as no real containers are needed, and the test of ours
that shows it.
"""


def behaviours(text: str) -> dict[str, list[str]]:
    """Section -> the names in it, without their common ending."""
    sections: dict[str, list[str]] = {}
    names: list[str] = []
    for line in text.splitlines():
        if line.startswith("## "):
            names = sections[line[3:]] = []
        elif line and not line.startswith("#"):
            names.append(line)
    return sections


def marked(path: Path) -> Iterator[tuple[str, str]]:
    """(name of a behaviour, id of the test that shows it) of one file."""
    source = path.read_text()
    if "mark.conformance" not in source:
        return
    tree = ast.parse(source)
    file = path.relative_to(ROOT).as_posix()
    tables = _variables(tree)
    alias = {name for name, value in tables.items() if isinstance(value, ast.Attribute) and value.attr == "conformance"}
    for function in (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)):
        for decorator in function.decorator_list:
            used = [tables[n.id] for n in ast.walk(decorator) if isinstance(n, ast.Name) and n.id in tables]
            for name, row in _marks([decorator, *used], alias, tables):
                yield name, f"{file}::{function.name}" + (f"[{row}]" if row else "")


def _variables(tree: ast.Module) -> dict[str, ast.expr]:
    """Those of the module, and those that it imports from other tests."""
    found: dict[str, ast.expr] = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests."):
            path = ROOT / (str(node.module).replace(".", "/") + ".py")
            theirs = _variables(ast.parse(path.read_text())) if path.exists() else {}
            found |= {a.asname or a.name: theirs[a.name] for a in node.names if a.name in theirs}
            found |= {name: value for name, value in theirs.items() if name not in found}  # what theirs are made of
        elif isinstance(node, ast.Assign):
            found |= {t.id: node.value for t in node.targets if isinstance(t, ast.Name)}
    return found


def _text(node: ast.expr, names: dict[str, ast.expr]) -> str:
    """A string, a name of one, or several added up. Raises SystemExit for anything else."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.Name) and node.id in names:
        return _text(names[node.id], names)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left, names) + _text(node.right, names)
    raise SystemExit(f"line {node.lineno}: the name of a behaviour must be text: {ast.unparse(node)}")


def _marks(nodes: Sequence[ast.AST], alias: set[str], names: dict[str, ast.expr], row: str = "") -> Iterator[tuple[str, str]]:
    """(name, id of the row or empty); `alias` are names that stand for the mark, `names` the variables of the module."""
    for node in nodes:
        inside = row
        if isinstance(node, ast.Call):
            function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if function == "conformance" or function in alias:
                yield from ((_text(a, names).removesuffix(SUFFIX), row) for a in node.args)
                continue
            if function == "param":
                ids = [k.value for k in node.keywords if k.arg == "id"]
                inside = str(ast.literal_eval(ids[0])) if ids else ""
        yield from _marks(list(ast.iter_child_nodes(node)), alias, names, inside)


def collect(tests: Path = ROOT / "tests") -> dict[str, list[str]]:
    """Name of a behaviour -> the tests that show it, in order of files."""
    found: dict[str, list[str]] = {}
    for path in sorted(tests.rglob("test_*.py")):
        for name, test in marked(path):
            found.setdefault(name, []).append(test)
    return found


def table(sections: dict[str, list[str]], shown: dict[str, list[str]]) -> str:
    """Raises SystemExit for a name that no behaviour has."""
    known = {name for names in sections.values() for name in names}
    if unknown := sorted(shown.keys() - known):
        raise SystemExit("no such behaviour:\n" + "\n".join(f"  {name}  ({', '.join(shown[name])})" for name in unknown))
    parts = [_HEAD]
    for section, names in sections.items():
        if section == WITH_CONTAINERS:
            continue
        parts.append(
            f"\n## {section.capitalize()}: {sum(n in shown for n in names)} of {len(names)}\n\n| behaviour | shown by |\n|---|---|\n"
        )
        parts += [f"| {_escaped(name)} | {_links(shown.get(name, []))} |\n" for name in names]
    return "".join(parts)


def _escaped(name: str) -> str:
    return name.replace("|", "\\|").replace("*", "\\*").replace("<", "\\<")


def _links(tests: list[str]) -> str:
    return "<br>".join(f"[{t.partition('::')[2]}](../{t.partition('::')[0]})" for t in tests) or "not yet"


def main() -> None:
    text = table(behaviours(BEHAVIOURS.read_text()), collect())
    if sys.argv[1:] == ["--check"]:
        if not TABLE.exists() or TABLE.read_text() != text:
            raise SystemExit("docs/conformance.md is stale: make conformance")
        return
    TABLE.write_text(text)


if __name__ == "__main__":
    main()
