import random
import time

import pytest

from podium.objects import selectors
from podium.objects.resources import resource
from podium.objects.status import BadRequest

LABELS = {"app": "web", "tier": "front", "n": "7", "empty": ""}
MATCHES = """
app=web | app==web | app!=api | app in (api, web) | app notin (api) | app | !canary | missing!=x | missing notin (x) | app=web,tier=front
n>6 | n<8 | empty= | empty in () | empty in (,) | app in (in,web) |  app = web , tier | | app in (web,)
"""
MISSES = "app=api | missing | !app | app in (a,b) | app notin (web) | app=web,tier=back | n>7 | app>1 | missing=  | app="


@pytest.mark.parametrize("text", MATCHES.replace("\n", "|").split("|"))
def test_label_text_that_matches(text: str) -> None:
    assert selectors.parse_labels(text).matches(LABELS)


@pytest.mark.parametrize("text", MISSES.split("|"))
def test_label_text_that_does_not_match(text: str) -> None:
    assert not selectors.parse_labels(text).matches(LABELS)


LABEL_ERRORS = [
    ("app=web,", "found '', expected: identifier after ','"),
    (",", "found ',', expected: !, identifier, or 'end of string'"),
    ("app web", "unable to parse requirement: found 'web', expected: in, notin, =, ==, !=, gt, lt"),
    ("app in web", "unable to parse requirement: found 'web' expected: '('"),
    ("app in (a b)", "unable to parse requirement: found 'b', expected: ',' or ')'"),
    ("app in (", "unable to parse requirement: found '', expected: ',', ')' or identifier"),
    ("app in (a", "unable to parse requirement: found '', expected: ',' or ')'"),
    ("app in (a,", "unable to parse requirement: found '', expected: ',', or identifier"),
    ("!app=web", "found '=', expected: ',' or 'end of string'"),
    ("app=(", "unable to parse requirement: found '(', expected: identifier"),
    ("app=web tier", "found 'tier', expected: ',' or 'end of string'"),
    ("n>x", "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer"),
]


@pytest.mark.parametrize(("text", "message"), LABEL_ERRORS)
def test_malformed_label_text_is_refused_in_upstreams_words(text: str, message: str) -> None:
    with pytest.raises(BadRequest) as refused:
        selectors.parse_labels(text)
    assert refused.value.message == message


def test_invalid_keys_and_values_name_their_place() -> None:
    with pytest.raises(BadRequest, match=r'^unable to parse requirement: <nil>: Invalid value: "a/b/c": a valid label key'):
        selectors.parse_labels("a/b/c=x")
    with pytest.raises(BadRequest, match=r'^unable to parse requirement: values\[0\]\[app\]: Invalid value: "-": a valid label must be'):
        selectors.parse_labels("app=-")


def test_selector_values() -> None:
    assert not selectors.from_value(None).matches(LABELS)
    assert not selectors.from_value(None).empty
    assert selectors.from_value({}).matches(None)
    both = selectors.from_value(
        {"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "In", "values": ["front", "back"]}]}
    )
    assert both.matches(LABELS) and not both.matches({"app": "web"})
    assert str(both) == "app=web,tier in (back,front)"
    with pytest.raises(BadRequest, match=r'^"Near" is not a valid label selector operator$'):
        selectors.from_value({"matchExpressions": [{"key": "a", "operator": "Near"}]})


POD = {
    "metadata": {"name": "a", "namespace": "n"},
    "spec": {"nodeName": "node-1", "hostNetwork": True},
    "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd::1"}]},
}
EVENT = {
    "metadata": {"name": "e", "namespace": "n"},
    "involvedObject": {"kind": "Pod", "name": "a"},
    "reason": "Pulled",
    "reportingComponent": "kubelet",
}
FIELDS = [
    ("pods", POD, "metadata.name=a", True),
    ("pods", POD, "spec.nodeName=node-1,status.phase!=Failed", True),
    ("pods", POD, "spec.host=node-1", True),
    ("pods", POD, "spec.nodeName=", False),
    ("pods", POD, "spec.hostNetwork=true", True),
    ("pods", POD, "status.nominatedNodeName=", True),
    ("pods", POD, r"status.podIPs=10.0.0.1\,fd::1", True),
    ("events", EVENT, "involvedObject.kind=Pod,involvedObject.name=a,involvedObject.uid=", True),
    ("events", EVENT, "source=kubelet", True),
    ("nodes", {"metadata": {"name": "n"}, "spec": {}}, "spec.unschedulable=false", True),
    ("nodes", {"metadata": {"name": "n"}}, "spec.unschedulable==true", False),
    ("secrets", {"metadata": {"name": "n"}, "type": "Opaque"}, "type=Opaque", True),
]


@pytest.mark.parametrize(("plural", "value", "text", "expected"), FIELDS)
def test_field_selectors(plural: str, value: dict, text: str, expected: bool) -> None:
    assert selectors.parse_fields(resource(plural), text).matches(value) is expected


FIELD_ERRORS = [
    ("pods", "", "spec.x=y", "field label not supported: spec.x"),
    ("deployments", "apps", "spec.x=y", '"spec.x" is not a known field selector: only "metadata.name", "metadata.namespace"'),
    ("jobs", "batch", "spec.x=y", 'field label "spec.x" not supported for batchv1.Job'),
    ("replicasets", "apps", "spec.x=y", "field label not supported for appsv1.ReplicaSet: spec.x"),
    ("pods", "", "spec.nodeName", "invalid selector: 'spec.nodeName'; can't understand 'spec.nodeName'"),
    ("pods", "", "metadata.name=a=b", "invalid field selector: unescaped character in value: 61"),
    ("pods", "", r"metadata.name=\n", r"invalid field selector: invalid escape sequence: \n"),
    ("nodes", "", "metadata.namespace=x", "field label not supported: metadata.namespace"),
]


@pytest.mark.parametrize(("plural", "group", "text", "message"), FIELD_ERRORS)
def test_unknown_fields_are_refused_in_upstreams_words(plural: str, group: str, text: str, message: str) -> None:
    with pytest.raises(BadRequest) as refused:
        selectors.parse_fields(resource(plural, group), text)
    assert refused.value.message == message


def test_required_gives_the_exact_value_demanded() -> None:
    selector = selectors.parse_fields(resource("pods"), "spec.nodeName=a,metadata.name!=b")
    assert selector.required("spec.nodeName") == "a"
    assert selector.required("metadata.name") is None
    assert selectors.parse_fields(resource("pods"), "").empty


def test_selecting_among_5000_pods_by_label_takes_about_a_millisecond() -> None:
    pods = [{"metadata": {"name": f"p{i}", "labels": {"app": "web", "pod-template-hash": str(i % 7)}}} for i in range(5000)]
    selector = selectors.parse_labels("pod-template-hash=3")
    best = min(_cpu(lambda: selector.select(pods)) for _ in range(5))
    assert len(selector.select(pods)) == 714
    assert best < 0.005  # five times what it takes on an idle machine


def _cpu(work) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def test_a_selectors_text_means_the_same_selector() -> None:
    draw = random.Random(3)
    words, operators = ["a", "b", "c", ""], ["=", "!=", "in", "notin", "exists", "!"]
    for _ in range(300):
        parts = []
        for key in draw.sample(["x", "y", "z"], draw.randrange(1, 4)):
            operator, values = draw.choice(operators), draw.sample(words, draw.randrange(1, 4))
            forms = {"exists": key, "!": f"!{key}", "in": f"{key} in ({','.join(values)})", "notin": f"{key} notin ({','.join(values)})"}
            parts.append(forms.get(operator, f"{key}{operator}{values[0]}"))
        selector = selectors.parse_labels(",".join(parts))
        again = selectors.parse_labels(str(selector))
        assert str(again) == str(selector)
        for _ in range(5):
            labels = {key: draw.choice(words) for key in draw.sample(["x", "y", "z"], draw.randrange(4))}
            assert again.matches(labels) == selector.matches(labels)
