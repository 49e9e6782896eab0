"""Webhooks: who is asked, what they see, what their answers do, what happens when they cannot be asked."""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from podium.api.authority import Authority
from podium.api.encoding import encode
from podium.api.request import Request, User
from podium.client.in_process import InProcessClient
from podium.control_plane import ControlPlane
from podium.objects.resources import Resource, resource
from podium.objects.status import BadRequest, Forbidden, Invalid, ServerError, StatusError
from podium.objects.values import copy
from podium.world.http_server import Response
from tests.api.admission.hooks import ALLOW, HookServer, configuration, deny, patch
from tests.api.objects import configmap, pod, service
from tests.api.test_server import Live, live  # noqa: F401  # a fixture

GROUP = "admissionregistration.k8s.io"
MUTATING, VALIDATING = resource("mutatingwebhookconfigurations", GROUP), resource("validatingwebhookconfigurations", GROUP)
CONFIGMAPS, PODS, NAMESPACES, DEPLOYMENTS = (
    resource("configmaps"), resource("pods"), resource("namespaces"), resource("deployments", "apps"),
)  # fmt: skip
SUITE = "[sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] "


@pytest.fixture(scope="module")
def hook_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.load_or_create(Path(tmp_path_factory.mktemp("hook-pki")))


@pytest.fixture
async def hooks(hook_authority: Authority) -> AsyncIterator[HookServer]:
    server = HookServer(hook_authority)
    await server.start()
    yield server
    await server.stop()


def add_data(**data: str) -> Any:
    return lambda request: patch(*({"op": "add", "path": f"/data/{k}", "value": v} for k, v in data.items()))


@pytest.mark.conformance(SUITE + "should be able to deny pod and configmap creation [Conformance]")
async def test_a_refusal_carries_the_webhooks_words(client: InProcessClient, hooks: HookServer) -> None:
    hooks.paths["/deny"] = lambda request: deny("this is forbidden", reason="Forbidden", code=403)
    await client.create(VALIDATING, configuration("Validating", "v", hooks.webhook("/deny", "pods configmaps", "CREATE UPDATE")))
    with pytest.raises(Forbidden) as refusal:
        await client.create(CONFIGMAPS, configmap("a"))
    assert refusal.value.message == 'admission webhook "deny.test.example" denied the request: this is forbidden'
    with pytest.raises(Forbidden):
        await client.create(PODS, pod("a"))
    hooks.paths["/deny"] = lambda request: {"allowed": False}
    with pytest.raises(BadRequest) as plain:
        await client.create(CONFIGMAPS, configmap("a"))
    assert plain.value.message == 'admission webhook "deny.test.example" denied the request without explanation'


async def test_what_a_webhook_is_told(plane: ControlPlane, client: InProcessClient, hooks: HookServer) -> None:
    hooks.paths["/v"] = lambda request: {**ALLOW, "warnings": ["be careful"], "auditAnnotations": {"seen": "yes"}}
    await client.create(VALIDATING, configuration("Validating", "v", hooks.webhook("/v", "configmaps", "CREATE UPDATE DELETE")))
    request = Request(
        "create", CONFIGMAPS, User("jane", ("devs",), "u1"), "default", value=configmap("a", k="v"), options={"fieldManager": "me"}
    )
    request.user = User("jane", ("system:masters",), "u1")
    await plane.server.execute(request)
    assert request.warnings == ["be careful"] and request.annotations == {"v.test.example/seen": "yes"}
    _, asked = hooks.asked[-1]
    assert asked["kind"] == {"group": "", "version": "v1", "kind": "ConfigMap"}
    assert asked["resource"] == asked["requestResource"] == {"group": "", "version": "v1", "resource": "configmaps"}
    assert (asked["name"], asked["namespace"], asked["operation"], asked["dryRun"]) == ("a", "default", "CREATE", False)
    assert asked["userInfo"] == {"username": "jane", "uid": "u1", "groups": ["system:masters"]}
    assert asked["options"] == {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "me"}
    assert asked["object"]["data"] == {"k": "v"} and asked["oldObject"] is None
    await client.patch(CONFIGMAPS, "a", {"data": {"k": "w"}}, "default")
    _, asked = hooks.asked[-1]
    assert (asked["operation"], asked["object"]["data"], asked["oldObject"]["data"]) == ("UPDATE", {"k": "w"}, {"k": "v"})
    await client.delete(CONFIGMAPS, "a", "default")
    _, asked = hooks.asked[-1]
    assert (asked["operation"], asked["object"], asked["oldObject"]["data"]) == ("DELETE", None, {"k": "w"})


@pytest.mark.conformance(SUITE + "should mutate configmap [Conformance]")
async def test_mutating_webhooks_see_what_the_ones_before_left(client: InProcessClient, hooks: HookServer) -> None:
    hooks.paths["/first"] = add_data(first="1")
    hooks.paths["/second"] = lambda request: add_data(second="2")(request) if "first" in request["object"]["data"] else ALLOW
    await client.create(MUTATING, configuration("Mutating", "b", hooks.webhook("/second")))
    await client.create(MUTATING, configuration("Mutating", "a", hooks.webhook("/first")))
    assert (await client.create(CONFIGMAPS, configmap("a", k="v")))["data"] == {"k": "v", "first": "1", "second": "2"}
    stored = await client.get(CONFIGMAPS, "a", "default")
    assert stored["data"]["second"] == "2" and stored["metadata"]["uid"]


@pytest.mark.conformance(SUITE + "should mutate pod and apply defaults after mutation [Conformance]")
async def test_what_a_webhook_adds_gets_defaults_and_the_other_plugins_work(client: InProcessClient, hooks: HookServer) -> None:
    sidecar = {"name": "init", "image": "webhook-added-image"}
    hooks.paths["/inject"] = lambda request: patch({"op": "add", "path": "/spec/initContainers", "value": [sidecar]})
    await client.create(MUTATING, configuration("Mutating", "m", hooks.webhook("/inject", "pods")))
    made = await client.create(PODS, pod("a"))
    (init,) = made["spec"]["initContainers"]
    assert init["terminationMessagePolicy"] == "File"
    assert [m["mountPath"] for m in init["volumeMounts"]] == ["/var/run/secrets/kubernetes.io/serviceaccount"]
    assert len(made["spec"]["volumes"]) == 1


async def test_a_webhook_of_the_older_review_is_asked_in_it(client: InProcessClient, hooks: HookServer) -> None:
    asked: list[dict[str, Any]] = []
    change = base64.b64encode(b'[{"op": "add", "path": "/data/old", "value": "1"}]').decode()

    def respond(body: dict[str, Any]) -> dict[str, Any]:
        asked.append(body)
        return {"response": {"allowed": True, "patch": change}}  # neither its kind, nor the question's uid, nor the kind of the patch

    hooks.whole = respond
    await client.create(MUTATING, configuration("Mutating", "m", hooks.webhook("/old", admissionReviewVersions=["v0", "v1beta1", "v1"])))
    assert (await client.create(CONFIGMAPS, configmap("a", k="v")))["data"] == {"k": "v", "old": "1"}
    assert (asked[0]["apiVersion"], asked[0]["kind"]) == ("admission.k8s.io/v1beta1", "AdmissionReview")
    assert asked[0]["request"]["object"]["data"] == {"k": "v"}
    hooks.whole = lambda body: {**respond(body), "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}
    with pytest.raises(
        ServerError, match=r"expected webhook response of admission\.k8s\.io/v1beta1, Kind=AdmissionReview, got admission\.k8s\.io/v1"
    ):
        await client.create(CONFIGMAPS, configmap("b"))


async def test_a_webhook_is_asked_again_when_a_later_one_changed_something(client: InProcessClient, hooks: HookServer) -> None:
    hooks.paths["/labels"] = lambda request: patch({"op": "add", "path": "/data/count", "value": str(len(request["object"]["data"]))})
    hooks.paths["/other"] = add_data(other="x")
    for policy, calls in (("Never", 1), ("IfNeeded", 2)):
        first = hooks.webhook("/labels", reinvocationPolicy=policy)
        await client.create(MUTATING, configuration("Mutating", "m", first, hooks.webhook("/other")))
        hooks.asked.clear()
        await client.create(CONFIGMAPS, configmap(f"c-{policy.lower()}", k="v"))
        assert sum(path == "/labels" for path, _ in hooks.asked) == calls
        await client.delete(MUTATING, "m")


async def test_a_webhook_cannot_take_over_what_is_the_servers(client: InProcessClient, hooks: HookServer) -> None:
    hooks.paths["/m"] = lambda request: patch(
        {"op": "replace", "path": "/metadata/uid", "value": "other"}, {"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}
    )
    await client.create(MUTATING, configuration("Mutating", "m", hooks.webhook("/m")))
    made = await client.create(CONFIGMAPS, configmap("a"))
    assert made["metadata"]["uid"] != "other" and made["metadata"]["labels"] == {"a": "b"} and made["metadata"]["managedFields"]


async def test_selectors_and_rules_choose_the_objects(client: InProcessClient, hooks: HookServer) -> None:
    hooks.paths["/v"] = lambda request: ALLOW
    namespaces = {"matchLabels": {"kubernetes.io/metadata.name": "chosen"}}
    objects = {"matchExpressions": [{"key": "skip", "operator": "DoesNotExist"}]}
    hook = hooks.webhook("/v", namespaceSelector=namespaces, objectSelector=objects)
    await client.create(VALIDATING, configuration("Validating", "v", hook))
    await client.create(NAMESPACES, {"metadata": {"name": "chosen"}})
    chosen = {**configmap("a"), "metadata": {"name": "a", "namespace": "chosen"}}
    await client.create(CONFIGMAPS, configmap("a"))
    await client.create(CONFIGMAPS, chosen)
    await client.create(CONFIGMAPS, {**chosen, "metadata": {**chosen["metadata"], "name": "b", "labels": {"skip": "me"}}})
    assert [asked["namespace"] for _, asked in hooks.asked] == ["chosen"]


async def test_an_equivalent_version_matches_and_is_what_the_webhook_is_shown(client: InProcessClient, hooks: HookServer) -> None:
    hooks.paths["/v"] = lambda request: ALLOW
    rule = {"operations": ["CREATE"], "apiGroups": ["autoscaling"], "apiVersions": ["v1"], "resources": ["horizontalpodautoscalers"]}
    for name, policy in (("exact", "Exact"), ("any", "Equivalent")):
        hook = {**hooks.webhook("/v"), "name": f"{name}.test.example", "rules": [rule], "matchPolicy": policy}
        await client.create(VALIDATING, configuration("Validating", name, hook))
    kind = resource("horizontalpodautoscalers", "autoscaling")
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
    value = {"metadata": {"name": "h", "namespace": "default"}, "spec": {"maxReplicas": 3, "scaleTargetRef": target}}
    await client.create(kind, value)
    ((_, asked),) = hooks.asked
    assert (asked["kind"]["version"], asked["requestKind"]["version"], asked["object"]["apiVersion"]) == ("v1", "v2", "autoscaling/v1")


@pytest.mark.conformance(SUITE + "should honor timeout [Conformance]")
@pytest.mark.conformance(SUITE + "should unconditionally reject operations on fail closed webhook [Conformance]")
async def test_a_webhook_that_cannot_be_asked_refuses_or_is_passed_over(client: InProcessClient, hooks: HookServer) -> None:
    gone = hooks.webhook("/v", failurePolicy="Fail")
    gone["clientConfig"] = {**gone["clientConfig"], "url": "https://127.0.0.1:1/v"}
    await client.create(VALIDATING, configuration("Validating", "v", gone))
    with pytest.raises(ServerError) as refusal:
        await client.create(CONFIGMAPS, configmap("a"))
    assert refusal.value.message == (
        'Internal error occurred: failed calling webhook "v.test.example": failed to call webhook: '
        'Post "https://127.0.0.1:1/v?timeout=10s": dial tcp 127.0.0.1:1: connect: connection refused'
    )
    await client.patch(VALIDATING, "v", [{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}], type="json")
    await client.create(CONFIGMAPS, configmap("a"))


async def test_a_connection_that_the_webhook_closed_meanwhile_costs_nothing(client: InProcessClient, hooks: HookServer) -> None:
    hooks.paths["/v"] = lambda request: ALLOW
    await client.create(VALIDATING, configuration("Validating", "v", hooks.webhook("/v")))
    for name in ("a", "b", "c"):
        await client.create(CONFIGMAPS, configmap(name))
        hooks.drop_connections()
    assert len(hooks.asked) == 3


@pytest.mark.slow
async def test_a_slow_webhook_times_out(client: InProcessClient, hooks: HookServer) -> None:
    async def slow(request: Any) -> Any:
        await asyncio.sleep(3)
        return ALLOW

    hooks.paths["/v"] = slow
    await client.create(VALIDATING, configuration("Validating", "v", hooks.webhook("/v", timeoutSeconds=1)))
    with pytest.raises(ServerError, match=r"\?timeout=1s\": context deadline exceeded"):
        await client.create(CONFIGMAPS, configmap("a"))


async def test_a_certificate_of_another_authority_is_not_trusted(client: InProcessClient, hooks: HookServer, tmp_path: Path) -> None:
    hook = hooks.webhook("/v")
    authority = Authority.load_or_create(tmp_path)
    hook["clientConfig"]["caBundle"] = base64.b64encode(authority.ca_pem).decode()
    await client.create(VALIDATING, configuration("Validating", "v", hook))
    with pytest.raises(ServerError, match="tls: failed to verify certificate: x509: certificate signed by unknown authority"):
        await client.create(CONFIGMAPS, configmap("a"))
    assert hooks.asked == []


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Response(500, b"oops"), 'an error on the server ("oops") has prevented the request from succeeding'),
        (Response(404, b""), "the server could not find the requested resource"),
        (Response(200, b"{}"), "webhook response was absent"),
        (
            Response(200, b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"x","allowed":true}}'),
            'expected response.uid="',
        ),
    ],
)
async def test_a_bad_answer_is_no_consent(client: InProcessClient, hooks: HookServer, answer: Response, why: str) -> None:
    await client.create(VALIDATING, configuration("Validating", "v", hooks.webhook("/v")))
    hooks.raw = answer
    with pytest.raises(ServerError) as refusal:
        await client.create(CONFIGMAPS, configmap("a"))
    assert why in refusal.value.message


async def test_a_validating_webhook_may_not_patch_and_a_patch_must_fit(client: InProcessClient, hooks: HookServer) -> None:
    hooks.paths["/v"] = add_data(a="b")
    await client.create(VALIDATING, configuration("Validating", "v", hooks.webhook("/v")))
    with pytest.raises(ServerError, match=r"validating webhook may not return response\.patch"):
        await client.create(CONFIGMAPS, configmap("a", k="v"))
    await client.delete(VALIDATING, "v")
    hooks.paths["/m"] = lambda request: patch({"op": "add", "path": "/data", "value": 5})
    await client.create(MUTATING, configuration("Mutating", "m", hooks.webhook("/m")))
    with pytest.raises(StatusError) as refusal:
        await client.create(CONFIGMAPS, configmap("a", k="v"))
    assert refusal.value.code == 500 and "data" in refusal.value.message


async def test_a_webhook_is_reached_through_its_service(plane: ControlPlane, client: InProcessClient, hooks: HookServer) -> None:
    hooks.paths["/v"] = lambda request: deny("by service")
    hook = hooks.webhook("/v")
    config = {"caBundle": hook["clientConfig"]["caBundle"], "service": {"namespace": "default", "name": "hook", "path": "/v"}}
    await client.create(VALIDATING, configuration("Validating", "v", {**hook, "clientConfig": config}))
    with pytest.raises(ServerError, match='failed to call webhook: service "hook" not found'):
        await client.create(CONFIGMAPS, configmap("a"))
    await client.create(resource("services"), service("hook", ports=[{"name": "https", "port": 443}]))
    with pytest.raises(ServerError, match='no endpoints available for service "hook"'):
        await client.create(CONFIGMAPS, configmap("a"))
    await _publish(plane, "hook", hooks.port)
    with pytest.raises(BadRequest, match="denied the request: by service"):
        await client.create(CONFIGMAPS, configmap("a"))


async def _publish(plane: ControlPlane, name: str, port: int) -> None:
    """Straight into the store: the API refuses loopback addresses in an EndpointSlice."""
    slices = resource("endpointslices", "discovery.k8s.io")
    value = {
        "metadata": {"name": name, "namespace": "default", "labels": {"kubernetes.io/service-name": name}},
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}], "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }  # fmt: skip
    await plane.server.core.store.put(slices.key("default", name), encode(value), expected=0, value=value)


async def test_a_dry_run_needs_a_webhook_without_side_effects(plane: ControlPlane, client: InProcessClient, hooks: HookServer) -> None:
    hooks.paths["/v"] = lambda request: ALLOW
    await client.create(VALIDATING, configuration("Validating", "v", hooks.webhook("/v", sideEffects="NoneOnDryRun")))
    admin = User("admin", ("system:masters",))
    await plane.server.execute(Request("create", CONFIGMAPS, admin, "default", value=configmap("dry"), options={"dryRun": "All"}))
    assert hooks.asked[-1][1]["dryRun"] is True and hooks.asked[-1][1]["options"]["dryRun"] == ["All"]


@pytest.mark.conformance(SUITE + "should not be able to mutate or prevent deletion of webhook configuration objects [Conformance]")
async def test_configurations_themselves_are_never_asked_about(client: InProcessClient, hooks: HookServer) -> None:
    hooks.paths["/v"] = lambda request: deny("no")
    everything = hooks.webhook("/v", "*/*", "*")
    await client.create(VALIDATING, configuration("Validating", "v", everything))
    await client.create(MUTATING, configuration("Mutating", "m", everything))
    with pytest.raises(BadRequest, match="denied the request: no"):
        await client.create(CONFIGMAPS, configmap("a"))
    await client.delete(VALIDATING, "v")
    await client.delete(MUTATING, "m")
    await client.create(CONFIGMAPS, configmap("a"))


@pytest.mark.conformance(SUITE + "patching/updating a validating webhook should work [Conformance]")
@pytest.mark.conformance(SUITE + "listing validating webhooks should work [Conformance]")
async def test_a_changed_or_deleted_configuration_counts_at_once(client: InProcessClient, hooks: HookServer) -> None:
    hooks.paths["/v"] = lambda request: deny("no")
    made = copy(await client.create(VALIDATING, configuration("Validating", "v", hooks.webhook("/v"), suite="x")))
    rule = made["webhooks"][0]["rules"][0]
    made["webhooks"][0]["rules"] = [{**rule, "operations": ["UPDATE"]}]
    await client.update(VALIDATING, made)
    await client.create(CONFIGMAPS, configmap("a"))
    await client.patch(VALIDATING, "v", [{"op": "replace", "path": "/webhooks/0/rules/0/operations", "value": ["CREATE"]}], type="json")
    with pytest.raises(BadRequest):
        await client.create(CONFIGMAPS, configmap("b"))
    assert len((await client.list(VALIDATING, labels="suite=x")).items) == 1
    await client.delete(VALIDATING, "v")
    await client.create(CONFIGMAPS, configmap("b"))


@pytest.mark.conformance(SUITE + "patching/updating a mutating webhook should work [Conformance]")
@pytest.mark.conformance(SUITE + "listing mutating webhooks should work [Conformance]")
async def test_a_changed_mutating_configuration_counts_at_once(client: InProcessClient, hooks: HookServer) -> None:
    hooks.paths["/m"] = add_data(added="x")
    await client.create(MUTATING, configuration("Mutating", "m", hooks.webhook("/m", operations="UPDATE")))
    assert (await client.create(CONFIGMAPS, configmap("a", k="v")))["data"] == {"k": "v"}
    await client.patch(MUTATING, "m", [{"op": "replace", "path": "/webhooks/0/rules/0/operations", "value": ["CREATE"]}], type="json")
    assert (await client.create(CONFIGMAPS, configmap("b", k="v")))["data"] == {"k": "v", "added": "x"}


async def test_defaults_of_a_configuration(client: InProcessClient, hooks: HookServer) -> None:
    made = await client.create(MUTATING, configuration("Mutating", "m", hooks.webhook("/m")))
    (hook,) = made["webhooks"]
    assert {k: hook[k] for k in ("failurePolicy", "matchPolicy", "timeoutSeconds", "reinvocationPolicy", "namespaceSelector")} == {
        "failurePolicy": "Fail", "matchPolicy": "Equivalent", "timeoutSeconds": 10, "reinvocationPolicy": "Never", "namespaceSelector": {},
    }  # fmt: skip
    assert hook["rules"][0]["scope"] == "*"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"name": "short"}, "should be a domain with at least three segments separated by dots"),
        ({"clientConfig": {}}, "webhooks[0].clientConfig: Required value: exactly one of url or service is required"),
        ({"clientConfig": {"url": "http://a.b/c"}}, "'https' is the only allowed URL scheme; desired format: https://host[/path]"),
        ({"sideEffects": "Some"}, 'webhooks[0].sideEffects: Unsupported value: "Some": supported values: "None", "NoneOnDryRun"'),
        ({"timeoutSeconds": 31}, "webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds"),
        ({"admissionReviewVersions": []}, "webhooks[0].admissionReviewVersions: Required value: must specify one of v1, v1beta1"),
        ({"matchConditions": [{"name": "a", "expression": "... [{ object.foo == bar"}]}, "compilation failed"),
        ({"matchConditions": [{"name": "a", "expression": "object.metadata"}]}, "must evaluate to bool"),
        (
            {"rules": [{"operations": ["*", "CREATE"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}]},
            "if '*' is present, must not specify other operations",
        ),
    ],
)
@pytest.mark.conformance(SUITE + "should reject validating webhook configurations with invalid match conditions [Conformance]")
@pytest.mark.conformance(SUITE + "should reject mutating webhook configurations with invalid match conditions [Conformance]")
async def test_a_configuration_without_sense_is_refused(client: InProcessClient, hooks: HookServer, change: Any, why: str) -> None:
    with pytest.raises(Invalid) as refusal:
        await client.create(VALIDATING, configuration("Validating", "v", {**hooks.webhook("/v"), **change}))
    assert why in refusal.value.message


async def test_scaling_is_asked_about_as_a_scale(client: InProcessClient, hooks: HookServer) -> None:
    from tests.api.objects import deployment

    hooks.paths["/v"] = lambda request: ALLOW if request["object"]["spec"]["replicas"] < 5 else deny("too many")
    await client.create(VALIDATING, configuration("Validating", "v", hooks.webhook("/v", "deployments/scale", "UPDATE")))
    await client.create(DEPLOYMENTS, deployment("web"))
    await client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 3}}, "default", subresource="scale")
    assert hooks.asked[-1][1]["kind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    with pytest.raises(BadRequest, match="too many"):
        await client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 7}}, "default", subresource="scale")


@pytest.mark.conformance(
    SUITE + "should be able to create and update validating webhook configurations with match conditions [Conformance]"
)
@pytest.mark.conformance(SUITE + "should be able to create and update mutating webhook configurations with match conditions [Conformance]")
@pytest.mark.conformance(SUITE + "should mutate everything except 'skip-me' configmaps [Conformance]")
async def test_match_conditions_choose_the_objects(client: InProcessClient, hooks: HookServer) -> None:
    hooks.paths["/m"] = add_data(added="x")
    conditions = [{"name": "skip", "expression": "object.metadata.name != 'skip-me'"}]
    made = await client.create(MUTATING, configuration("Mutating", "m", hooks.webhook("/m", matchConditions=conditions)))
    assert made["webhooks"][0]["matchConditions"] == conditions
    assert (await client.create(CONFIGMAPS, configmap("skip-me", k="v")))["data"] == {"k": "v"}
    assert (await client.create(CONFIGMAPS, configmap("other", k="v")))["data"] == {"k": "v", "added": "x"}
    patched = [{"op": "replace", "path": "/webhooks/0/matchConditions/0/expression", "value": "false"}]
    await client.patch(MUTATING, "m", patched, type="json")
    assert (await client.create(CONFIGMAPS, configmap("third", k="v")))["data"] == {"k": "v"}


async def test_a_condition_that_fails_refuses_or_skips(client: InProcessClient, hooks: HookServer) -> None:
    conditions = [{"name": "c", "expression": "object.data.absent == 'x'"}]
    await client.create(VALIDATING, configuration("Validating", "v", hooks.webhook("/v", matchConditions=conditions)))
    with pytest.raises(Forbidden, match="no such key: absent"):
        await client.create(CONFIGMAPS, configmap("a", k="v"))
    await client.patch(VALIDATING, "v", [{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}], type="json")
    await client.create(CONFIGMAPS, configmap("a", k="v"))
    assert hooks.asked == []


@pytest.mark.conformance(SUITE + "should be able to deny attaching pod [Conformance]")
async def test_a_connection_can_be_denied(live: Live, hooks: HookServer) -> None:  # noqa: F811  # the fixture
    client = live.plane.client()
    hooks.paths["/v"] = lambda request: deny("attaching to pod 'a' is not allowed")
    await client.create(VALIDATING, configuration("Validating", "v", hooks.webhook("/v", "pods/attach", "CONNECT")))
    await client.create(PODS, pod("a"))
    answer = await live.ask("GET", "/api/v1/namespaces/default/pods/a/attach?container=c&stdin=true")
    assert answer.status == 400 and b"attaching to pod 'a' is not allowed" in answer.body
    _, asked = hooks.asked[-1]
    assert (asked["kind"]["kind"], asked["subResource"], asked["operation"]) == ("PodAttachOptions", "attach", "CONNECT")
    assert asked["object"] == {"kind": "PodAttachOptions", "apiVersion": "v1", "stdin": True, "container": "c"}


async def test_an_eviction_and_a_binding_can_be_denied(client: InProcessClient, hooks: HookServer) -> None:
    hooks.paths["/v"] = lambda request: deny(request["kind"]["kind"])
    await client.create(VALIDATING, configuration("Validating", "v", hooks.webhook("/v", "pods/binding pods/eviction")))
    await client.create(PODS, pod("a"))
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "a"}, "target": {"kind": "Node", "name": "n"}}
    with pytest.raises(BadRequest, match="denied the request: Binding"):
        await client.create(PODS, binding, "default", subresource="binding", name="a")
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "a", "namespace": "default"}}
    with pytest.raises(BadRequest, match="denied the request: Eviction"):
        await client.create(PODS, eviction, "default", subresource="eviction", name="a")


SCHEMA = {
    "type": "object",
    "properties": {"data": {"type": "object", "properties": {"k": {"type": "string"}, "added": {"type": "string"}}}},
}


async def _define(client: InProcessClient, plane: ControlPlane, *versions: str) -> list[Resource]:
    """Custom resources `things.example.com` in these versions; the first is stored."""
    names = {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"}
    served = [{"name": v, "served": True, "storage": v == versions[0], "schema": {"openAPIV3Schema": SCHEMA}} for v in versions]
    spec = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": served}
    definitions = resource("customresourcedefinitions", "apiextensions.k8s.io")
    await client.create(definitions, {"metadata": {"name": "things.example.com"}, "spec": spec})
    found = [plane.server.core.catalog.lookup("example.com", version, "things") for version in versions]
    return [f for f in found if f is not None]


def thing(resource: Resource, name: str = "a", **data: str) -> dict[str, Any]:
    return {"apiVersion": resource.api_version, "kind": "Thing", "metadata": {"name": name, "namespace": "default"}, "data": data}


@pytest.mark.conformance(SUITE + "should be able to deny custom resource creation, update and deletion [Conformance]")
async def test_custom_resources_can_be_denied(plane: ControlPlane, client: InProcessClient, hooks: HookServer) -> None:
    (things,) = await _define(client, plane, "v1")
    hooks.paths["/v"] = lambda request: (
        deny("no") if "bad" in ((request["object"] or request["oldObject"]).get("data") or {}).values() else ALLOW
    )
    await client.create(VALIDATING, configuration("Validating", "v", hooks.webhook("/v", "things", "CREATE UPDATE DELETE")))
    with pytest.raises(BadRequest, match="denied the request: no"):
        await client.create(things, thing(things, k="bad"))
    await client.create(things, thing(things, k="good"))
    with pytest.raises(BadRequest):
        await client.patch(things, "a", {"data": {"k": "bad"}}, "default")
    await client.delete(things, "a", "default")


@pytest.mark.conformance(SUITE + "should mutate custom resource [Conformance]")
@pytest.mark.conformance(SUITE + "should mutate custom resource with pruning [Conformance]")
async def test_custom_resources_are_mutated_and_pruned(plane: ControlPlane, client: InProcessClient, hooks: HookServer) -> None:
    (things,) = await _define(client, plane, "v1")
    hooks.paths["/m"] = add_data(added="x", unknown="y")
    await client.create(MUTATING, configuration("Mutating", "m", hooks.webhook("/m", "things")))
    assert (await client.create(things, thing(things, k="v")))["data"] == {"k": "v", "added": "x"}


@pytest.mark.conformance(SUITE + "should mutate custom resource with different stored version [Conformance]")
async def test_a_custom_resource_is_shown_in_the_version_of_the_rule(
    plane: ControlPlane, client: InProcessClient, hooks: HookServer
) -> None:
    v1, v2 = await _define(client, plane, "v1", "v2")
    hooks.paths["/m"] = add_data(added="x")
    hook = hooks.webhook("/m", "things", "CREATE UPDATE")
    hook["rules"][0]["apiVersions"] = ["v2"]
    await client.create(MUTATING, configuration("Mutating", "m", hook))
    made = await client.create(v1, thing(v1, k="v"))
    assert (made["apiVersion"], made["data"]) == ("example.com/v1", {"k": "v", "added": "x"})
    _, asked = hooks.asked[-1]
    assert (asked["kind"]["version"], asked["requestKind"]["version"], asked["object"]["apiVersion"]) == ("v2", "v1", "example.com/v2")
    assert (await client.patch(v2, "a", {"data": {"k": "w"}}, "default"))["apiVersion"] == "example.com/v2"


@pytest.mark.conformance(SUITE + "should deny crd creation [Conformance]")
async def test_a_definition_can_be_denied(plane: ControlPlane, client: InProcessClient, hooks: HookServer) -> None:
    hooks.paths["/v"] = lambda request: deny("no definitions")
    await client.create(VALIDATING, configuration("Validating", "v", hooks.webhook("/v", "customresourcedefinitions")))
    with pytest.raises(BadRequest, match="denied the request: no definitions"):
        await _define(client, plane, "v1")
