"""The data and functions of cases.jsonl, whose outputs and errors are what Go 1.26 gives for the same ones."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from podium.telemetry.metrics.templates.errors import FunctionError
from podium.telemetry.metrics.templates.values import Safe


class StringMap(dict):  # type: ignore[type-arg]
    template_type = "map[string]string"
    template_missing = ""


class KV(StringMap):
    template_type = "main.KV"
    template_names: ClassVar = {"Size": "size"}

    def size(self) -> int:
        return len(self)


class Strings(list):  # type: ignore[type-arg]
    template_type = "[]string"


@dataclass
class Person:
    name: str = ""
    count: int = 0
    ratio: float = 0.0
    tags: Strings = field(default_factory=Strings)
    inner: Any = None
    m: StringMap = field(default_factory=StringMap)
    secret: str = "hidden"

    template_type = "*main.S"
    template_names: ClassVar = {
        "Name": "name", "Count": "count", "Ratio": "ratio", "Tags": "tags", "Inner": "inner", "M": "m", "Greet": "greet", "Fail": "fail",
    }  # fmt: skip

    def greet(self, who: str) -> str:
        return f"hi {who} from {self.name}"

    def fail(self) -> str:
        raise FunctionError("it failed")


DATA = {
    "name": "Ann <b>", "n": 3, "neg": -7, "f": 2.5, "big": 1e7, "yes": True, "no": False, "nil": None, "empty": "",
    "list": [1, "two", 3.0, None], "ints": [3, 1, 2], "map": {"b": 2, "a": 1, "c": {"d": "deep"}}, "kv": KV(job="api", env="prod"),
    "s": Person("sue", 2, 0.5, Strings(["x", "y"]), Person("in"), StringMap(k="v")), "uni": "héllo wörld €",
    "url": "http://x/?a=b&c=d e", "bad": "javascript:alert(1)", "q": "it's \"q\" `b` \\ \n\t\x01",
}  # fmt: skip


def _fail() -> str:
    raise FunctionError("boom")


def _upper(text: str) -> str:
    return text.upper()


def _join(separator: str, parts: list[str]) -> str:
    return separator.join(parts)


def _add(a: float, b: float) -> float:
    return a + b


def _add_int(a: int, b: int) -> int:
    return a + b


def _strings(*parts: str) -> Strings:
    return Strings(parts)


def _any(value: Any) -> Any:
    return value


def _safe_html(text: str) -> Safe:
    return Safe(text)


def _safe_url(text: str) -> Safe:
    return Safe(text, "url")


FUNCTIONS = {
    "toUpper": _upper, "join": _join, "add": _add, "addi": _add_int, "fail": _fail, "safeHtml": _safe_html, "safeUrl": _safe_url,
    "stringSlice": _strings, "any": _any,
}  # fmt: skip
