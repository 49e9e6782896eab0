"""Which form of an answer the client takes: JSON or YAML; the object itself, a Table, or metadata only. Pure, cached by header.

Source: API concepts (alternate representations, Table, PartialObjectMetadata); RFC 9110 section 12.5.1 without weights, as upstream.
"""

from dataclasses import dataclass
from functools import lru_cache

from podium.objects.status import NotAcceptable


@dataclass(frozen=True, slots=True)
class Form:
    """`media` is json or yaml; `as_kind` is empty, Table, PartialObjectMetadata or PartialObjectMetadataList (of meta.k8s.io/v1)."""

    media: str = "json"
    as_kind: str = ""


PLAIN = Form()
_MEDIA = {"application/json": "json", "application/*": "json", "*/*": "json", "application/yaml": "yaml"}
_KINDS = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")
_ACCEPTED = "application/json, application/json;as=Table;v=v1;g=meta.k8s.io, application/yaml"


@lru_cache(maxsize=256)
def negotiate(accept: str) -> Form:
    """The first clause of the Accept header that can be served. Raises NotAcceptable."""
    if not accept:
        return PLAIN
    for clause in accept.split(","):
        media, *parameters = (part.strip() for part in clause.split(";"))
        named = dict(p.split("=", 1) for p in parameters if "=" in p)
        if media not in _MEDIA or named.get("stream", "watch") != "watch":
            continue
        kind = named.get("as", "")
        if not kind:
            return Form(_MEDIA[media])
        if kind in _KINDS and named.get("g") == "meta.k8s.io" and named.get("v", "v1") == "v1":
            return Form(_MEDIA[media], kind)
    raise NotAcceptable(f"only the following media types are accepted: {_ACCEPTED}")
