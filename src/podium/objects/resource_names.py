"""What the documents we extract from do not say of a resource: short names, categories, streaming subresources, shared storage.

Keys are `plural` or `plural.group`. Source: the ShortNames, Categories and ConnectMethods of each registry's REST storage in upstream's
pkg/registry, and pkg/kubeapiserver/default_storage_factory_builder.go (cohabiting resources).
"""

SHORT_NAMES: dict[str, tuple[str, ...]] = {
    "configmaps": ("cm",),
    "endpoints": ("ep",),
    "events": ("ev",),
    "limitranges": ("limits",),
    "namespaces": ("ns",),
    "nodes": ("no",),
    "persistentvolumeclaims": ("pvc",),
    "persistentvolumes": ("pv",),
    "pods": ("po",),
    "replicationcontrollers": ("rc",),
    "resourcequotas": ("quota",),
    "serviceaccounts": ("sa",),
    "services": ("svc",),
    "customresourcedefinitions.apiextensions.k8s.io": ("crd", "crds"),
    "daemonsets.apps": ("ds",),
    "deployments.apps": ("deploy",),
    "replicasets.apps": ("rs",),
    "statefulsets.apps": ("sts",),
    "horizontalpodautoscalers.autoscaling": ("hpa",),
    "cronjobs.batch": ("cj",),
    "certificatesigningrequests.certificates.k8s.io": ("csr",),
    "events.events.k8s.io": ("ev",),
    "ingresses.networking.k8s.io": ("ing",),
    "ipaddresses.networking.k8s.io": ("ip",),
    "networkpolicies.networking.k8s.io": ("netpol",),
    "poddisruptionbudgets.policy": ("pdb",),
    "priorityclasses.scheduling.k8s.io": ("pc",),
    "storageclasses.storage.k8s.io": ("sc",),
    "volumeattributesclasses.storage.k8s.io": ("vac",),
}

_ALL = ("all",)
_API_EXTENSIONS = ("api-extensions",)

CATEGORIES: dict[str, tuple[str, ...]] = {
    "pods": _ALL,
    "replicationcontrollers": _ALL,
    "services": _ALL,
    "daemonsets.apps": _ALL,
    "deployments.apps": _ALL,
    "replicasets.apps": _ALL,
    "statefulsets.apps": _ALL,
    "horizontalpodautoscalers.autoscaling": _ALL,
    "cronjobs.batch": _ALL,
    "jobs.batch": _ALL,
    "mutatingadmissionpolicies.admissionregistration.k8s.io": _API_EXTENSIONS,
    "mutatingadmissionpolicybindings.admissionregistration.k8s.io": _API_EXTENSIONS,
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": _API_EXTENSIONS,
    "validatingadmissionpolicies.admissionregistration.k8s.io": _API_EXTENSIONS,
    "validatingadmissionpolicybindings.admissionregistration.k8s.io": _API_EXTENSIONS,
    "validatingwebhookconfigurations.admissionregistration.k8s.io": _API_EXTENSIONS,
    "customresourcedefinitions.apiextensions.k8s.io": _API_EXTENSIONS,
    "apiservices.apiregistration.k8s.io": _API_EXTENSIONS,
}

_STREAM = ("create", "get")
_PROXY = ("create", "delete", "get", "patch", "update")

CONNECT: dict[str, tuple[tuple[str, str, tuple[str, ...]], ...]] = {
    "nodes": (("proxy", "NodeProxyOptions", _PROXY),),
    "pods": (
        ("attach", "PodAttachOptions", _STREAM),
        ("exec", "PodExecOptions", _STREAM),
        ("portforward", "PodPortForwardOptions", _STREAM),
        ("proxy", "PodProxyOptions", _PROXY),
    ),
    "services": (("proxy", "ServiceProxyOptions", _PROXY),),
}
"""Subresources that open a stream: (name, kind of their options, verbs). They have no body, so their kinds have no schema."""

STORED_AS: dict[str, str] = {
    "events.events.k8s.io/v1": "v1",
    "horizontalpodautoscalers.autoscaling/v1": "autoscaling/v2",
}
"""`plural.group/version` -> the apiVersion its objects are stored in, where it is not their own: two URLs, one set of objects."""

NOT_SERVED = frozenset({"componentstatuses"})
"""Deprecated upstream since 1.19; answers about components that Podium does not have."""
