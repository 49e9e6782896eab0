"""Secrets: `stringData` is write-only sugar; it is merged into `data` and not stored."""

import base64

from podium.api.core import Core, Object, Strategy


class SecretStrategy(Strategy):
    def prepare_create(self, core: Core, new: Object) -> None:
        super().prepare_create(core, new)
        self._merge(new)

    def prepare_update(self, core: Core, new: Object, old: Object) -> None:
        super().prepare_update(core, new, old)
        self._merge(new)

    @staticmethod
    def _merge(new: Object) -> None:
        if text := new.pop("stringData", None):
            data = new.setdefault("data", {})
            for name, value in text.items():
                data[name] = base64.b64encode(value.encode()).decode()
