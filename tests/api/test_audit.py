"""The audit log: the policy's first matching rule decides; events have upstream's fields; files are rotated; nothing is lost at the end."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from podium.api import audit_policy
from podium.api.audit_log import AuditLog
from podium.api.request import Request, User
from podium.client.in_process import InProcessClient
from podium.control_plane import ControlPlane
from podium.objects.resources import resource
from podium.objects.status import NotFound
from podium.world.real import RealWorld
from tests.api.objects import configmap
from tests.api.test_server import Live, live  # noqa: F401  # a fixture

CONFIGMAPS, SECRETS = resource("configmaps"), resource("secrets")
POLICY = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: [quiet]
- level: Metadata
  resources: [{group: "", resources: [secrets]}]
- level: RequestResponse
  omitManagedFields: true
  verbs: [create, update, patch, delete]
- level: None
  nonResourceURLs: ["/openapi*"]
- level: Metadata
"""


def attach(plane: ControlPlane, path: Path, policy: str = POLICY, **more: Any) -> AuditLog:
    plane.server.audit = AuditLog(audit_policy.parse(policy), path, plane.world, **more)
    return plane.server.audit


async def events(audit: AuditLog, path: Path) -> list[dict[str, Any]]:
    await audit.flush()
    return [orjson.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


async def test_an_event_tells_who_did_what_and_what_came_of_it(plane: ControlPlane, client: InProcessClient, tmp_path: Path) -> None:
    audit = attach(plane, tmp_path / "audit.log")
    await client.create(CONFIGMAPS, configmap("a", k="v"))
    (event,) = await events(audit, tmp_path / "audit.log")
    assert {k: event[k] for k in ("kind", "apiVersion", "level", "stage", "verb", "requestURI")} == {
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "stage": "ResponseComplete", "verb": "create",
        "requestURI": "/api/v1/namespaces/default/configmaps",
    }  # fmt: skip
    assert event["user"]["username"] == "kubernetes-admin" and event["sourceIPs"] == ["127.0.0.1"]
    assert event["objectRef"] == {"resource": "configmaps", "namespace": "default", "name": "a", "apiVersion": "v1"}
    assert event["responseStatus"] == {"metadata": {}, "code": 201}
    assert event["requestObject"]["data"] == {"k": "v"} and "uid" not in event["requestObject"]["metadata"]
    assert event["responseObject"]["metadata"]["uid"] and "managedFields" not in event["responseObject"]["metadata"]
    assert event["annotations"]["authorization.k8s.io/decision"] == "allow"
    assert event["requestReceivedTimestamp"] <= event["stageTimestamp"] and event["auditID"]
    assert (tmp_path / "audit.log").stat().st_mode & 0o777 == 0o600


async def test_bodies_of_secrets_stay_out_where_the_policy_says_so(plane: ControlPlane, client: InProcessClient, tmp_path: Path) -> None:
    audit = attach(plane, tmp_path / "audit.log")
    value = {"metadata": {"name": "s", "namespace": "default"}, "stringData": {"password": "hunter2"}}
    await client.create(SECRETS, value)
    (event,) = await events(audit, tmp_path / "audit.log")
    assert event["level"] == "Metadata" and event["objectRef"]["name"] == "s"
    assert b"hunter2" not in (tmp_path / "audit.log").read_bytes()


async def test_refusals_are_recorded_and_some_users_are_not(plane: ControlPlane, client: InProcessClient, tmp_path: Path) -> None:
    audit = attach(plane, tmp_path / "audit.log")
    with pytest.raises(NotFound):
        await client.get(CONFIGMAPS, "absent", "default")
    await plane.client(User("quiet", ("system:masters",))).list(CONFIGMAPS, "default")
    (event,) = await events(audit, tmp_path / "audit.log")
    status = event["responseStatus"]
    assert (status["code"], status["status"], status["reason"]) == (404, "Failure", "NotFound")


async def test_requests_over_https_with_their_origin(live: Live, tmp_path: Path) -> None:  # noqa: F811  # the fixture
    audit = attach(live.plane, tmp_path / "audit.log")
    await live.ask("GET", "/api/v1/namespaces/default/configmaps?limit=5", user_agent="test/1")
    await live.ask("GET", "/openapi/v2")
    await live.ask("GET", "/version")
    assert (await live.raw.request("GET", "/api/v1/nodes")).status == 401
    headers = {"impersonate_user": "jane"}
    assert (await live.ask("GET", "/api/v1/namespaces/default/secrets", **headers)).status == 403
    listed, version, unknown, refused = await events(audit, tmp_path / "audit.log")
    assert (listed["requestURI"], listed["userAgent"]) == ("/api/v1/namespaces/default/configmaps?limit=5", "test/1")
    assert version["requestURI"] == "/version" and "objectRef" not in version
    assert (unknown["responseStatus"]["code"], unknown["user"]["username"]) == (401, "system:anonymous")
    assert (refused["user"]["username"], refused["impersonatedUser"]["username"]) == ("kubernetes-admin", "jane")
    assert refused["annotations"]["authorization.k8s.io/decision"] == "forbid"


async def test_files_are_rotated_and_the_oldest_go(plane: ControlPlane, client: InProcessClient, tmp_path: Path) -> None:
    audit = attach(plane, tmp_path / "audit.log", file_bytes_max=2000, files_max=2)
    for i in range(6):
        await client.create(CONFIGMAPS, configmap(f"c{i}"))
        await audit.flush()
    assert len(list(tmp_path.glob("audit-*.log"))) == 2 and (tmp_path / "audit.log").exists()


async def test_a_disk_that_refuses_costs_events_not_requests(plane: ControlPlane, client: InProcessClient, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    audit = attach(plane, tmp_path / "file" / "audit.log")
    await client.create(CONFIGMAPS, configmap("a"))
    await audit.flush()
    assert audit.dropped == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("kind: Pod", "it must be a Policy of audit.k8s.io/v1"),
        ("{apiVersion: audit.k8s.io/v1, kind: Policy, rules: []}", "loaded illegal policy with 0 rules"),
        ("{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: All}]}", r"rules\[0\].level: Unsupported value: 'All'"),
        ("{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: None, verb: [get]}]}", r"unknown field rules\[0\].verb"),
        (
            "{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: None, namespaces: [a], nonResourceURLs: ['/a']}]}",
            "rules cannot apply to both regular resources and non-resource URLs",
        ),
        ("{apiVersion: audit.k8s.io/v1, kind: Policy, omitStages: [Never], rules: [{level: None}]}", "omitStages: Invalid value: 'Never'"),
    ],
)
def test_a_policy_without_sense_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        audit_policy.parse(text)


def test_rules_match_resources_and_subresources() -> None:
    text = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- {level: Request, resources: [{group: '', resources: [%s], resourceNames: %s}]}"
    cases = [
        ("pods", "[]", "", True), ("pods", "[]", "log", False), ("pods/log", "[]", "log", True), ("'*/log'", "[]", "log", True),
        ("'pods/*'", "[]", "exec", True), ("pods", "[other]", "", False), ("pods", "[p]", "", True), ("'*'", "[]", "", True),
    ]  # fmt: skip
    for resources, names, subresource, matches in cases:
        policy = audit_policy.parse(text % (resources, names))
        request = Request("get", resource("pods"), User("u"), "default", "p", subresource)
        assert bool(policy.decide(User("u"), "get", request).level) == matches, (resources, names, subresource)


def test_the_clock_of_events_is_the_worlds() -> None:
    assert AuditLog(audit_policy.parse(POLICY), Path("/nowhere"), RealWorld()).now().endswith("Z")
