"""May they? The chain of authorizers: system:masters, then the node authorizer, then RBAC. The first that allows decides; nothing denies outright.

Every request passes `authorize`, whichever transport it came by; reviews and the checks inside admission ask `decide` and `allows`.

Source: k8s.io/apiserver pkg/authorization/union, pkg/endpoints/filters/authorization.go (the wording of refusals).
"""

from podium.api.attributes import Attributes, Decision, attributes_of, forbidden
from podium.api.node_authorizer import NodeAuthorizer, is_node
from podium.api.rbac import Rbac
from podium.api.request import Request, User
from podium.store.interface import Store

MASTERS = "system:masters"


class Authorizer:
    """Allows system:masters only, until it is loaded."""

    def __init__(self) -> None:
        self.rbac = Rbac()
        self.nodes = NodeAuthorizer()

    async def load(self, store: Store) -> None:
        await self.rbac.load(store)
        await self.nodes.load(store)

    def authorize(self, request: Request, verb: str = "") -> None:
        """Raises Forbidden, worded as upstream. `verb` replaces the request's own (connections)."""
        if MASTERS in request.user.groups:
            return
        attributes = attributes_of(request, verb)
        if not self.allows(attributes):
            raise forbidden(attributes, self.decide(attributes).reason)

    def authorize_creation(self, request: Request) -> None:
        """For a request of another verb that turns out to create its object (apply). Raises Forbidden."""
        self.require(attributes_of(request, "create")._replace(name=request.name))

    def authorize_path(self, user: User, verb: str, path: str) -> None:
        """For a document, which no resource's URL names. Raises Forbidden."""
        self.require(Attributes(user, verb, path=path))

    def require(self, attributes: Attributes) -> None:
        """Raises Forbidden."""
        if not self.allows(attributes):
            raise forbidden(attributes, self.decide(attributes).reason)

    def allows(self, attributes: Attributes) -> bool:
        user = attributes.user
        if MASTERS in user.groups:
            return True
        if is_node(user) and self.nodes.decide(attributes).allowed:
            return True
        return self.rbac.allows(attributes)

    def decide(self, attributes: Attributes) -> Decision:
        """With reasons, for reviews and refusals: slower than `allows`, the same answer."""
        if MASTERS in attributes.user.groups:
            return Decision(True)
        reasons = []
        for decision in (self.nodes.decide(attributes), self.rbac.explain(attributes)):
            if decision.allowed:
                return decision
            if decision.reason:
                reasons.append(decision.reason)
        return Decision(False, "\n".join(reasons))
