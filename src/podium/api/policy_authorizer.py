"""The authorizer of expressions: `authorizer.group('apps').resource('deployments').check('create')` asks who may do what here.

A selector in the question narrows nothing: an answer is given for the whole, which is never more permissive.
"""

from podium.api import authorization
from podium.api.core import Core
from podium.api.request import Request, User
from podium.objects.cel.authorization import Decide, Decision, Question
from podium.objects.resources import Resource
from podium.objects.status import StatusError


def decide_for(core: Core, user: User) -> Decide:
    """Answers for `user`, or for the service account that the question names."""

    def decide(question: Question) -> Decision:
        asker = _service_account(question.service_account) if question.service_account else user
        if question.path:
            return Decision("system:masters" in asker.groups)
        resource = _resource(core, question)
        request = Request(question.verb, resource, asker, question.namespace or None, question.name, question.subresource)
        try:
            authorization.authorize(request)
        except StatusError as refusal:
            return Decision(False, refusal.message)
        return Decision(True)

    return decide


def _resource(core: Core, question: Question) -> Resource:
    known = next((r for r in core.catalog if r.group == question.group and r.plural == question.resource), None)
    return known or Resource(question.group, "v1", question.resource, question.resource, bool(question.namespace), verbs=())


def _service_account(name: str) -> User:
    namespace, _, account = name.partition("/")
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
    return User(f"system:serviceaccount:{namespace}:{account}", groups)
