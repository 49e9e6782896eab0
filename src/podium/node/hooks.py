"""Lifecycle hooks: postStart and preStop by exec, HTTP GET or sleep.

Source: kubelet/lifecycle handlers.go; core/v1 LifecycleHandler.
"""

import asyncio

from podium.node.http_get import HttpGet, get_of
from podium.node.runtime.interface import Runtime, RuntimeFailure
from podium.objects.values import Object

HOOK_MAX_S = 3600.0
"""A postStart hook has no limit of its own upstream; this one ends a forgotten one."""


class HookFailure(Exception):
    """The hook ran and failed, or could not run."""


class Hooks:
    def __init__(self, runtime: Runtime, http_get: HttpGet) -> None:
        self._runtime = runtime
        self._http_get = http_get

    async def run(self, hook: Object, container: Object, container_id: str, address: str, limit_s: float = HOOK_MAX_S) -> None:
        """Raises HookFailure, also when it takes longer than `limit_s`."""
        try:
            async with asyncio.timeout(limit_s):
                await self._run(hook, container, container_id, address, limit_s)
        except TimeoutError as error:
            raise HookFailure(f"not finished within {limit_s:g} s") from error
        except (RuntimeFailure, OSError, ValueError) as error:
            raise HookFailure(str(error)) from error

    async def _run(self, hook: Object, container: Object, container_id: str, address: str, limit_s: float) -> None:
        if "exec" in hook:
            command = tuple(hook["exec"].get("command") or ())
            result = await self._runtime.exec_sync(container_id, command, limit_s)
            if result.exit_code != 0:
                output = (result.stdout + result.stderr).decode(errors="replace")[:1024]
                raise HookFailure(f"command '{' '.join(command)}' exited with {result.exit_code}: {output}")
        elif "httpGet" in hook:
            status, _ = await self._http_get(get_of(hook["httpGet"], container, address))
            if not 200 <= status < 400:
                raise HookFailure(f"HTTP hook answered {status}")
        elif "sleep" in hook:
            await asyncio.sleep(hook["sleep"].get("seconds", 0))
        else:
            raise HookFailure("this kind of hook is not supported")
