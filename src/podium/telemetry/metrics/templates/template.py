"""Templates as others use them: a set of named templates, and one template on its own.

    Template.parse("alert", "{{ .Labels.job | toUpper }}", {"toUpper": to_upper}).execute({"Labels": {"job": "api"}})

    set = TemplateSet({"toUpper": to_upper}, missing_key="zero")
    set.add("default.tmpl", text)        # what it defines; a later definition of a name replaces an earlier one
    set.render('{{ template "slack.default.text" . }}', data)
    set.render(text, data, html=True)    # with html/template's contextual escaping

Data are Python values as values.py describes. Functions take positional arguments; their annotations (str, int, float, bool, list) are
checked as Go checks parameters. `functions` of `execute` and `render` replace those of the same name for this one execution.

Deliberately absent: complex numbers, other delimiters, actions inside <script> and <style> elements (html only); all refused by name.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from podium.telemetry.metrics.templates import nodes
from podium.telemetry.metrics.templates.errors import TemplateError
from podium.telemetry.metrics.templates.execution import Budget, Execution, PlainSink
from podium.telemetry.metrics.templates.functions import BUILTINS
from podium.telemetry.metrics.templates.html_context import HTML_FUNCTIONS, HtmlSink
from podium.telemetry.metrics.templates.parser import Parser
from podium.telemetry.metrics.templates.quoting import quote
from podium.telemetry.metrics.templates.values import Function

FunctionMap = Mapping[str, "Callable[..., Any] | Function"]

_ALONE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Halves of characters, which YAML's escapes can make, but those that stand for bytes."""


def _whole(text: str) -> str:
    return text if text.isascii() else _ALONE.sub("\ufffd", text)


class TemplateSet:
    """Named templates that may call one another.

    `missing_key` says what `.key` of a map without that key gives: "default" (`<no value>`), "zero" (the zero of the map's type), "error".
    """

    def __init__(self, functions: FunctionMap | None = None, *, missing_key: str = "default") -> None:
        assert missing_key in ("default", "zero", "error")
        self.functions: dict[str, Callable[..., Any] | Function] = dict(functions or {})
        self.missing_key = missing_key
        self._bodies: dict[str, nodes.Body] = {}

    def add(self, name: str, text: str) -> None:
        """Parses `text` as template `name`, with all that it defines. An empty definition replaces nothing. Raises TemplateError."""
        body, definitions = Parser(name, _whole(text), self._names()).parse()
        for defined, its_body in {**definitions, name: body}.items():
            if defined not in self._bodies or not nodes.is_empty(its_body):
                self._bodies[defined] = its_body

    def clone(self) -> "TemplateSet":
        copy = TemplateSet(self.functions, missing_key=self.missing_key)
        copy._bodies = dict(self._bodies)
        return copy

    def names(self) -> list[str]:
        return sorted(self._bodies)

    def execute(self, name: str, data: Any, functions: FunctionMap | None = None, *, html: bool = False) -> str:
        """Raises TemplateError."""
        body = self._bodies.get(name)
        if body is None:
            raise TemplateError(f"template: no template {quote(name)} associated with template {quote(name)}")
        return self._run(name, body, self._bodies, data, functions, html)

    def render(self, text: str, data: Any, functions: FunctionMap | None = None, *, name: str = "", html: bool = False) -> str:
        """Parses and executes `text`, which may call the set's templates and define its own, without adding to the set."""
        text = _whole(text)
        if "{{" not in text:
            return text
        body, definitions = Parser(name, text, self._names()).parse()
        return self._run(name, body, {**self._bodies, **definitions} if definitions else self._bodies, data, functions, html)

    def _names(self) -> dict[str, object]:
        return {**BUILTINS, **self.functions}

    def _run(
        self, name: str, body: nodes.Body, bodies: Mapping[str, nodes.Body], data: Any, functions: FunctionMap | None, html: bool
    ) -> str:
        sink = HtmlSink() if html else PlainSink()
        known: FunctionMap = {**self.functions, **functions} if functions else self.functions
        if html:
            known = {**HTML_FUNCTIONS, **known}
        execution = Execution(name, bodies, known, sink, self.missing_key, Budget())
        try:
            execution.run(body, data)
        except RecursionError as error:
            raise TemplateError(f"template: {name}: nested too deeply") from error
        if isinstance(sink, HtmlSink):
            sink.finish(name)
        return _whole("".join(sink.parts)).encode(errors="surrogateescape").decode(errors="replace")


class Template:
    """One parsed text with what it defines."""

    def __init__(self, name: str, templates: TemplateSet) -> None:
        self.name = name
        self.templates = templates

    @classmethod
    def parse(cls, name: str, text: str, functions: FunctionMap | None = None, *, missing_key: str = "default") -> "Template":
        """Raises TemplateError with the line."""
        templates = TemplateSet(functions, missing_key=missing_key)
        templates.add(name, text)
        return cls(name, templates)

    def execute(self, data: Any, functions: FunctionMap | None = None, *, html: bool = False) -> str:
        """Raises TemplateError."""
        return self.templates.execute(self.name, data, functions, html=html)
