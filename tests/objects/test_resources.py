from pathlib import Path

import pytest

from podium.objects import resource_names
from podium.objects.resources import KUBERNETES_VERSION, builtin, resource


def test_only_stable_versions_are_served() -> None:
    assert {r.version for r in builtin()} == {"v1", "v2"}


@pytest.mark.parametrize(
    ("plural", "group", "short", "categories"),
    [
        ("pods", "", ("po",), ("all",)),
        ("services", "", ("svc",), ("all",)),
        ("deployments", "apps", ("deploy",), ("all",)),
        ("configmaps", "", ("cm",), ()),
        ("customresourcedefinitions", "apiextensions.k8s.io", ("crd", "crds"), ("api-extensions",)),
        ("jobs", "batch", (), ("all",)),
    ],
)
def test_resources_have_upstreams_short_names_and_categories(
    plural: str, group: str, short: tuple[str, ...], categories: tuple[str, ...]
) -> None:
    assert (resource(plural, group).short_names, resource(plural, group).categories) == (short, categories)


def test_every_name_in_our_tables_is_a_resource() -> None:
    served = {f"{r.plural}.{r.group}" if r.group else r.plural for r in builtin()}
    tables = [*resource_names.SHORT_NAMES, *resource_names.CATEGORIES, *resource_names.CONNECT]
    assert [name for name in tables if name not in served] == []
    assert [n for n in resource_names.STORED_AS if n.rpartition("/")[0] not in served] == []


def test_short_names_are_given_once_within_a_group() -> None:
    names = [(r.group, name) for r in builtin() for name in r.short_names if r.version == "v1"]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("plural", "group", "subresources"),
    [
        ("pods", "", "attach binding ephemeralcontainers eviction exec log portforward proxy resize status"),
        ("nodes", "", "proxy status"),
        ("services", "", "proxy status"),
        ("serviceaccounts", "", "token"),
        ("deployments", "apps", "scale status"),
        ("namespaces", "", "finalize status"),
    ],
)
def test_resources_have_upstreams_subresources_in_order(plural: str, group: str, subresources: str) -> None:
    assert " ".join(s.name for s in resource(plural, group).subresources) == subresources


@pytest.mark.parametrize(
    ("plural", "group", "verbs"),
    [
        ("pods", "", "create delete deletecollection get list patch update watch"),
        ("namespaces", "", "create delete get list patch update watch"),
        ("bindings", "", "create"),
        ("tokenreviews", "authentication.k8s.io", "create"),
        ("selfsubjectaccessreviews", "authorization.k8s.io", "create"),
        ("localsubjectaccessreviews", "authorization.k8s.io", "create"),
    ],
)
def test_resources_have_upstreams_verbs(plural: str, group: str, verbs: str) -> None:
    assert " ".join(resource(plural, group).verbs) == verbs


def test_stream_subresources_have_the_verbs_of_their_methods() -> None:
    pods = resource("pods")
    verbs = {s.name: s.verbs for s in pods.subresources}
    assert verbs["exec"] == ("create", "get")
    assert verbs["proxy"] == ("create", "delete", "get", "patch", "update")
    assert verbs["log"] == ("get",)


def test_resources_that_are_one_set_of_objects_share_their_keys() -> None:
    events, core = resource("events", "events.k8s.io"), resource("events")
    assert events.key("ns", "e") == core.key("ns", "e") == "/core/events/ns/e"
    assert (events.storage_api_version, core.storage_api_version) == ("v1", "")
    assert events.path("ns") == "/apis/events.k8s.io/v1/namespaces/ns/events"
    prefixes = {(r.group, r.version): r.prefix for r in builtin() if r.plural == "horizontalpodautoscalers"}
    assert prefixes == {
        ("autoscaling", "v1"): "/autoscaling/horizontalpodautoscalers/",
        ("autoscaling", "v2"): "/autoscaling/horizontalpodautoscalers/",
    }


def test_no_other_resources_share_their_keys() -> None:
    prefixes = [r.prefix for r in builtin() if not r.storage_api_version]
    assert len(prefixes) == len(set(prefixes))


def test_a_resource_comes_in_its_preferred_version() -> None:
    assert resource("horizontalpodautoscalers", "autoscaling").version == "v2"
    assert resource("pods").version == "v1"
    with pytest.raises(KeyError):
        resource("pods", "apps")


def test_the_served_version_is_the_one_that_was_extracted() -> None:
    extractor = (Path(__file__).parents[2] / "tools" / "extract_schemas.py").read_text()
    assert f'KUBERNETES = "{KUBERNETES_VERSION.rpartition(".")[0]}"' in extractor
