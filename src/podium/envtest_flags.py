"""Flags of `kube-apiserver` under envtest that choose what it serves: read, given effect, or refused by name.

Podium serves the stable versions and has no switches for features. So a version that is asked for must be one that is there; a feature that
is asked for must be one that upstream has locked to what Podium does. Nothing is accepted that would not be so.

Source: k8s.io/apiserver pkg/server/resourceconfig (runtime-config), k8s.io/component-base featuregate, pkg/admission (messages).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from podium.objects.resources import Resource

REPEATED = (
    "authorization-mode", "disable-admission-plugins", "enable-admission-plugins", "feature-gates", "runtime-config",
    "service-account-issuer", "service-account-key-file",
)  # fmt: skip
"""Flags that may be there several times: their values are added up."""

_STAGES = {"api/all": "", "api/ga": "stable", "api/beta": "beta", "api/alpha": "alpha", "api/legacy": ""}
LOCKED = {
    "APIServerTracing": False, "AggregatedDiscoveryEndpoint": True, "AnyVolumeDataSource": True, "AllAlpha": False,
    "CRDValidationRatcheting": True, "CustomResourceFieldSelectors": True, "CustomResourceValidationExpressions": True,
    "DryRun": True, "JobPodFailurePolicy": True, "JobSuccessPolicy": True, "MutatingAdmissionPolicy": True, "OpenAPIV3": True,
    "ServerSideApply": True, "ServerSideFieldValidation": True, "ValidatingAdmissionPolicy": True, "WatchBookmark": True, "WatchList": True,
}  # fmt: skip
"""Features by what they are here: asking for just that is fine."""

MISSING_PLUGINS = frozenset(
    {
        "AlwaysAdmit", "AlwaysDeny", "AlwaysPullImages", "ClusterTrustBundleAttest", "DenyServiceExternalIPs", "EventRateLimit",
        "ExtendedResourceToleration", "ImagePolicyWebhook", "LimitPodHardAntiAffinityTopology", "NamespaceAutoProvision", "NamespaceExists",
        "PodNodeSelector", "PodTolerationRestriction", "PodTopologyLabels", "SecurityContextDeny",
    }
)  # fmt: skip
"""Those of upstream's that Podium does not have: leaving them out is what happens anyway."""


class WrongFlag(Exception):
    """Told on standard error; the program ends."""


@dataclass
class Flags:
    values: dict[str, list[str]] = field(default_factory=dict)

    def get(self, name: str, default: str = "") -> str:
        """The last value; all of them with commas between, for those that add up."""
        given = self.values.get(name)
        if not given:
            return default
        return ",".join(given) if name in REPEATED else given[-1]

    def list(self, name: str) -> Sequence[str]:
        return [part.strip() for part in self.get(name).split(",") if part.strip()]


def parse_flags(arguments: Sequence[str], known: Collection[str]) -> Flags:
    """`--name=value`, `--name value` and a bare `--name` (true). Raises WrongFlag for an unknown one."""
    flags, rest = Flags(), list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            raise WrongFlag(f"unknown command {word!r}")
        name, equals, value = word.lstrip("-").partition("=")
        if name not in known:
            raise WrongFlag(f"unknown flag: --{name}")
        if not equals:
            value = rest.pop(0) if rest and not rest[0].startswith("-") else "true"
        flags.values.setdefault(name, []).append(value)
    return flags


def check_modes(flags: Flags) -> None:
    """Raises WrongFlag for an authorization without RBAC, which this server always asks, and for pods that may not be privileged."""
    modes = flags.get("authorization-mode", "RBAC").split(",")
    if "RBAC" not in modes or "AlwaysAllow" in modes:
        raise WrongFlag(f"--authorization-mode={','.join(modes)} is not supported: Podium authorizes by Node and RBAC")
    if flags.get("allow-privileged", "true") != "true":
        raise WrongFlag("--allow-privileged=false is not supported: PodSecurity says in which namespaces pods may be privileged")
    if len(flags.list("service-account-issuer")) > 1:
        raise WrongFlag("--service-account-issuer: Podium has one issuer")


def disabled_plugins(flags: Flags, known: Collection[str]) -> frozenset[str]:
    """`known` are the plugins there are; all of them are on unless they are left out. Raises WrongFlag."""
    off, on = flags.list("disable-admission-plugins"), flags.list("enable-admission-plugins")
    for name in off:
        if name not in known and name not in MISSING_PLUGINS:
            raise WrongFlag(f'disable-admission-plugins plugin "{name}" is unknown')
    for name in on:
        if name in MISSING_PLUGINS:
            raise WrongFlag(f'enable-admission-plugins: Podium does not have the plugin "{name}"')
        if name not in known:
            raise WrongFlag(f'enable-admission-plugins plugin "{name}" is unknown')
        if name in off:
            raise WrongFlag(f"[{name}] in enable-admission-plugins and disable-admission-plugins overlapped")
    return frozenset(off)


def check_features(flags: Flags) -> None:
    """Raises WrongFlag for a feature that is not as asked."""
    for name, value in _switches(flags.list("feature-gates"), "feature-gates").items():
        if name not in LOCKED:
            raise WrongFlag(f"unrecognized feature gate: {name}: Podium has no switches for features")
        if value != LOCKED[name]:
            shown = [str(v).lower() for v in (value, LOCKED[name])]
            raise WrongFlag(f"cannot set feature gate {name} to {shown[0]}, feature is locked to {shown[1]}")


def served(flags: Flags, resources: Iterable[Resource]) -> list[Resource]:
    """What of `resources` --runtime-config leaves. Raises WrongFlag for versions and resources that are not there."""
    there = list(resources)
    switches = _switches(flags.list("runtime-config"), "runtime-config")
    versions = {r.api_version for r in there}
    every = True
    for stage, name in _STAGES.items():
        if stage not in switches:
            continue
        if switches[stage] and name != "stable" and stage != "api/legacy":
            raise WrongFlag(f"runtime-config: {stage}=true: Podium serves stable versions only")
        if name in ("", "stable"):
            every = switches[stage]
    chosen = {key: value for key, value in switches.items() if key not in _STAGES}
    for key, value in chosen.items():
        version, plural = _place(key)
        if value and (version not in versions or (plural and not any(r.api_version == version and r.plural == plural for r in there))):
            raise WrongFlag(f"runtime-config: {key}: Podium does not serve it")
    return [r for r in there if _wanted(r, chosen, every)]


def _wanted(resource: Resource, chosen: Mapping[str, bool], every: bool) -> bool:
    """The most particular word counts."""
    for key in (f"{resource.api_version}/{resource.plural}", resource.api_version):
        if key in chosen:
            return chosen[key]
    return every


def _place(key: str) -> tuple[str, str]:
    """`v1`, `apps/v1`, `apps/v1/deployments` -> (group and version, resource)."""
    parts = key.split("/")
    words = 1 if parts[0] == "v1" else 2
    return "/".join(parts[:words]), "/".join(parts[words:])


def _switches(words: Sequence[str], flag: str) -> dict[str, bool]:
    """`a=true,b=false`; a bare name is true."""
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if equals and value.lower() not in ("true", "false"):
            raise WrongFlag(f"invalid value of {flag}: {word}, err: strconv.ParseBool: parsing {value!r}: invalid syntax".replace("'", '"'))
        found[name] = not equals or value.lower() == "true"
    return found
