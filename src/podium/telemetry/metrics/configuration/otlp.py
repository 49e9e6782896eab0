"""How OTLP's metrics become series. Source: Prometheus' <otlp>, config.go for checks and defaults."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from podium.telemetry.metrics.errors import ConfigurationError

ESCAPED = ("UnderscoreEscapingWithSuffixes", "UnderscoreEscapingWithoutSuffixes")
AS_THEY_ARE = ("NoUTF8EscapingWithSuffixes", "NoTranslation")
_SUFFIXED = (ESCAPED[0], AS_THEY_ARE[0])


@dataclass(frozen=True, slots=True)
class OtlpConfig:
    promote_all_resource_attributes: bool = False
    promote_resource_attributes: tuple[str, ...] = ()
    ignore_resource_attributes: tuple[str, ...] = ()
    translation_strategy: str = ESCAPED[0]
    keep_identifying_resource_attributes: bool = False
    convert_histograms_to_nhcb: bool = False
    promote_scope_metadata: bool = False
    label_name_underscore_sanitization: bool = True
    label_name_preserve_multiple_underscores: bool = True

    @property
    def escaped(self) -> bool:
        return self.translation_strategy in ESCAPED

    @property
    def suffixed(self) -> bool:
        return self.translation_strategy in _SUFFIXED

    def checked(self) -> "OtlpConfig":
        promoted, ignored = self.promote_resource_attributes, self.ignore_resource_attributes
        if self.promote_all_resource_attributes and promoted:
            raise ConfigurationError(
                "'promote_all_resource_attributes' and 'promote_resource_attributes' cannot be configured simultaneously"
            )
        if ignored and not self.promote_all_resource_attributes:
            raise ConfigurationError("'ignore_resource_attributes' cannot be configured unless 'promote_all_resource_attributes' is true")
        if self.translation_strategy not in (*ESCAPED, *AS_THEY_ARE):
            raise ConfigurationError(f'unsupported OTLP translation strategy "{self.translation_strategy}"')
        return replace(
            self,
            promote_resource_attributes=_trimmed(promoted, "promote", "promoted"),
            ignore_resource_attributes=_trimmed(ignored, "ignore", "ignored"),
        )


def _trimmed(names: Sequence[str], field: str, adjective: str) -> tuple[str, ...]:
    """Raises ConfigurationError for one that is empty or there twice."""
    found: list[str] = []
    for name in (name.strip() for name in names):
        problem = f"empty {adjective} OTel resource attribute" if not name else ""
        if name in found:
            problem = f'duplicated {adjective} OTel resource attribute "{name}"'
        if problem:
            raise ConfigurationError(f"invalid '{field}_resource_attributes': {problem}")
        found.append(name)
    return tuple(found)
