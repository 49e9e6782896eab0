"""ValidatingAdmissionPolicy: who is asked, what is said, what is kept for the audit log."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from podium.api.request import Request
from podium.client.in_process import InProcessClient
from podium.control_plane import ADMINISTRATOR, ControlPlane
from podium.objects.resources import resource
from podium.objects.status import Forbidden, Invalid, NotFound, StatusError
from tests.api.objects import configmap, deployment

GROUP = "admissionregistration.k8s.io"
POLICIES, BINDINGS = resource("validatingadmissionpolicies", GROUP), resource("validatingadmissionpolicybindings", GROUP)
CONFIGMAPS, DEPLOYMENTS, NAMESPACES = resource("configmaps"), resource("deployments", "apps"), resource("namespaces")
Object = dict[str, Any]

CONFORMANCE = "[sig-api-machinery] ValidatingAdmissionPolicy [Privileged:ClusterAdmin] "


def rule(resources: str = "configmaps", operations: str = "CREATE UPDATE", group: str = "*", **more: Any) -> Object:
    return {"operations": operations.split(), "apiGroups": [group], "apiVersions": ["*"], "resources": resources.split(), **more}


def policy(name: str, *validations: Object | str, **spec: Any) -> Object:
    rows = [v if isinstance(v, dict) else {"expression": v} for v in validations]
    constraints = {"resourceRules": [rule()], **spec.pop("matchConstraints", {})}
    return {
        "apiVersion": f"{GROUP}/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
        "spec": {"matchConstraints": constraints, "validations": rows, **spec},
    }  # fmt: skip


def binding(name: str, *actions: str, policy_name: str = "", **spec: Any) -> Object:
    return {
        "apiVersion": f"{GROUP}/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
        "spec": {"policyName": policy_name or name, "validationActions": list(actions) or ["Deny"], **spec},
    }  # fmt: skip


async def install(client: InProcessClient, value: Object, *actions: str, **spec: Any) -> None:
    await client.create(POLICIES, value)
    await client.create(BINDINGS, binding(value["metadata"]["name"], *actions, **spec))


async def refusal(client: InProcessClient, value: Object) -> StatusError:
    with pytest.raises(StatusError) as caught:
        await client.create(CONFIGMAPS, value)
    return caught.value


@pytest.mark.conformance(CONFORMANCE + "should validate against a Deployment [Conformance]")
async def test_a_deployment_is_validated(client: InProcessClient) -> None:
    message = "'wants replicas > 1, got ' + object.spec.replicas"
    value = policy("p", {"expression": "object.spec.replicas > 1", "messageExpression": message})
    value["spec"]["matchConstraints"]["resourceRules"] = [rule("deployments", group="apps")]
    await install(client, value)
    with pytest.raises(Invalid) as caught:
        await client.create(DEPLOYMENTS, deployment("marker", 1))
    says = "ValidatingAdmissionPolicy 'p' with binding 'p' denied request: failed expression: object.spec.replicas > 1"
    assert caught.value.message == f'deployments.apps "marker" is forbidden: {says}'
    assert (caught.value.code, caught.value.reason) == (422, "Invalid")
    assert caught.value.details is not None and caught.value.details["causes"] == [{"message": says}]
    await client.create(DEPLOYMENTS, deployment("replicated", 2))


@pytest.mark.conformance(CONFORMANCE + "should allow expressions to refer variables. [Conformance]")
async def test_expressions_refer_to_variables(client: InProcessClient) -> None:
    variables = [
        {"name": "replicas", "expression": "object.spec.replicas"},
        {"name": "oddReplicas", "expression": "variables.replicas % 2 == 1"},
        {"name": "broken", "expression": "object.spec.nothing.deeper"},
    ]
    messages = "'replicas must be odd, got ' + string(variables.replicas)"
    value = policy(
        "p", {"expression": "variables.replicas > 1"}, {"expression": "variables.oddReplicas", "messageExpression": messages}, variables=variables,
    )  # fmt: skip
    value["spec"]["matchConstraints"]["resourceRules"] = [rule("deployments", group="apps")]
    await install(client, value)
    with pytest.raises(Invalid, match=r"failed expression: variables\.replicas > 1"):
        await client.create(DEPLOYMENTS, deployment("one", 1))
    with pytest.raises(Invalid, match="denied request: replicas must be odd, got 4"):
        await client.create(DEPLOYMENTS, deployment("four", 4))
    await client.create(DEPLOYMENTS, deployment("three", 3))


async def test_a_policy_without_a_binding_does_nothing(client: InProcessClient) -> None:
    await client.create(POLICIES, policy("p", "false"))
    await client.create(CONFIGMAPS, configmap("a"))
    await client.create(BINDINGS, binding("b", policy_name="p"))
    assert "with binding 'b' denied" in (await refusal(client, configmap("b"))).message
    from podium.client.interface import DeleteOptions

    await client.delete(BINDINGS, "b", options=DeleteOptions())
    await client.create(CONFIGMAPS, configmap("b"))


MESSAGES = [
    ({"expression": "false"}, "failed expression: false"),
    ({"expression": "false", "message": " told so "}, "told so"),
    ({"expression": "false", "message": "m", "messageExpression": "'for ' + object.metadata.name"}, "for x"),
    ({"expression": "false", "message": "m", "messageExpression": "object.nothing"}, "must evaluate to string"),
    ({"expression": "false", "message": "m", "messageExpression": "string(object.nothing)"}, "m"),
    ({"expression": "false", "message": "m", "messageExpression": "'a\\nb'"}, "m"),
]


@pytest.mark.parametrize(("validation", "says"), MESSAGES)
async def test_the_message_is_the_policys(client: InProcessClient, validation: Object, says: str) -> None:
    try:
        await install(client, policy("p", validation))
    except Invalid as error:
        assert says in error.message
        return
    assert (await refusal(client, configmap("x"))).message.endswith(f"denied request: {says}")


REASONS = [("Forbidden", 403), ("Unauthorized", 401), ("RequestEntityTooLarge", 413), ("Invalid", 422), (None, 422)]


@pytest.mark.parametrize(("reason", "code"), REASONS)
async def test_the_reason_decides_the_code(client: InProcessClient, reason: str | None, code: int) -> None:
    await install(client, policy("p", {"expression": "false", **({"reason": reason} if reason else {})}))
    error = await refusal(client, configmap("x"))
    assert (error.code, error.reason) == (code, reason or "Invalid")


SEEN = [
    "request.operation == 'CREATE'",
    "request.kind.kind == 'ConfigMap' && request.resource.resource == 'configmaps'",
    "request.namespace == 'default' && request.name == 'x'",
    "request.userInfo.username == 'kubernetes-admin' && 'system:masters' in request.userInfo.groups",
    "!request.dryRun",
    "!has(request.subResource)",
    "oldObject == null",
    "namespaceObject.metadata.name == 'default' && namespaceObject.status.phase == 'Active'",
    "namespaceObject.metadata.creationTimestamp.getFullYear() > 2000",
    "object.metadata.name == 'x' && object.data.k == 'v'",
    "object.apiVersion == 'v1' && object.kind == 'ConfigMap'",
    "authorizer.group('').resource('configmaps').namespace('default').check('create').allowed()",
    "!authorizer.serviceAccount('other', 'robot').group('').resource('secrets').namespace('default').check('get').allowed()",
]


@pytest.mark.parametrize("expression", SEEN)
async def test_expressions_see_the_request(client: InProcessClient, expression: str) -> None:
    await install(client, policy("p", expression))
    await client.create(CONFIGMAPS, configmap("x", k="v"))


async def test_updates_and_deletions_see_the_old_object(client: InProcessClient) -> None:
    value = policy(
        "p", "request.operation != 'UPDATE' || object.data.k == oldObject.data.k", "request.operation != 'DELETE' || object == null"
    )
    value["spec"]["matchConstraints"]["resourceRules"] = [rule(operations="*")]
    value["spec"]["validations"].append(
        {"expression": "request.operation != 'DELETE' || oldObject.data.k == 'open'", "message": "it is closed"}
    )
    await install(client, value)
    created = await client.create(CONFIGMAPS, configmap("x", k="v"))
    with pytest.raises(Invalid, match=r"object.data.k == oldObject.data.k"):
        await client.update(CONFIGMAPS, {**created, "data": {"k": "w"}})
    with pytest.raises(Invalid, match="it is closed"):
        await client.delete(CONFIGMAPS, "x", "default")
    await client.create(CONFIGMAPS, configmap("y", k="open"))
    await client.delete(CONFIGMAPS, "y", "default")


FAILING = [("Fail", True), ("Ignore", False)]


@pytest.mark.parametrize(("failure_policy", "refused"), FAILING)
async def test_an_error_is_for_the_failure_policy(client: InProcessClient, failure_policy: str, refused: bool) -> None:
    await install(client, policy("p", "object.data.nothing == 'x'", failurePolicy=failure_policy))
    if not refused:
        await client.create(CONFIGMAPS, configmap("x", k="v"))
        return
    says = (await refusal(client, configmap("x", k="v"))).message
    assert says.endswith("denied request: expression 'object.data.nothing == 'x'' resulted in error: no such key: nothing")


async def test_a_false_validation_denies_whatever_the_failure_policy(client: InProcessClient) -> None:
    await install(client, policy("p", "false", failurePolicy="Ignore"))
    await refusal(client, configmap("x"))


async def test_match_conditions_leave_requests_out(client: InProcessClient) -> None:
    conditions = [{"name": "only-a", "expression": "object.metadata.name.startsWith('a')"}]
    await install(client, policy("p", "false", matchConditions=conditions))
    await client.create(CONFIGMAPS, configmap("b"))
    await refusal(client, configmap("a"))


async def test_a_false_condition_decides_before_one_that_fails(client: InProcessClient) -> None:
    conditions = [{"name": "fails", "expression": "object.nothing == 1"}, {"name": "never", "expression": "object == null"}]
    await install(client, policy("p", "false", matchConditions=conditions))
    await client.create(CONFIGMAPS, configmap("a"))


async def test_a_condition_that_fails_is_for_the_failure_policy(client: InProcessClient) -> None:
    await install(client, policy("p", "true", matchConditions=[{"name": "fails", "expression": "object.nothing == 1"}]))
    assert "resulted in error: no such key: nothing" in (await refusal(client, configmap("a"))).message


MATCHES = [
    ({"resourceRules": [rule("deployments")]}, {}, False),
    ({"resourceRules": [rule("*")]}, {}, True),
    ({"resourceRules": [rule(resourceNames=["x"])]}, {}, True),
    ({"resourceRules": [rule(resourceNames=["other"])]}, {}, False),
    ({"excludeResourceRules": [rule()]}, {}, False),
    ({"excludeResourceRules": [rule(resourceNames=["x"])]}, {}, False),
    ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}}}, {}, True),
    ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "other"}}}, {}, False),
    ({"objectSelector": {"matchLabels": {"app": "x"}}}, {}, False),
    ({}, {"matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "other"}}}}, False),
    ({}, {"matchResources": {"resourceRules": [rule("deployments")]}}, False),
    ({}, {"matchResources": {"resourceRules": [rule("configmaps")]}}, True),
    ({}, {"matchResources": {"excludeResourceRules": [rule("configmaps")]}}, False),
]


@pytest.mark.parametrize(("constraints", "bound", "asked"), MATCHES)
async def test_rules_and_selectors_decide_who_is_asked(client: InProcessClient, constraints: Object, bound: Object, asked: bool) -> None:
    await install(client, policy("p", "false", matchConstraints=constraints), **bound)
    if asked:
        await refusal(client, configmap("x"))
    else:
        await client.create(CONFIGMAPS, configmap("x"))


PARAM_KIND = {"apiVersion": "v1", "kind": "ConfigMap"}
TOO_LONG = {"expression": "size(object.data.k) <= int(params.data.max)", "messageExpression": "'at most ' + params.data.max"}


def limits(name: str, most: int, namespace: str = "default", **labels: str) -> Object:
    return {"metadata": {"name": name, "namespace": namespace, "labels": {"limits": "yes", **labels}}, "data": {"max": str(most)}}


@pytest.fixture
async def limited(client: InProcessClient) -> AsyncIterator[InProcessClient]:
    """Limits by parameters; the parameters themselves carry a label and are left out."""
    value = policy("p", TOO_LONG, paramKind=PARAM_KIND)
    value["spec"]["matchConstraints"]["objectSelector"] = {"matchExpressions": [{"key": "limits", "operator": "DoesNotExist"}]}
    await client.create(POLICIES, value)
    yield client


async def test_params_by_name(limited: InProcessClient) -> None:
    await limited.create(CONFIGMAPS, limits("three", 3))
    await limited.create(BINDINGS, binding("b", policy_name="p", paramRef={"name": "three", "parameterNotFoundAction": "Deny"}))
    assert (await refusal(limited, configmap("x", k="long"))).message.endswith("denied request: at most 3")
    await limited.create(CONFIGMAPS, configmap("y", k="abc"))


async def test_params_by_selector_are_each_asked(limited: InProcessClient) -> None:
    await limited.create(CONFIGMAPS, limits("five", 5))
    await limited.create(CONFIGMAPS, limits("two", 2))
    reference = {"selector": {"matchLabels": {"limits": "yes"}}, "parameterNotFoundAction": "Deny"}
    await limited.create(BINDINGS, binding("b", policy_name="p", paramRef=reference))
    assert (await refusal(limited, configmap("x", k="long"))).message.endswith("denied request: at most 2")


NOT_FOUND = [("Deny", "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"), ("Allow", "")]


@pytest.mark.parametrize(("action", "says"), NOT_FOUND)
async def test_params_that_are_not_there(limited: InProcessClient, action: str, says: str) -> None:
    await limited.create(BINDINGS, binding("b", policy_name="p", paramRef={"name": "none", "parameterNotFoundAction": action}))
    if says:
        assert says in (await refusal(limited, configmap("x", k="v"))).message
    else:
        await limited.create(CONFIGMAPS, configmap("x", k="v"))


async def test_params_of_a_named_namespace(limited: InProcessClient) -> None:
    await limited.create(NAMESPACES, {"metadata": {"name": "rules"}})
    await limited.create(CONFIGMAPS, limits("three", 3, "rules"))
    reference = {"name": "three", "namespace": "rules", "parameterNotFoundAction": "Deny"}
    await limited.create(BINDINGS, binding("b", policy_name="p", paramRef=reference))
    assert "at most 3" in (await refusal(limited, configmap("x", k="long"))).message


async def test_params_of_an_unknown_kind_fail_the_policy(client: InProcessClient) -> None:
    value = policy("p", "params.x == 1", paramKind={"apiVersion": "x.example/v1", "kind": "Limit"})
    await install(client, value, paramRef={"name": "a", "parameterNotFoundAction": "Allow"})
    assert "paramKind kind `x.example/v1, Kind=Limit` not known" in (await refusal(client, configmap("x"))).message


async def ask(plane: ControlPlane, value: Object) -> Request:
    request = Request("create", CONFIGMAPS, ADMINISTRATOR, "default", value=value)
    await plane.server.execute(request)
    return request


async def test_warn_and_audit_let_pass(plane: ControlPlane, client: InProcessClient) -> None:
    await install(client, policy("p", {"expression": "false", "message": "no good"}), "Warn", "Audit")
    request = await ask(plane, configmap("x"))
    assert request.warnings == ["Validation failed for ValidatingAdmissionPolicy 'p' with binding 'p': no good"]
    failure = request.annotations["validation.policy.admission.k8s.io/validation_failure"]
    assert failure == '[{"message":"no good","policy":"p","binding":"p","expressionIndex":0,"validationActions":["Audit","Warn"]}]'


async def test_audit_annotations_are_kept(plane: ControlPlane, client: InProcessClient) -> None:
    annotations = [
        {"key": "size", "valueExpression": "'k has ' + string(size(object.data.k))"},
        {"key": "nothing", "valueExpression": "object.data.k == 'v' ? null : 'x'"},
    ]
    with pytest.raises(Invalid, match="must evaluate to one of"):
        await client.create(POLICIES, policy("q", auditAnnotations=[{"key": "k", "valueExpression": "1"}]))
    await install(client, policy("p", auditAnnotations=annotations[:1]), "Audit")
    assert (await ask(plane, configmap("x", k="v"))).annotations == {"p/size": "k has 1"}


async def test_the_budget_is_shared_by_a_policys_expressions(client: InProcessClient) -> None:
    heavy = "[1,2,3,4,5,6,7,8,9,10].all(a, " * 6 + "a >= 0" + ")" * 6
    await install(client, policy("p", heavy))
    assert "cost" in (await refusal(client, configmap("x"))).message


async def test_policies_never_lock_their_own_kinds(client: InProcessClient) -> None:
    value = policy("p", "false")
    value["spec"]["matchConstraints"]["resourceRules"] = [rule("*")]
    await install(client, value)
    await client.delete(BINDINGS, "p")
    with pytest.raises(NotFound):
        await client.get(BINDINGS, "p")


INVALID = [
    ({}, {"spec.validations": "validations or auditAnnotations must contain at least one item"}),
    ({"validations": [{"expression": "object.x +"}]}, {"spec.validations[0].expression": "compilation failed: ERROR: <input>:1:11: Syntax error"}),
    ({"validations": [{"expression": "1"}]}, {"spec.validations[0].expression": "must evaluate to bool"}),
    ({"validations": [{"expression": " "}]}, {"spec.validations[0].expression": "expression is not specified"}),
    ({"validations": [{"expression": "params.x == 1"}]}, {"spec.validations[0].expression": "undeclared reference to 'params'"}),
    ({"validations": [{"expression": "true", "message": "a\nb"}]}, {"spec.validations[0].message": "must not contain line breaks"}),
    ({"validations": [{"expression": "true ||\nfalse"}]}, {"spec.validations[0].message": "must be specified if expression contains line breaks"}),
    ({"validations": [{"expression": "true", "reason": "Odd"}]}, {"spec.validations[0].reason": "Unsupported value"}),
    ({"validations": [{"expression": "true", "messageExpression": "authorizer.path('x').check('get').reason()"}]},
     {"spec.validations[0].messageExpression": "undeclared reference to 'authorizer'"}),
    ({"matchConditions": [{"name": "a b", "expression": "true"}]}, {"spec.matchConditions[0].name": "Invalid value"}),
    ({"variables": [{"name": "in", "expression": "1"}]}, {"spec.variables[0].name": "not a valid CEL identifier"}),
    ({"variables": [{"name": "a", "expression": "variables.b"}, {"name": "b", "expression": "1"}]},
     {"spec.variables[0].expression": "undefined field 'b'"}),
    ({"failurePolicy": "Maybe"}, {"spec.failurePolicy": "Unsupported value"}),
    ({"paramKind": {"kind": "X"}}, {"spec.paramKind.apiVersion": "Required value"}),
    ({"matchConstraints": {"resourceRules": []}}, {"spec.matchConstraints.resourceRules": "Required value"}),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "causes"), INVALID)
async def test_a_wrong_policy_is_refused(client: InProcessClient, spec: Object, causes: dict[str, str]) -> None:
    value = policy("p", *spec.pop("validations", ["true"] if spec else []), **spec)
    with pytest.raises(Invalid) as caught:
        await client.create(POLICIES, value)
    found = {c["field"]: c["message"] for c in (caught.value.details or {})["causes"]}
    for field, says in causes.items():
        assert says in found.get(field, ""), found


INVALID_BINDINGS = [
    ({"validationActions": []}, "spec.validationActions"),
    ({"validationActions": ["Deny", "Warn"]}, "spec.validationActions"),
    ({"validationActions": ["Shout"]}, "spec.validationActions[0]"),
    ({"policyName": ""}, "spec.policyName"),
    ({"paramRef": {"name": "a"}}, "spec.paramRef.parameterNotFoundAction"),
    ({"paramRef": {"parameterNotFoundAction": "Deny"}}, "spec.paramRef"),
]


@pytest.mark.parametrize(("spec", "field"), INVALID_BINDINGS)
async def test_a_wrong_binding_is_refused(client: InProcessClient, spec: Object, field: str) -> None:
    value = binding("b", policy_name="p")
    value["spec"] |= spec
    with pytest.raises(Invalid) as caught:
        await client.create(BINDINGS, value)
    assert field in {c["field"] for c in (caught.value.details or {})["causes"]}


async def test_defaults_are_upstreams(client: InProcessClient) -> None:
    spec = (await client.create(POLICIES, policy("p", "true")))["spec"]
    assert spec["failurePolicy"] == "Fail" and spec["matchConstraints"]["matchPolicy"] == "Equivalent"
    assert spec["matchConstraints"]["namespaceSelector"] == {} and spec["matchConstraints"]["resourceRules"][0]["scope"] == "*"


async def test_forbidden_is_the_default_of_nobody(client: InProcessClient) -> None:
    await install(client, policy("p", {"expression": "false", "reason": "Forbidden"}))
    assert isinstance(await refusal(client, configmap("x")), Forbidden)
