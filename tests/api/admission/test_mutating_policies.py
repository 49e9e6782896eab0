"""MutatingAdmissionPolicy: what expressions change, in which order, and what they may not."""

from typing import Any

import pytest

from podium.client.in_process import InProcessClient
from podium.objects.resources import resource
from podium.objects.status import Invalid, StatusError
from tests.api.admission.test_validating_policies import rule
from tests.api.objects import configmap, deployment, pod

GROUP = "admissionregistration.k8s.io"
POLICIES, BINDINGS = resource("mutatingadmissionpolicies", GROUP), resource("mutatingadmissionpolicybindings", GROUP)
CONFIGMAPS, DEPLOYMENTS, PODS = resource("configmaps"), resource("deployments", "apps"), resource("pods")
Object = dict[str, Any]

CONFORMANCE = "[sig-api-machinery] MutatingAdmissionPolicy [Privileged:ClusterAdmin] "


def applied(expression: str) -> Object:
    return {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}


def patched(expression: str) -> Object:
    return {"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}


def policy(name: str, *mutations: Object, resources: str = "configmaps", operations: str = "CREATE UPDATE", **spec: Any) -> Object:
    constraints = {"resourceRules": [rule(resources, operations)]}
    return {
        "apiVersion": f"{GROUP}/v1", "kind": "MutatingAdmissionPolicy", "metadata": {"name": name},
        "spec": {"matchConstraints": constraints, "mutations": list(mutations), "reinvocationPolicy": "Never", **spec},
    }  # fmt: skip


async def install(client: InProcessClient, value: Object, **spec: Any) -> None:
    await client.create(POLICIES, value)
    name = value["metadata"]["name"]
    bound = {
        "apiVersion": f"{GROUP}/v1",
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, **spec},
    }
    await client.create(BINDINGS, bound)


@pytest.mark.conformance(CONFORMANCE + "should mutate a Deployment [Conformance]")
@pytest.mark.conformance(CONFORMANCE + "should mutate a Deployment with annotations [Conformance]")
async def test_a_deployment_gets_annotations(client: InProcessClient) -> None:
    expression = """
        Object{
            metadata: Object.metadata{
                annotations: {
                    "mutated-by": "admission-policy"
                }
            },
            spec: Object.spec{replicas: object.spec.replicas + 1}
        }"""
    await install(client, policy("p", applied(expression), resources="deployments"))
    created = await client.create(DEPLOYMENTS, deployment("d", 2))
    assert created["metadata"]["annotations"] == {"mutated-by": "admission-policy"}
    assert created["spec"]["replicas"] == 3 and created["spec"]["template"]["spec"]["containers"][0]["name"] == "c"
    assert await client.get(DEPLOYMENTS, "d", "default") == created


async def test_an_apply_merges_lists_by_their_keys(client: InProcessClient) -> None:
    expression = "Object{spec: Object.spec{containers: [Object.spec.containers{name: 'side', image: 'side:1', command: ['true']}]}}"
    value = policy("p", applied(expression.replace(", command: ['true']", "")), resources="pods")
    await install(client, value)
    containers = (await client.create(PODS, pod("a")))["spec"]["containers"]
    assert [c["name"] for c in containers] == ["c", "side"]
    assert containers[1]["image"] == "side:1" and containers[1]["imagePullPolicy"] == "IfNotPresent"


async def test_a_json_patch_may_add_replace_and_remove(client: InProcessClient) -> None:
    expression = """[
        JSONPatch{op: "add", path: "/metadata/labels", value: {"a/b": "c"}},
        JSONPatch{op: "replace", path: "/metadata/labels/" + jsonpatch.escapeKey("a/b"), value: "d"},
        JSONPatch{op: "remove", path: "/data/gone"}
    ]"""
    await install(client, policy("p", patched(expression)))
    created = await client.create(CONFIGMAPS, configmap("x", gone="1", kept="2"))
    assert created["metadata"]["labels"] == {"a/b": "d"} and created["data"] == {"kept": "2"}


async def test_a_patch_may_depend_on_the_object(client: InProcessClient) -> None:
    expression = "has(object.metadata.labels) ? [] : [JSONPatch{op: 'add', path: '/metadata/labels', value: {'new': 'yes'}}]"
    await install(client, policy("p", patched(expression)))
    assert (await client.create(CONFIGMAPS, configmap("x")))["metadata"]["labels"] == {"new": "yes"}
    labelled = configmap("y")
    labelled["metadata"]["labels"] = {"old": "yes"}
    assert (await client.create(CONFIGMAPS, labelled))["metadata"]["labels"] == {"old": "yes"}


async def test_a_patch_whose_test_fails_changes_nothing(client: InProcessClient) -> None:
    expression = "[JSONPatch{op: 'test', path: '/data/k', value: 'x'}, JSONPatch{op: 'remove', path: '/data/k'}]"
    await install(client, policy("p", patched(expression)))
    assert (await client.create(CONFIGMAPS, configmap("a", k="x"))).get("data", {}) == {}
    assert (await client.create(CONFIGMAPS, configmap("b", k="y")))["data"] == {"k": "y"}


async def test_policies_and_mutations_see_what_those_before_left(client: InProcessClient) -> None:
    step = "[JSONPatch{op: 'replace', path: '/data/k', value: object.data.k + '%s'}]"
    await install(client, policy("b", patched(step % "3")))
    await install(client, policy("a", patched(step % "1"), patched(step % "2")))
    assert (await client.create(CONFIGMAPS, configmap("x", k="0")))["data"]["k"] == "0123"


async def test_a_policy_that_asks_for_it_is_invoked_again(client: InProcessClient) -> None:
    count = "[JSONPatch{op: 'replace', path: '/data/seen', value: string(size(object.data))}]"
    add = "[JSONPatch{op: 'add', path: '/data/late', value: 'x'}]"
    await install(client, policy("a", patched(count), reinvocationPolicy="IfNeeded"))
    await install(client, policy("b", patched(add)))
    assert (await client.create(CONFIGMAPS, configmap("x", seen="0")))["data"]["seen"] == "2"


async def test_built_in_plugins_see_what_policies_changed(client: InProcessClient) -> None:
    expression = "Object{spec: Object.spec{priorityClassName: 'system-cluster-critical'}}"
    await install(client, policy("p", patched("[JSONPatch{op: 'remove', path: '/spec/priority'}]"), applied(expression), resources="pods"))
    assert (await client.create(PODS, pod("a")))["spec"]["priority"] == 2_000_000_000


async def test_variables_params_and_conditions(client: InProcessClient) -> None:
    await client.create(CONFIGMAPS, configmap("parameters", suffix="-s"))
    value = policy(
        "p", patched("[JSONPatch{op: 'replace', path: '/data/k', value: variables.longer}]"), paramKind={"apiVersion": "v1", "kind": "ConfigMap"},
        variables=[{"name": "longer", "expression": "object.data.k + params.data.suffix"}],
        matchConditions=[{"name": "some", "expression": "has(object.data.k)"}],
    )  # fmt: skip
    await install(client, value, paramRef={"name": "parameters", "parameterNotFoundAction": "Deny"})
    assert (await client.create(CONFIGMAPS, configmap("x", k="v")))["data"]["k"] == "v-s"
    assert (await client.create(CONFIGMAPS, configmap("y", other="v")))["data"] == {"other": "v"}


async def test_what_the_server_decides_stays(client: InProcessClient) -> None:
    expression = (
        "[JSONPatch{op: 'replace', path: '/metadata/uid', value: 'mine'}, JSONPatch{op: 'replace', path: '/metadata/name', value: 'y'}]"
    )
    await install(client, policy("p", patched(expression)))
    created = await client.create(CONFIGMAPS, configmap("x"))
    assert created["metadata"]["name"] == "x" and len(created["metadata"]["uid"]) == 36


async def test_a_mutated_object_is_validated(client: InProcessClient) -> None:
    await install(client, policy("p", patched("[JSONPatch{op: 'add', path: '/metadata/labels', value: {'a b': 'c'}}]")))
    with pytest.raises(Invalid, match=r"metadata.labels"):
        await client.create(CONFIGMAPS, configmap("x"))


FAILURES = [
    (patched("[JSONPatch{op: 'remove', path: '/data/none'}]"), "configmaps", "JSONPath: "),
    (patched("[JSONPatch{op: 'add', path: '/data/x', value: object.nothing}]"), "configmaps", "resulted in error: no such key: nothing"),
    (applied("Object{spec: Object.spec{nothing: 1}}"), "pods", ".spec.nothing: field not declared in schema"),
    (applied("Object{spec: Object.spec{tolerations: [Object.spec.tolerations{key: 'a'}]}}"), "pods",
     "invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.tolerations"),
]  # fmt: skip


@pytest.mark.parametrize(("mutation", "resources", "says"), FAILURES)
@pytest.mark.parametrize("failure_policy", ["Fail", "Ignore"])
async def test_a_failing_mutation_is_for_the_failure_policy(
    client: InProcessClient, mutation: Object, resources: str, says: str, failure_policy: str
) -> None:
    await install(client, policy("p", mutation, resources=resources, failurePolicy=failure_policy))
    create = client.create(CONFIGMAPS, configmap("x")) if resources == "configmaps" else client.create(PODS, pod("x"))
    if failure_policy == "Ignore":
        await create
        return
    with pytest.raises(StatusError) as caught:
        await create
    assert caught.value.message.startswith("policy 'p' with binding 'p' denied request: ") and says in caught.value.message
    assert (caught.value.code, caught.value.reason) == (403, "Invalid")


INVALID = [
    ({"mutations": []}, "spec.mutations", "Required value"),
    ({"reinvocationPolicy": ""}, "spec.reinvocationPolicy", "Required value"),
    ({"reinvocationPolicy": "Often"}, "spec.reinvocationPolicy", "Unsupported value"),
    ({"mutations": [{"patchType": "Magic"}]}, "spec.mutations[0].patchType", "Unsupported value"),
    ({"mutations": [{"patchType": "JSONPatch"}]}, "spec.mutations[0].jsonPatch", "must be specified when patchType is JSONPatch"),
    ({"mutations": [applied("{'a': 1}")]}, "spec.mutations[0].applyConfiguration.expression", "must evaluate to Object"),
    ({"mutations": [applied("Object{spec: Object.status{}}")]}, "spec.mutations[0].applyConfiguration.expression", "unexpected type name"),
    ({"mutations": [patched("[1]")]}, "spec.mutations[0].jsonPatch.expression", "must evaluate to list(JSONPatch)"),
]


@pytest.mark.parametrize(("spec", "field", "says"), INVALID)
async def test_a_wrong_policy_is_refused(client: InProcessClient, spec: Object, field: str, says: str) -> None:
    value = policy("p", patched("[]"))
    value["spec"] |= spec
    with pytest.raises(Invalid) as caught:
        await client.create(POLICIES, value)
    found = {c["field"]: c["message"] for c in (caught.value.details or {})["causes"]}
    assert says in found.get(field, ""), found


@pytest.mark.conformance(CONFORMANCE + "should support MutatingAdmissionPolicy API operations [Conformance]")
@pytest.mark.conformance(CONFORMANCE + "should support MutatingAdmissionPolicyBinding API operations [Conformance]")
@pytest.mark.conformance("[sig-api-machinery] ValidatingAdmissionPolicy [Privileged:ClusterAdmin] should support ValidatingAdmissionPolicy API operations [Conformance]")  # fmt: skip  # noqa: E501 (the name is that long)
@pytest.mark.conformance("[sig-api-machinery] ValidatingAdmissionPolicy [Privileged:ClusterAdmin] should support ValidatingAdmissionPolicyBinding API operations [Conformance]")  # fmt: skip  # noqa: E501 (the name is that long)
@pytest.mark.parametrize("kind", ["mutatingadmissionpolicies", "mutatingadmissionpolicybindings", "validatingadmissionpolicies", "validatingadmissionpolicybindings"])  # fmt: skip  # noqa: E501
async def test_the_api_of_policies(client: InProcessClient, kind: str) -> None:
    from tests.api.admission import test_validating_policies as validating

    served = resource(kind, GROUP)
    template = {
        "mutatingadmissionpolicies": policy("", patched("[]")),
        "mutatingadmissionpolicybindings": {"spec": {"policyName": "p"}},
        "validatingadmissionpolicies": validating.policy("", "true"),
        "validatingadmissionpolicybindings": validating.binding("", policy_name="p"),
    }[kind]
    template["metadata"] = {"generateName": "e2e-", "labels": {"example": "yes"}}
    names = [(await client.create(served, template))["metadata"]["name"] for _ in range(3)]
    read = await client.get(served, names[0])
    assert read["spec"] and {"create", "get", "list", "watch", "update", "patch", "delete", "deletecollection"} <= set(served.verbs)
    change = {"metadata": {"annotations": {"patched": "true"}}}
    if kind.endswith("policies"):
        change["spec"] = {"failurePolicy": "Ignore"}
    changed = await client.patch(served, names[0], change)
    assert changed["metadata"]["annotations"] == {"patched": "true"} and changed["spec"].get("failurePolicy") in ("Ignore", None)
    changed["metadata"]["annotations"]["updated"] = "true"
    assert (await client.update(served, changed))["metadata"]["annotations"]["updated"] == "true"
    await client.delete(served, names[0])
    assert len((await client.list(served, labels="example=yes")).items) == 2
