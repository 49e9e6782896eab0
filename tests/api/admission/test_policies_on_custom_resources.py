"""Policies about custom resources, and custom resources as their parameters."""

import pytest

from podium.client.in_process import InProcessClient
from podium.control_plane import ControlPlane
from podium.objects.status import Forbidden, Invalid
from tests.api.admission import test_mutating_policies as mutating
from tests.api.admission import test_validating_policies as validating
from tests.api.objects import configmap
from tests.api.test_custom_resources import DEFINITIONS, crontab, definition, served


@pytest.fixture
async def crontabs(client: InProcessClient) -> InProcessClient:
    await client.create(DEFINITIONS, definition())
    return client


async def test_a_custom_resource_is_validated(crontabs: InProcessClient, plane: ControlPlane) -> None:
    value = validating.policy("p", "!has(object.spec.replicas) || object.spec.replicas < 5")
    value["spec"]["matchConstraints"]["resourceRules"] = [validating.rule("crontabs", group="example.com")]
    await validating.install(crontabs, value)
    with pytest.raises(Invalid, match="denied request: failed expression"):
        await crontabs.create(served(plane), crontab(replicas=9))
    await crontabs.create(served(plane), crontab(replicas=4))


async def test_a_custom_resource_is_mutated_by_its_schema(crontabs: InProcessClient, plane: ControlPlane) -> None:
    spec = "Object.spec{image: 'i', steps: [Object.spec.steps{name: 's', run: 'r'}]}"
    expression = f"Object{{metadata: Object.metadata{{labels: {{'a': 'b'}}}}, spec: {spec}}}"
    await mutating.install(crontabs, mutating.policy("p", mutating.applied(expression), resources="crontabs"))
    created = await crontabs.create(served(plane), crontab(steps=[{"name": "first"}]))
    assert created["spec"]["steps"] == [{"name": "first"}, {"name": "s", "run": "r"}] and created["spec"]["image"] == "i"
    assert created["metadata"]["labels"] == {"a": "b"}


async def test_an_unknown_field_of_a_custom_resource_fails_the_mutation(crontabs: InProcessClient, plane: ControlPlane) -> None:
    await mutating.install(crontabs, mutating.policy("p", mutating.applied("Object{spec: Object.spec{none: 1}}"), resources="crontabs"))
    with pytest.raises(Forbidden, match=r"\.spec\.none: field not declared in schema"):
        await crontabs.create(served(plane), crontab())


async def test_a_custom_resource_is_a_parameter(crontabs: InProcessClient, plane: ControlPlane) -> None:
    await crontabs.create(served(plane), crontab("limits", replicas=3))
    kind = {"apiVersion": "example.com/v1", "kind": "CronTab"}
    value = validating.policy("p", "size(object.data) <= params.spec.replicas", paramKind=kind)
    await validating.install(crontabs, value, paramRef={"name": "limits", "parameterNotFoundAction": "Deny"})
    await crontabs.create(validating.CONFIGMAPS, configmap("ok", a="1"))
    with pytest.raises(Invalid, match="failed expression"):
        await crontabs.create(validating.CONFIGMAPS, configmap("x", a="1", b="2", c="3", d="4"))
