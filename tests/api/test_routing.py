"""What a path and a method name."""

import pytest

from podium.api.negotiation import Form, negotiate
from podium.api.routing import parse
from podium.objects.resources import builtin
from podium.objects.status import NotAcceptable

PATHS = [
    ("GET", "/api/v1/pods", "list pods - - -"),
    ("GET", "/api/v1/namespaces/n/pods", "list pods n - -"),
    ("GET", "/api/v1/namespaces/n/pods/p", "get pods n p -"),
    ("GET", "/api/v1/namespaces/n/pods/p/log", "get pods n p log"),
    ("POST", "/api/v1/namespaces/n/pods/p/exec", "connect pods n p exec"),
    ("POST", "/api/v1/namespaces/n/pods/p/binding", "create pods n p binding"),
    ("GET", "/api/v1/namespaces", "list namespaces - - -"),
    ("GET", "/api/v1/namespaces/n", "get namespaces - n -"),
    ("PUT", "/api/v1/namespaces/n/finalize", "update namespaces - n finalize"),
    ("PATCH", "/api/v1/namespaces/n/status", "patch namespaces - n status"),
    ("DELETE", "/api/v1/namespaces/n/configmaps", "deletecollection configmaps n - -"),
    ("PUT", "/apis/apps/v1/namespaces/n/deployments/d/scale", "update deployments n d scale"),
    ("GET", "/api/v1/nodes/x", "get nodes - x -"),
]


@pytest.mark.parametrize(("method", "path", "expect"), PATHS)
def test_a_path_names_a_verb_on_a_resource(method: str, path: str, expect: str) -> None:
    target = parse(path, builtin())
    assert target is not None
    words = (
        target.verb(method, watch=False),
        target.resource.plural,
        target.namespace or "-",
        target.name or "-",
        target.subresource or "-",
    )
    assert " ".join(words) == expect


@pytest.mark.parametrize(
    "path",
    ["/", "/api", "/api/v1", "/apis/apps", "/apis/apps/v1", "/api/v1/unknown", "/api/v2/pods", "/apis/apps/v1/pods", "/api/v1/pods/p",
     "/api/v1/namespaces/n/nodes/x", "/apis/x.y/v1/things", "//", "/api/v1/namespaces/n/pods/p/log/" + "x/" * 100],
)  # fmt: skip
def test_other_paths_name_nothing(path: str) -> None:
    target = parse(path, builtin())
    assert target is None or target.tail


FORMS = [
    ("", Form()),
    ("*/*", Form()),
    ("application/json", Form()),
    (
        "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
        Form("json", "Table"),
    ),
    ("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json", Form("json", "PartialObjectMetadata")),
    ("application/vnd.kubernetes.protobuf,application/json", Form()),
    ("application/yaml", Form("yaml")),
]


@pytest.mark.parametrize(("accept", "form"), FORMS)
def test_the_first_form_that_can_be_served_is(accept: str, form: Form) -> None:
    assert negotiate(accept) == form


@pytest.mark.parametrize("accept", ["application/vnd.kubernetes.protobuf", "text/html", "application/json;as=Table;v=v9;g=meta.k8s.io"])
def test_a_form_that_cannot_be_served_is_not_acceptable(accept: str) -> None:
    with pytest.raises(NotAcceptable):
        negotiate(accept)
