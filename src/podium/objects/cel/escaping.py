"""Escaping: how a field whose name is no identifier is written in an expression.

Source: k8s.io/apiserver pkg/cel/escaping.go.
"""

import re
from functools import lru_cache

_RESERVED = frozenset({
    "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package",
    "namespace", "return", "var", "void", "while",
})  # fmt: skip
_SYMBOLS = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}
_NAME = re.compile(r"[a-zA-Z_.\-/][a-zA-Z0-9_.\-/]*")
_PARTS = re.compile(r"__|[.\-/]")


@lru_cache(maxsize=4096)
def escape(name: str) -> str | None:
    """`a-b` is written `a__dash__b`, `in` `__in__`; None when there is no way."""
    if name in _RESERVED:
        return f"__{name}__"
    if not _NAME.fullmatch(name):
        return None
    return _PARTS.sub(lambda m: _SYMBOLS[m[0]], name)
