"""A container's environment: service links, envFrom, env, with $(VAR) expanded; and its command and args expanded with it.

Order, as upstream: what `env` defines wins over `envFrom`, which wins over service links; a later entry of the same name wins. $(VAR) in a
value sees the variables before it, envFrom and service links; an unknown one stays as it is written, `$$` is a `$`.

Source: kubelet_pods.go (makeEnvironmentVariables, getServiceEnvVarMap), kubelet/envvars, third_party/forked/golang/expansion.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from podium.node.fields import UnknownField, field_value, resource_value
from podium.node.preparation import PreparationFailure
from podium.node.sources import Sources
from podium.objects.values import Object

CONFIG_ERROR = "CreateContainerConfigError"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What values may refer to beside the pod itself."""

    pod_ip: str
    host_ip: str
    allocatable: dict[str, str]


async def environment(pod: Object, container: Object, sources: Sources, around: Surroundings) -> dict[str, str]:
    """In order. Raises PreparationFailure (CreateContainerConfigError) when something referred to is missing and not optional."""
    services = await _service_variables(pod, sources)
    values: dict[str, str] = {}
    for entry in container.get("envFrom") or ():
        values.update(await _from_whole(pod, entry, sources))
    for entry in container.get("env") or ():
        name = entry["name"]
        if "valueFrom" in entry:
            value = await _from_reference(pod, container, entry["valueFrom"], sources, around)
            if value is None:
                continue
        else:
            value = expand(entry.get("value") or "", lambda key: values.get(key, services.get(key)))
        values[name] = value
    return {**{k: v for k, v in services.items() if k not in values}, **values}


def expand(text: str, lookup: Callable[[str], str | None]) -> str:
    """`a$(NAME)b` with NAME looked up; unknown references and a lone $ stay, $$ becomes $."""
    if "$" not in text:
        return text
    parts: list[str] = []
    position = 0
    while (dollar := text.find("$", position)) >= 0 and dollar + 1 < len(text):
        parts.append(text[position:dollar])
        following = text[dollar + 1]
        if following == "$":
            parts.append("$")
            position = dollar + 2
        elif following == "(" and (end := text.find(")", dollar + 2)) >= 0:
            value = lookup(text[dollar + 2 : end])
            parts.append(text[dollar : end + 1] if value is None else value)
            position = end + 1
        else:
            parts.append(text[dollar : dollar + 2])
            position = dollar + 2
    parts.append(text[position:])
    return "".join(parts)


def expanded(arguments: list[str] | None, variables: Mapping[str, str]) -> tuple[str, ...]:
    """A command or args with its references replaced."""
    return tuple(expand(argument, variables.get) for argument in arguments or ())


async def _from_whole(pod: Object, entry: Object, sources: Sources) -> dict[str, str]:
    """Every key of a ConfigMap or Secret, with the prefix. Names that no process could see are left out."""
    prefix = entry.get("prefix") or ""
    namespace = pod["metadata"]["namespace"]
    if "configMapRef" in entry:
        reference, word = entry["configMapRef"], "configmap"
        found = await sources.config_map(namespace, reference["name"])
        values = dict((found or {}).get("data") or {})
    elif "secretRef" in entry:
        reference, word = entry["secretRef"], "secret"
        found = await sources.secret(namespace, reference["name"])
        values = {key: decoded(value).decode(errors="surrogateescape") for key, value in ((found or {}).get("data") or {}).items()}
    else:
        return {}
    if found is None and not reference.get("optional"):
        raise PreparationFailure(CONFIG_ERROR, f'{word} "{reference["name"]}" not found')
    return {prefix + key: values[key] for key in sorted(values) if "=" not in prefix + key and "\0" not in values[key]}


async def _from_reference(pod: Object, container: Object, source: Object, sources: Sources, around: Surroundings) -> str | None:
    """None for an optional key that is not there: the variable is left out then."""
    try:
        if "fieldRef" in source:
            return field_value(pod, source["fieldRef"]["fieldPath"], (around.pod_ip, around.host_ip))
        if "resourceFieldRef" in source:
            reference = source["resourceFieldRef"]
            return resource_value(_named(pod, reference.get("containerName")) or container, reference, around.allocatable)
    except UnknownField as error:
        raise PreparationFailure(CONFIG_ERROR, str(error)) from error
    if "configMapKeyRef" in source:
        return await _key_of_config_map(pod, source["configMapKeyRef"], sources)
    if "secretKeyRef" in source:
        return await _key_of_secret(pod, source["secretKeyRef"], sources)
    raise PreparationFailure(CONFIG_ERROR, f"environment from {', '.join(source)} is not supported by Podium")


async def _key_of_config_map(pod: Object, reference: Object, sources: Sources) -> str | None:
    namespace, name, key = pod["metadata"]["namespace"], reference["name"], reference["key"]
    found = await sources.config_map(namespace, name)
    if found is not None and key in (found.get("data") or {}):
        return str(found["data"][key])
    if reference.get("optional"):
        return None
    if found is None:
        raise PreparationFailure(CONFIG_ERROR, f'configmap "{name}" not found')
    raise PreparationFailure(CONFIG_ERROR, f"couldn't find key {key} in ConfigMap {namespace}/{name}")


async def _key_of_secret(pod: Object, reference: Object, sources: Sources) -> str | None:
    namespace, name, key = pod["metadata"]["namespace"], reference["name"], reference["key"]
    found = await sources.secret(namespace, name)
    if found is not None and key in (found.get("data") or {}):
        return decoded(found["data"][key]).decode(errors="surrogateescape")
    if reference.get("optional"):
        return None
    if found is None:
        raise PreparationFailure(CONFIG_ERROR, f'secret "{name}" not found')
    raise PreparationFailure(CONFIG_ERROR, f"couldn't find key {key} in Secret {namespace}/{name}")


def decoded(text: str) -> bytes:
    """A Secret's value; the API has checked that it is base64."""
    return base64.b64decode(text)


def _named(pod: Object, name: str | None) -> Object | None:
    if not name:
        return None
    spec = pod["spec"]
    return next((c for c in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())] if c["name"] == name), None)


async def _service_variables(pod: Object, sources: Sources) -> dict[str, str]:
    services = await sources.services(pod["metadata"]["namespace"])
    if not pod["spec"].get("enableServiceLinks", True):
        services = [s for s in services if s["metadata"]["name"] == "kubernetes" and s["metadata"].get("namespace") == "default"]
    variables: dict[str, str] = {}
    for service in services:
        variables.update(service_variables(service))
    return variables


def service_variables(service: Object) -> dict[str, str]:
    """FOO_SERVICE_HOST and the rest for one Service with a cluster address."""
    name = service["metadata"]["name"].upper().replace("-", "_")
    host, ports = service["spec"]["clusterIP"], service["spec"].get("ports") or []
    if not ports:
        return {}
    variables = {f"{name}_SERVICE_HOST": host, f"{name}_SERVICE_PORT": str(ports[0]["port"])}
    for port in ports:
        if port.get("name"):
            variables[f"{name}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(port["port"])
    joined = f"[{host}]" if ":" in host else host
    for index, port in enumerate(ports):
        protocol, number = port.get("protocol", "TCP"), port["port"]
        url = f"{protocol.lower()}://{joined}:{number}"
        if index == 0:
            variables[f"{name}_PORT"] = url
        prefix = f"{name}_PORT_{number}_{protocol}"
        variables |= {prefix: url, f"{prefix}_PROTO": protocol.lower(), f"{prefix}_PORT": str(number), f"{prefix}_ADDR": host}
    return variables
