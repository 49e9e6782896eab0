"""Groups of Kubernetes' own domains: definitions in them need an approval, given as an annotation.

Source: k8s.io/apiextensions-apiserver pkg/apihelpers/helpers.go (GetAPIApprovalState), KEP-1111.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from podium.objects.cause import Cause, invalid, required
from podium.objects.values import Object

ANNOTATION = "api-approved.kubernetes.io"
_WHERE = "see https://github.com/kubernetes/enhancements/pull/1111"
MISSING = f'protected groups must have approval annotation "{ANNOTATION}", {_WHERE}'
WRONG = f'protected groups must have approval annotation "{ANNOTATION}" with either a URL or a reason starting with "unapproved", {_WHERE}'


def is_protected(group: str) -> bool:
    return group in ("k8s.io", "kubernetes.io") or group.endswith((".k8s.io", ".kubernetes.io"))


def approval(annotations: Mapping[str, str] | None) -> tuple[str, str, str]:
    """(status, reason, message) of the condition about it."""
    text = (annotations or {}).get(ANNOTATION, "")
    if not text:
        return "False", "MissingAnnotation", MISSING
    if text.startswith("unapproved"):
        return "False", "UnapprovedAnnotation", f'not approved: "{text}"'
    if _is_url(text):
        return "True", "ApprovedAnnotation", f"approved in {text}"
    return "False", "InvalidAnnotation", WRONG


def approval_fault(definition: Object) -> Cause | None:
    if not is_protected((definition.get("spec") or {}).get("group", "")):
        return None
    annotations = definition["metadata"].get("annotations") or {}
    field = f"metadata.annotations[{ANNOTATION}]"
    match approval(annotations)[1]:
        case "MissingAnnotation":
            return required(field, MISSING)
        case "InvalidAnnotation":
            return invalid(field, annotations[ANNOTATION], WRONG)
    return None


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme and parts.netloc)
