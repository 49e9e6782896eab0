"""ServiceAccounts: every namespace has one named `default`, for pods that name none.

Source: k8s.io/kubernetes pkg/controller/serviceaccount/serviceaccounts_controller.go.
"""

from podium.client.events import EventRecorder
from podium.client.interface import Client, Object
from podium.client.mirrors import Mirrors
from podium.controllers.namespace_content import NamespaceContent
from podium.objects.resources import resource
from podium.world.interface import World

NAME = "default"


class ServiceAccountController:
    def __init__(self, client: Client, mirrors: Mirrors, events: EventRecorder, world: World) -> None:
        self._content = NamespaceContent("service-accounts", client, mirrors, world, resource("serviceaccounts"), NAME, plan_account)

    async def run(self) -> None:
        await self._content.run()


def plan_account(current: Object | None) -> Object | None:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME}} if current is None else None
