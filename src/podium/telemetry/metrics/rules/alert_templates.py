"""The texts of an alert, its labels and annotations, expanded for one result.

A template that fails does not lose the alert: its text says what is wrong instead.

Source: Prometheus' documentation, "Alerting rules", Templating.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from podium.instrument.log import logger
from podium.telemetry.metrics.labels import METRIC_NAME, Labels, labels_of
from podium.telemetry.metrics.rules.alerts import Found
from podium.telemetry.metrics.rules.rule import AlertingRule
from podium.telemetry.metrics.rules.template_functions import LabelMap, Surroundings
from podium.telemetry.metrics.templates.errors import TemplateError
from podium.telemetry.metrics.templates.template import Template

VARIABLES = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}"
_UNBOUND = Surroundings(lambda text: [], 0.0).functions()
_log = logger("metrics.rules")


Parsed = dict[str, Template]
"""By text, of one rule: kept as long as the rule is."""


def _parsed(name: str, text: str) -> Template:
    return Template.parse(name, VARIABLES + text, _UNBOUND, missing_key="zero")


def check_template(text: str) -> str:
    """What is wrong with it; empty when nothing is."""
    if "{{" not in text:
        return ""
    try:
        _parsed("__alert", text)
    except TemplateError as error:
        return str(error)
    return ""


@dataclass(frozen=True, slots=True)
class AlertTemplates:
    """What all of a server's alerts share."""

    surroundings: Surroundings
    external_labels: Mapping[str, str] = field(default_factory=dict)

    def expand(self, rule: AlertingRule, labels: Labels, value: float, parsed: Parsed | None = None) -> Found:
        """`parsed` is of this rule, and is added to."""
        parsed = {} if parsed is None else parsed
        data = {
            "Labels": LabelMap(labels),
            "ExternalLabels": LabelMap(self.external_labels),
            "ExternalURL": self.surroundings.external_url,
            "Value": value,
        }
        named = {n: v for n, v in labels if n != METRIC_NAME}
        own = {name: self._text(rule, text, data, parsed) for name, text in rule.labels.items()}
        return Found(
            source=labels,
            labels=labels_of({**named, **own, "alertname": rule.name}),
            annotations={name: self._text(rule, text, data, parsed) for name, text in rule.annotations.items()},
            value=value,
        )

    def _text(self, rule: AlertingRule, text: str, data: Mapping[str, object], parsed: Parsed) -> str:
        if "{{" not in text:
            return text
        try:
            template = parsed.get(text)
            if template is None:
                template = parsed[text] = _parsed(f"__alert_{rule.name}", text)
            return template.execute(data, self.surroundings.functions())
        except TemplateError as error:
            _log.warning("expanding an alert's template failed", alert=rule.name, reason=str(error))
            return f"<error expanding template: error executing template __alert_{rule.name}: {error}>"
