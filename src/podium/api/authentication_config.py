"""The control plane's configuration of identities from outside: a folder with two optional files.

`tokens.csv` is upstream's static token file; `config.yaml` is upstream's AuthenticationConfiguration (apiserver.config.k8s.io), of which the `jwt`
providers with plain claim mappings are read. What is not supported (CEL expressions, anonymous) is refused by name: nothing is passed over.

Source: k8s.io/apiserver pkg/apis/apiserver (AuthenticationConfiguration, validation).
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from podium.api.authentication import Sources
from podium.world.interface import World

Object = dict[str, Any]
TOKENS, CONFIG = "tokens.csv", "config.yaml"
_VERSIONS = ("apiserver.config.k8s.io/v1", "apiserver.config.k8s.io/v1beta1")
_MAPPINGS = ("username", "groups", "uid")


def load(folder: Path, world: World) -> Sources:
    """Raises ValueError naming the file and what is wrong in it."""
    static, providers = None, []
    if (tokens := folder / TOKENS).exists():
        from podium.api.static_tokens import StaticTokens

        static = StaticTokens(tokens)
    if (config := folder / CONFIG).exists():
        from podium.api.oidc import Provider

        providers = [Provider(c, world) for c in _providers(config)]
    return Sources(static, tuple(providers))


def _providers(path: Path) -> list[Any]:
    import yaml

    try:
        value = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: {error}") from error
    if not isinstance(value, dict) or value.get("apiVersion") not in _VERSIONS or value.get("kind") != "AuthenticationConfiguration":
        raise ValueError(f"{path}: must be an AuthenticationConfiguration of {_VERSIONS[0]}")
    place = str(path)
    if "anonymous" in value:
        raise ValueError(f"{place}: anonymous: Podium lets anonymous requests reach the health endpoints only, which cannot be changed")
    _only(place, value, ("apiVersion", "kind", "jwt"))
    found = [_provider(f"{place}: jwt[{i}]", entry) for i, entry in enumerate(value.get("jwt") or ())]
    issuers = [c.issuer for c in found]
    if len(issuers) != len(set(issuers)):
        raise ValueError(f"{place}: jwt: an issuer is there twice")
    return found


def _provider(place: str, value: Object) -> Any:
    from podium.api.oidc import ProviderConfig

    _only(place, value, ("issuer", "claimMappings", "claimValidationRules"))
    issuer, mappings = value.get("issuer") or {}, value.get("claimMappings") or {}
    _only(f"{place}.issuer", issuer, ("url", "discoveryURL", "certificateAuthority", "audiences", "audienceMatchPolicy"))
    _only(f"{place}.claimMappings", mappings, _MAPPINGS)
    url, audiences = issuer.get("url", ""), issuer.get("audiences") or ()
    if not str(url).startswith("https://"):
        raise ValueError(f"{place}.issuer.url: must be an https URL")
    if not audiences:
        raise ValueError(f"{place}.issuer.audiences: at least one is required")
    for name in _MAPPINGS:
        _only(f"{place}.claimMappings.{name}", mappings.get(name) or {}, ("claim", "prefix") if name != "uid" else ("claim",))
    username, groups = mappings.get("username") or {}, mappings.get("groups") or {}
    if not username.get("claim") or "prefix" not in username:
        raise ValueError(f'{place}.claimMappings.username: claim and prefix are required (prefix may be "")')
    if groups.get("claim") and "prefix" not in groups:
        raise ValueError(f'{place}.claimMappings.groups: prefix is required (it may be "")')
    return ProviderConfig(
        issuer=url,
        audiences=tuple(audiences),
        username_claim=username["claim"],
        username_prefix=username["prefix"],
        groups_claim=groups.get("claim", ""),
        groups_prefix=groups.get("prefix", ""),
        uid_claim=(mappings.get("uid") or {}).get("claim", ""),
        required_claims=tuple(_required(f"{place}.claimValidationRules", value.get("claimValidationRules") or ())),
        discovery_url=issuer.get("discoveryURL", ""),
        ca_pem=issuer.get("certificateAuthority", ""),
    )


def _required(place: str, rules: Iterable[Object]) -> Iterable[tuple[str, str]]:
    for i, rule in enumerate(rules):
        _only(f"{place}[{i}]", rule, ("claim", "requiredValue"))
        yield rule["claim"], rule.get("requiredValue", "")


def _only(place: str, value: Any, known: tuple[str, ...]) -> None:
    if not isinstance(value, dict):
        raise ValueError(f"{place}: must be an object")
    for name in value:
        if name not in known:
            raise ValueError(f"{place}.{name}: Podium does not support this; known are {', '.join(known)}")
