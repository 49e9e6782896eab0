"""/api/v1/features: what this server can do, for clients that ask before they use it.

Source: Prometheus' HTTP API, "Features"; upstream's names. What is not said is not there.
"""

from podium.telemetry.metrics.promql.lexer import MODIFIERS
from podium.telemetry.metrics.promql.signatures import AGGREGATORS, EXPERIMENTAL_AGGREGATORS, SIGNATURES
from podium.telemetry.metrics.rules.template_functions import FUNCTIONS
from podium.telemetry.metrics.server.sources import Sources

Features = dict[str, dict[str, bool]]

OPERATORS = (
    "!=", "!~", "%", "*", "+", "-", "/", "<", "<=", "==", "=~", ">", ">=", "^", "and", "atan2", "or", "unless",
)  # fmt: skip
_RANGES, _FILLS = ("anchored", "smoothed"), ("fill", "fill_left", "fill_right")
_API = ("exclude_alerts", "label_values_match", "query_stats", "query_warnings", "time_range_labels", "time_range_series")
_OF_SURROUNDINGS = ("externalURL", "now", "pathPrefix", "query", "tmpl")


def features(sources: Sources) -> Features:
    """By category, sorted."""
    switches, language = sources.switches, sources.switches.features
    modifiers = {
        name: language.extended_ranges if name in _RANGES else language.fill_modifiers if name in _FILLS else True for name in MODIFIERS
    }
    found: Features = {
        "api": {
            **dict.fromkeys(_API, True),
            "admin": switches.admin_api,
            "lifecycle": switches.lifecycle,
            "remote_write_receiver": switches.remote_write_receiver,
            "otlp_write_receiver": switches.otlp_receiver,
            "search": False,
        },
        "prometheus": {"agent_mode": False, "auto_reload_config": False, "server_mode": True, "podium": True},
        "promql": {
            **modifiers,
            **dict.fromkeys(("at_modifier", "negative_offset", "per_query_lookback_delta", "per_step_stats", "subqueries"), True),
            "delayed_name_removal": sources.engine.options.delayed_name_removal,
            "duration_expr": True,
            "type_and_unit_labels": sources.engine.options.type_and_unit_labels,
        },
        "promql_functions": {name: language.functions or not one.experimental for name, one in SIGNATURES.items()},
        "promql_operators": {
            **dict.fromkeys(OPERATORS, True),
            **{name: language.functions or name not in EXPERIMENTAL_AGGREGATORS for name in AGGREGATORS},
        },
        "rules": {"concurrent_rule_eval": False, "keep_firing_for": True, "query_offset": True},
        "scrape": {"extra_scrape_metrics": True, "start_timestamp_zero_ingestion": False, "type_and_unit_labels": False},
        "service_discovery_providers": dict.fromkeys(sources.discovery, True),
        "templating_functions": dict.fromkeys((*FUNCTIONS, *_OF_SURROUNDINGS), True),
        "tsdb": {"delayed_compaction": False, "exemplar_storage": True, "isolation": True, "native_histograms": True},
    }
    return {category: dict(sorted(names.items())) for category, names in sorted(found.items())}
