"""From the labels on a page to the labels of a series: the target's are attached, then metric_relabel_configs, then the checks.

Where page and target have a label of the same name, honor_labels says whose value counts; the page's is kept under `exported_` otherwise.
Source: mutateSampleLabels, verifyLabelLimits in Prometheus' scrape.go.
"""

from collections.abc import Mapping

from podium.telemetry.metrics.configuration.scraping import ScrapeConfig
from podium.telemetry.metrics.labels import METRIC_NAME, Labels
from podium.telemetry.metrics.names import NameScheme, is_label_name, is_metric_name
from podium.telemetry.metrics.relabel import Relabeling
from podium.telemetry.metrics.scrape.errors import LimitMet, ScrapeFailed

EXPORTED = "exported_"
_SHOWN_MAX = 50


class Labelling:
    """Of one target."""

    def __init__(self, config: ScrapeConfig, target: Labels) -> None:
        self._target = target
        self._target_names = frozenset(name for name, _ in target)
        self._honor = config.honor_labels
        self._scheme = config.metric_name_validation_scheme or NameScheme.UTF8
        self._relabeling = Relabeling(config.metric_relabel_configs, self._scheme)
        limits = config.limits
        self._limits = (limits.label_limit, limits.label_name_length_limit, limits.label_value_length_limit)

    def of(self, labels: Labels) -> Labels | None:
        """None: dropped by relabelling. Raises ScrapeFailed (LimitMet for a limit)."""
        own = dict(labels)
        if self._target_names.isdisjoint(own) and not self._relabeling:
            merged = [pair for pair in labels if pair[1]]
            merged += self._target
            merged.sort()
            found = tuple(merged)
        else:
            values = self._attached(own)
            if not self._relabeling.apply(values):
                return None
            found = tuple(sorted((n, v) for n, v in values.items() if v))
            if not found:
                return None
        self._check(found, own.get(METRIC_NAME) if not self._relabeling else dict(found).get(METRIC_NAME))
        return found

    def _attached(self, own: dict[str, str]) -> dict[str, str]:
        if self._honor:
            return {**dict(self._target), **own}
        values = {**own, **dict(self._target)}
        conflicts = sorted((n for n in self._target_names if own.get(n)), key=lambda name: (len(name), name))
        for name in conflicts:
            free = EXPORTED + name
            while values.get(free):
                free = EXPORTED + free
            values[free] = own[name]
        return values

    def _check(self, labels: Labels, name: str | None) -> None:
        if not name:
            raise ScrapeFailed("missing metric name (__name__ label)")
        valid = is_metric_name(name, self._scheme)
        if self._scheme is NameScheme.LEGACY:
            valid = valid and all(is_label_name(n, self._scheme) for n, _ in labels)
        if not valid:
            raise ScrapeFailed(f"invalid metric name or label names: {_shown(labels)}")
        if any(self._limits):
            self._check_limits(name, labels)

    def _check_limits(self, metric: str, labels: Labels) -> None:
        count_max, name_max, value_max = self._limits
        metric = metric[:_SHOWN_MAX]
        if count_max and len(labels) > count_max:
            raise LimitMet(f"label_limit exceeded (metric: {metric}, number of labels: {len(labels)}, limit: {count_max})")
        for name, value in labels:
            where = f"metric: {metric}, label name: {name[:_SHOWN_MAX]}"
            if name_max and (length := len(name.encode())) > name_max:
                raise LimitMet(f"label_name_length_limit exceeded ({where}, length: {length}, limit: {name_max})")
            if value_max and (length := len(value.encode())) > value_max:
                shown = f'value: "{value[:_SHOWN_MAX]}"'
                raise LimitMet(f"label_value_length_limit exceeded ({where}, {shown}, length: {length}, limit: {value_max})")


def _shown(labels: Labels) -> str:
    pairs: Mapping[str, str] = dict(labels)
    return "{" + ", ".join(f'{n}="{v}"' for n, v in pairs.items()) + "}"
