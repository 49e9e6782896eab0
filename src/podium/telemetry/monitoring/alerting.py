"""The cluster's own Alertmanager: its configuration is a Secret, as the Prometheus operator has it, read again when it changes.

Without the Secret alerts are grouped and shown, and nobody is told. A configuration that is wrong is logged and told of in an event on the
Secret; the one of before goes on.

Source: the Prometheus operator's Alertmanager: Secret `alertmanager-NAME`, key `alertmanager.yaml`.
"""

import base64
import binascii
from pathlib import Path

from podium.client.events import EventRecorder
from podium.client.mirror import Change
from podium.instrument.log import logger
from podium.telemetry.metrics.alertmanager.alertmanager import Alertmanager
from podium.telemetry.metrics.alertmanager.api import AlertmanagerApi
from podium.telemetry.metrics.alertmanager.configuration import Configuration, load
from podium.telemetry.metrics.alertmanager.errors import ConfigurationError
from podium.telemetry.metrics.alertmanager.network import NetworkTransport
from podium.telemetry.metrics.alertmanager.storage import DiskStorage
from podium.world.interface import World
from podium.world.supervisor import Supervisor

KEY = "alertmanager.yaml"
NOBODY = """
route: {receiver: nobody, group_by: [namespace, alertname]}
receivers: [{name: nobody}]
inhibit_rules:
  - source_matchers: [severity="critical"]
    target_matchers: [severity=~"warning|info"]
    equal: [namespace, alertname]
"""
_log = logger("monitoring.alerting")


class Alerting:
    def __init__(self, directory: Path, external_url: str, world: World, events: EventRecorder, supervisor: Supervisor) -> None:
        """Raises StorageError."""
        self._events, self._supervisor = events, supervisor
        self._wanted: Configuration = load(NOBODY)
        self.manager = Alertmanager(self._wanted, world, NetworkTransport(world), DiskStorage(directory), external_url=external_url)
        self.api = AlertmanagerApi(self.manager, self._reload)

    def start(self) -> None:
        self.manager.start()

    async def _reload(self) -> None:
        await self.manager.reload(self._wanted)

    def secret_changed(self, change: Change) -> None:
        """Of the Secret `alertmanager-podium`."""
        secret = change.new
        try:
            text = NOBODY if secret is None else base64.b64decode(secret.get("data", {}).get(KEY, ""), validate=True).decode()
            configuration = load(text)
        except (ConfigurationError, binascii.Error, UnicodeDecodeError) as error:
            _log.warning("the Alertmanager's configuration is wrong; the one of before goes on", reason=str(error))
            if secret is not None:
                self._events.event(secret, "Warning", "InvalidConfiguration", f"{KEY}: {error}")
            return
        self._wanted = configuration
        self._supervisor.start("alertmanager-reload", self._take(configuration))

    async def _take(self, configuration: Configuration) -> None:
        try:
            await self.manager.reload(configuration)
        except ConfigurationError as error:
            _log.warning("the Alertmanager's configuration cannot be used; the one of before goes on", reason=str(error))
