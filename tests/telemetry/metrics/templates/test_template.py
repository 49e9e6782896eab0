"""Go's templates: the same output and the same errors as Go, and bounds that Go does not have."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.telemetry.metrics.templates.errors import TemplateError
from podium.telemetry.metrics.templates.template import Template, TemplateSet
from tests.telemetry.metrics.templates.sample import DATA, FUNCTIONS

CASES = [json.loads(line) for line in Path(__file__).with_name("cases.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["template"][:40])
def test_output_and_errors_are_go_s(case: dict[str, Any]) -> None:
    def run() -> str:
        template = Template.parse("t", case["template"], FUNCTIONS, missing_key=case.get("missing_key", "default"))
        return template.execute(DATA, html=case.get("html", False))

    if "error" in case:
        with pytest.raises(TemplateError) as raised:
            run()
        assert str(raised.value) == case["error"]
    else:
        assert run() == case["output"]


REFUSED = [
    ("{{.s.secret}}", '1:4: executing "t" at <.s.secret>: can\'t evaluate field secret in type *main.S'),
    ("{{.s.__class__}}", '1:4: executing "t" at <.s.__class__>: can\'t evaluate field __class__ in type *main.S'),
    ("{{.name.upper}}", '1:7: executing "t" at <.name.upper>: can\'t evaluate field upper in type string'),
    ("{{1i}}", '1: complex numbers are not supported: "1i"'),
    ("{{range 100000000}}{{end}}", '1:8: executing "t" at <{{range 100000000}}>: more than 1000000 steps'),
    ("{{if 1}}" * 100 + "{{end}}" * 100, "1: nested deeper than 60"),
    ("{{" + "(" * 100 + "1" + ")" * 100 + "}}", "1: max expression depth exceeded"),
    (
        '{{define "r"}}{{template "r"}}{{end}}{{template "r"}}',
        '1:25: executing "r" at <{{template "r"}}>: exceeded maximum template depth (60)',
    ),
    (
        '{{$x := "aaaaaaaaaa"}}{{range 30}}{{$x = print $x $x}}{{end}}',
        '1:41: executing "t" at <print>: the result of print is longer than 4194304 characters',
    ),
    (
        '{{range 100000}}{{$.name}}{{printf "%1000d" 1}}{{end}}',
        '1:28: executing "t" at <{{printf "%1000d" 1}}>: the output is longer than 4194304 characters',
    ),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=lambda text: text[:30])
def test_what_goes_too_far_is_an_error(text: str, message: str) -> None:
    with pytest.raises(TemplateError) as raised:
        Template.parse("t", text, FUNCTIONS).execute(DATA)
    assert str(raised.value) == f"template: t:{message}"


HTML_REFUSED = ["<script>{{.n}}</script>", "<style>{{.n}}</style>", '<b onclick="{{.n}}">']


@pytest.mark.parametrize("text", HTML_REFUSED)
def test_values_in_scripts_are_refused(text: str) -> None:
    with pytest.raises(TemplateError, match="is not supported"):
        Template.parse("t", text).execute(DATA, html=True)


def test_a_later_file_overrides_a_definition_and_an_empty_one_does_not() -> None:
    templates = TemplateSet(missing_key="zero")
    templates.add("default.tmpl", '{{define "a"}}first{{end}}{{define "b"}}kept{{end}}')
    templates.add("mine.tmpl", '{{define "a"}}second{{end}}{{define "b"}} {{end}}')
    assert templates.render('{{template "a"}} {{template "b"}}', {}) == "second kept"
    assert templates.names() == ["a", "b", "default.tmpl", "mine.tmpl"]


def test_what_a_rendered_text_defines_stays_its_own() -> None:
    templates = TemplateSet()
    assert templates.render('{{define "a"}}x{{end}}{{template "a"}}', {}) == "x"
    with pytest.raises(TemplateError, match='template "a" not defined'):
        templates.render('{{template "a"}}', {})


def test_functions_of_one_execution_replace_those_of_the_set() -> None:
    template = Template.parse("t", "{{ now }}", {"now": lambda: 1})
    assert [template.execute({}), template.execute({}, {"now": lambda: 2}), template.execute({})] == ["1", "2", "1"]


def test_half_a_character_is_shown_as_go_shows_what_is_none() -> None:
    assert TemplateSet().render("a\ud800", {}) == "a\ufffd"
    assert TemplateSet().render("\ud800{{ 1 }}\udfff", {}) == "\ufffd1\ufffd"
    with pytest.raises(TemplateError, match="template: :1:8: "):  # in bytes: it has three
        TemplateSet().render("\ud800{{ .x.y }}", {"x": 1})


def test_an_error_carries_its_line() -> None:
    with pytest.raises(TemplateError) as raised:
        Template.parse("t", "a\nb\n{{ nope }}")
    assert raised.value.line == 3


PIECES = ["{{", "}}", "{{-", "-}}", " ", ".", ".name", "$", "$x", ":=", "=", "|", "(", ")", '"', "`", "'a'", "1", "-2.5", "range", "if", "else",
          "end", "with", "define", "template", "block", '"t"', "break", "continue", "printf", '"%v"', "index", "eq", "nil", "true", ",", "/*", "*/",
          "<a href=", "<p>", "<!--", "-->", "\n", "é"]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.sampled_from(PIECES), max_size=25).map(" ".join) | st.lists(st.sampled_from(PIECES), max_size=25).map("".join),
    st.booleans(),
)
def test_any_text_gives_output_or_a_template_error(text: str, html: bool) -> None:
    try:
        Template.parse("t", text, FUNCTIONS).execute(DATA, html=html)
    except TemplateError as error:
        assert str(error).startswith(("template: ", "html/template:"))
