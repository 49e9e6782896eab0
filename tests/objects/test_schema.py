from importlib import resources as package_files

import pytest

from podium.objects import schema
from podium.objects.resource_names import CONNECT
from podium.objects.resources import builtin


def test_every_served_resource_and_subresource_has_a_schema() -> None:
    streams = {name for rows in CONNECT.values() for name, _, _ in rows}
    wanted = {(r.api_version, r.kind) for r in builtin()}
    for subresource in (s for r in builtin() for s in r.subresources if s.name not in streams):
        wanted.add((f"{subresource.group}/{subresource.version}".lstrip("/"), subresource.kind))
    assert sorted(wanted - schema.kinds().keys()) == []


def test_every_listable_resource_has_a_list_schema() -> None:
    assert [r.plural for r in builtin() if "list" in r.verbs and (r.api_version, r.list_kind) not in schema.kinds()] == []


def test_the_extracted_files_stay_within_a_few_hundred_kilobytes() -> None:
    generated = package_files.files("podium.objects") / "generated"
    sizes = {f.name: len(f.read_bytes()) for f in generated.iterdir() if f.is_file()}
    assert set(sizes) - {"build.json"} == {"resources.json", "schemas.lines", "descriptions.lines.xz"}
    assert 100_000 < sum(sizes.values()) < 500_000


def test_what_the_source_package_changed_is_undone() -> None:
    text = (package_files.files("podium.objects") / "generated" / "schemas.lines").read_text()
    assert '"null"' not in text
    assert '"oneOf":[' not in text
    assert '"enum":[' not in text
    assert schema.definition("io.k8s.apimachinery.pkg.util.intstr.IntOrString") == {"type": "string", "format": "int-or-string"}
    assert schema.definition(schema.QUANTITY) == {"type": "string"}


@pytest.mark.parametrize(
    ("path", "merge", "list_type"),
    [
        ("spec.containers", ("name", "merge"), ("map", ("name",))),
        ("spec.containers.env", ("name", "merge"), ("map", ("name",))),
        ("spec.containers.ports", ("containerPort", "merge"), ("map", ("containerPort", "protocol"))),
        ("spec.containers.volumeMounts", ("mountPath", "merge"), ("map", ("mountPath",))),
        ("spec.containers.args", ("", ""), ("atomic", ())),
        ("spec.volumes", ("name", "merge,retainKeys"), ("map", ("name",))),
        ("spec.tolerations", ("", ""), ("atomic", ())),
        ("spec.topologySpreadConstraints", ("topologyKey", "merge"), ("map", ("topologyKey", "whenUnsatisfiable"))),
        ("metadata.ownerReferences", ("uid", "merge"), ("map", ("uid",))),
        ("metadata.finalizers", ("", "merge"), ("set", ())),
        ("status.conditions", ("type", "merge"), ("map", ("type",))),
    ],
)
def test_lists_carry_how_they_merge(path: str, merge: tuple[str, str], list_type: tuple[str, tuple[str, ...]]) -> None:
    node = schema.load("v1", "Pod").at(*path.split("."))
    assert node is not None
    assert node.type == "array"
    assert ((node.merge_key, node.merge_strategy), (node.list_type, node.list_map_keys)) == (merge, list_type)


def test_a_field_keeps_its_own_extension_over_the_definition_it_refers_to() -> None:
    strategy = schema.load("apps/v1", "Deployment").at("spec", "strategy")
    assert strategy is not None
    assert (strategy.merge_strategy, strategy.definition) == ("retainKeys", "io.k8s.api.apps.v1.DeploymentStrategy")
    assert "maxSurge" in strategy.properties["rollingUpdate"].properties


def test_nodes_describe_their_types() -> None:
    pod = schema.load("v1", "Pod")
    limits = pod.at("spec", "containers", "resources", "limits")
    assert limits is not None and limits.additional is not None
    assert limits.additional.quantity
    service = schema.load("v1", "Service").at("spec", "ports")
    assert service is not None and service.items is not None
    assert service.items.properties["targetPort"].int_or_string
    assert service.items.properties["port"].format == "int32"
    assert service.items.required == ("port",)
    assert schema.load("apps/v1", "ControllerRevision").properties["data"].preserve_unknown
    assert pod.group_version_kinds == (("", "v1", "Pod"),)


def test_texts_come_from_the_field_then_from_its_definition() -> None:
    pod = schema.load("v1", "Pod")
    assert pod.description.startswith("Pod is a collection of containers")
    assert pod.properties["metadata"].description.startswith("Standard object's metadata.")
    term = schema.load("v1", "Pod").at("spec", "affinity", "nodeAffinity")
    assert term is not None and term.description.startswith("Describes node affinity scheduling rules")


def test_recursive_definitions_resolve_as_deep_as_asked() -> None:
    node = schema.named("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps")
    assert node.at("properties", "a", "properties", "b", "properties", "c") is not None
    assert node.at("properties", "a", "nothing") is None


def test_nodes_are_shared() -> None:
    assert schema.load("v1", "Pod") is schema.load("v1", "Pod")
    assert schema.load("v1", "Pod").properties["spec"] is schema.load("v1", "Pod").properties["spec"]


def test_an_unknown_kind_has_no_schema() -> None:
    with pytest.raises(KeyError):
        schema.load("v1", "Nothing")
