"""Upstream's file of admission settings (--admission-control-config-file): an AdmissionConfiguration with a part for each plugin.

Of the plugins that have settings Podium has one, PodSecurity: what holds where a namespace says nothing, and who is exempt. Settings of
others are refused by name: nothing is passed over.

Source: k8s.io/apiserver pkg/apis/apiserver (AdmissionConfiguration), k8s.io/pod-security-admission admission/api (PodSecurityConfiguration,
validation).
"""

from pathlib import Path
from typing import Any

import yaml

from podium.api.pod_security_config import LEVELS, MODES, VERSION, PodSecurity, Standard
from podium.objects import names

Object = dict[str, Any]
_VERSION = "apiserver.config.k8s.io/v1"
_POD_SECURITY_VERSION = "pod-security.admission.config.k8s.io/v1"
_EXEMPTIONS = ("usernames", "runtimeClasses", "namespaces")


def read(path: Path) -> PodSecurity:
    """Raises OSError, and ValueError that says what is wrong where."""
    value = _load(path.read_text(), str(path))
    _expect(value, _VERSION, "AdmissionConfiguration", str(path))
    _only(value, ("apiVersion", "kind", "plugins"), str(path))
    found = PodSecurity()
    for i, plugin in enumerate(value.get("plugins") or ()):
        place = f"plugins[{i}]"
        if not isinstance(plugin, dict):
            raise ValueError(f"{place}: must be an object")
        _only(plugin, ("name", "path", "configuration"), place)
        name, configuration, file = plugin.get("name"), plugin.get("configuration"), plugin.get("path")
        if name != "PodSecurity":
            raise ValueError(f"{place}.name: Podium has no settings for the plugin {name!r}, only for PodSecurity")
        if file and configuration is None:
            file = path.parent / file
            configuration, place = _load(file.read_text(), str(file)), str(file)
        if configuration is not None:
            found = _pod_security(configuration, place)
    return found


def _load(text: str, place: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{place}: {error}") from error


def _expect(value: Any, version: str, kind: str, place: str) -> None:
    if not isinstance(value, dict) or (value.get("apiVersion"), value.get("kind")) != (version, kind):
        raise ValueError(f"{place}: must be a {kind} of {version}")


def _only(value: Object, known: tuple[str, ...], place: str) -> None:
    for name in value:
        if name not in known:
            raise ValueError(f'{place}: unknown field "{name}"; known are {", ".join(known)}')


def _pod_security(value: Any, place: str) -> PodSecurity:
    _expect(value, _POD_SECURITY_VERSION, "PodSecurityConfiguration", place)
    _only(value, ("apiVersion", "kind", "defaults", "exemptions"), place)
    defaults, exemptions = value.get("defaults") or {}, value.get("exemptions") or {}
    _only(defaults, (*MODES, *(f"{mode}-version" for mode in MODES)), f"{place}.defaults")
    _only(exemptions, _EXEMPTIONS, f"{place}.exemptions")
    users, classes, namespaces = (_exempt(exemptions.get(field), f"{place}.exemptions.{field}") for field in _EXEMPTIONS)
    for field, found, check in (("runtimeClasses", classes, names.dns_subdomain), ("namespaces", namespaces, names.dns_label)):
        for name in sorted(found):
            if wrong := check(name):
                raise ValueError(f"{place}.exemptions.{field}: {name!r}: {wrong[0]}")
    enforce, audit, warn = (_standard(defaults, mode, f"{place}.defaults") for mode in MODES)
    return PodSecurity(enforce, audit, warn, users, classes, namespaces)


def _standard(defaults: Object, mode: str, place: str) -> Standard:
    level, version = defaults.get(mode) or "privileged", defaults.get(f"{mode}-version") or "latest"
    if level not in LEVELS:
        raise ValueError(f"{place}.{mode}: must be one of {', '.join(LEVELS)}")
    if version != "latest" and not VERSION.fullmatch(str(version)):
        raise ValueError(f'{place}.{mode}-version: must be "latest" or "v1.x"')
    return Standard(level, version)


def _exempt(value: Any, place: str) -> frozenset[str]:
    if value is None:
        return frozenset()
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise ValueError(f"{place}: must be a list of names, none of them empty")
    if len(set(value)) != len(value):
        raise ValueError(f"{place}: a name is there twice")
    return frozenset(value)
