"""What a URL that names nothing of ours asks for."""

import pytest

from podium.api.attributes import attributes_of_path, exact_fields
from podium.api.request import User

JANE = User("jane")

URLS = [
    # method, path -> verb, group, resource, subresource, namespace, name; or a path
    ("GET", "/version", "/version"),
    ("GET", "/apis", "/apis"),
    ("GET", "/apis/metrics.k8s.io", "/apis/metrics.k8s.io"),
    ("GET", "/apis/metrics.k8s.io/v1", "/apis/metrics.k8s.io/v1"),
    ("GET", "/api/v1", "/api/v1"),
    ("POST", "/apis/x", "/apis/x"),
    ("GET", "/apis/metrics.k8s.io/v1/nodes", ("list", "metrics.k8s.io", "nodes", "", "", "")),
    ("GET", "/apis/metrics.k8s.io/v1/nodes/", ("list", "metrics.k8s.io", "nodes", "", "", "")),
    ("GET", "/apis/metrics.k8s.io/v1/nodes/n", ("get", "metrics.k8s.io", "nodes", "", "", "n")),
    ("HEAD", "/apis/metrics.k8s.io/v1/nodes/n", ("get", "metrics.k8s.io", "nodes", "", "", "n")),
    ("GET", "/apis/metrics.k8s.io/v1/namespaces/a/pods", ("list", "metrics.k8s.io", "pods", "", "a", "")),
    ("PATCH", "/apis/x.io/v1/namespaces/a/things/b/status", ("patch", "x.io", "things", "status", "a", "b")),
    ("DELETE", "/apis/x.io/v1/namespaces/a/things", ("deletecollection", "x.io", "things", "", "a", "")),
    ("POST", "/apis/x.io/v1/namespaces/a/things", ("create", "x.io", "things", "", "a", "")),
    ("GET", "/api/v1/unknown", ("list", "", "unknown", "", "", "")),
    ("GET", "/api/v1/namespaces/a", ("get", "", "namespaces", "", "a", "a")),
    ("PUT", "/api/v1/namespaces/a/finalize", ("update", "", "namespaces", "finalize", "a", "a")),
    ("GET", "/api/v1/things/a/proxy/some/where", ("get", "", "things", "proxy", "", "a")),
]


@pytest.mark.parametrize(("method", "path", "asked"), URLS)
def test_a_url_asks_for(method: str, path: str, asked: str | tuple[str, ...]) -> None:
    found = attributes_of_path(JANE, method, path)
    assert (found.path or found[1:7]) == asked


@pytest.mark.parametrize(
    ("selector", "fields"),
    [
        ("metadata.name=a", {"metadata.name": "a"}),
        ("metadata.name==a,spec.nodeName=n", {"metadata.name": "a", "spec.nodeName": "n"}),
        ("metadata.name!=a", {}),
        ("metadata.name", {}),
        ("", {}),
    ],
)
def test_exact_fields_of_a_selector(selector: str, fields: dict[str, str]) -> None:
    assert dict(exact_fields(selector)) == fields
