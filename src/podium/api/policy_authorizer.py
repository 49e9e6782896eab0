"""The authorizer of expressions: `authorizer.group('apps').resource('deployments').check('create')` asks who may do what here.

A selector in the question narrows nothing: an answer is given for the whole, which is never more permissive.
"""

from podium.api.attributes import Attributes
from podium.api.core import Core
from podium.api.request import User
from podium.objects.cel.authorization import Decide, Decision, Question


def decide_for(core: Core, user: User) -> Decide:
    """Answers for `user`, or for the service account that the question names."""

    def decide(question: Question) -> Decision:
        asker = _service_account(question.service_account) if question.service_account else user
        if question.path:
            asked = Attributes(asker, question.verb, path=question.path)
        else:
            asked = Attributes(
                asker, question.verb, question.group, question.resource, question.subresource, question.namespace, question.name
            )
        decision = core.authorizer.decide(asked)
        return Decision(decision.allowed, decision.reason)

    return decide


def _service_account(name: str) -> User:
    namespace, _, account = name.partition("/")
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
    return User(f"system:serviceaccount:{namespace}:{account}", groups)
