"""Parameters: the objects that a binding hands to its policy.

Source: k8s.io/apiserver pkg/admission/plugin/policy/generic/policy_dispatcher.go (CollectParams).
"""

from podium.api.core import Core
from podium.api.request import Request
from podium.objects.admission_policies import Binding, Policy
from podium.objects.selectors import from_value
from podium.objects.values import Object

PARAMS_MAX = 1000
"""How many objects a selector may give to one binding."""


class ParamsFault(Exception):
    """The binding asks for what cannot be had: its policy fails."""


async def params_of(core: Core, request: Request, policy: Policy, binding: Binding) -> list[Object | None]:
    """[None] when the policy takes none; empty when there are none and that is allowed. Raises ParamsFault."""
    reference = binding.param
    if policy.param_kind is None or reference is None:
        return [None]
    api_version, kind = policy.param_kind
    found = core.catalog.by_kind(api_version, kind)
    if found is None:
        raise ParamsFault(f"paramKind kind `{api_version}, Kind={kind}` not known")
    namespace = reference.get("namespace") or ""
    if namespace and not found.namespaced:
        raise ParamsFault("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
    if found.namespaced:
        namespace = namespace or request.namespace or ""
        if not namespace:
            raise ParamsFault("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources")
    if name := reference.get("name"):
        record = await core.store.get(found.key(namespace, name))
        params: list[Object | None] = [] if record is None else [(await core.seen(found, [record]))[0].value]
    else:
        prefix = f"{found.prefix}{namespace}/" if found.namespaced else found.prefix
        selector = from_value(reference.get("selector") or {})
        records = await core.seen(found, (await core.store.range(prefix)).records)
        params = [r.value for r in records if selector.matches(r.value["metadata"].get("labels"))]
        if len(params) > PARAMS_MAX:
            raise ParamsFault(f"the selector of paramRef finds {len(params)} objects: at most {PARAMS_MAX}")
    if not params and reference.get("parameterNotFoundAction") == "Deny":
        raise ParamsFault("no params found for policy binding with `Deny` parameterNotFoundAction")
    return params
