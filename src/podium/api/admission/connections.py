"""What a connection asks for, as the object that admission looks at: PodExecOptions, PodAttachOptions and their like.

Source: k8s.io/api/core/v1 (the options kinds).
"""

from collections.abc import Mapping, Sequence

from podium.api.core import Object
from podium.api.request import Request

_FLAGS = ("stdin", "stdout", "stderr", "tty")


def connect_options(request: Request, query: Mapping[str, Sequence[str]]) -> Object:
    """From the query parameters of the request."""
    subresource = request.resource.subresource(request.subresource)
    options: Object = {"kind": subresource.kind if subresource is not None else "", "apiVersion": "v1"}
    options |= {name: True for name in _FLAGS if query.get(name, ("",))[-1] in ("true", "1")}
    for name in ("container", "path"):
        if query.get(name):
            options[name] = query[name][-1]
    if query.get("command"):
        options["command"] = list(query["command"])
    if query.get("ports"):
        options["ports"] = [int(port) for text in query["ports"] for port in text.split(",") if port.isdecimal()]
    return options
