"""The schemas of the operator's resources: the fields that Podium acts on, and no others. definitions.py makes definitions of them.

What upstream's resources have beyond that is pruned by the API server with its usual warning (or refused, with strict field validation):
nothing is accepted in silence. Upstream's own definitions may be applied over these; the operator then refuses by name what it cannot do.
The few fields that are accepted and change nothing are those of field_effects.py.

Source: the Prometheus operator's API reference (monitoring.coreos.com v1, v1alpha1, v1beta1).
"""

from typing import Any

from podium.telemetry.prometheus_operator.field_effects import WITHOUT_EFFECT, Schema

GROUP = "monitoring.coreos.com"

STRING: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}
INTEGER: Schema = {"type": "integer", "format": "int64"}
INT_OR_STRING: Schema = {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}
DURATION: Schema = {
    "type": "string",
    "pattern": r"^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$",
}
TEXTS: Schema = {"type": "object", "additionalProperties": STRING}


def listed(item: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": item, **more}


def record(required: tuple[str, ...] = (), /, **fields: Schema) -> Schema:
    schema: Schema = {"type": "object", "properties": fields}
    return {**schema, "required": list(required)} if required else schema


def one_of(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


STRINGS = listed(STRING)
NAMED: Schema = {**STRING, "minLength": 1}
ANY: Schema = {"x-kubernetes-preserve-unknown-fields": True}
FREE: Schema = {"type": "object", **ANY}
SELECTOR = record(
    matchLabels=TEXTS, matchExpressions=listed(record(("key", "operator"), key=STRING, operator=STRING, values=STRINGS))
)  # fmt: skip
KEY = record(("key",), name={**STRING, "default": ""}, key=STRING, optional=BOOLEAN)
SECRET_OR_MAP = record(secret=KEY, configMap=KEY)
TLS = record(
    ca=SECRET_OR_MAP, cert=SECRET_OR_MAP, keySecret=KEY, serverName=STRING, insecureSkipVerify=BOOLEAN,
    minVersion=one_of("TLS10", "TLS11", "TLS12", "TLS13"), maxVersion=one_of("TLS10", "TLS11", "TLS12", "TLS13"),
    caFile=STRING, certFile=STRING, keyFile=STRING,
)  # fmt: skip
HTTP: dict[str, Schema] = {
    "basicAuth": record(username=KEY, password=KEY),
    "authorization": record(type=STRING, credentials=KEY),
    "oauth2": record(
        ("clientId", "clientSecret", "tokenUrl"), clientId=SECRET_OR_MAP, clientSecret=KEY, tokenUrl={**STRING, "minLength": 1},
        scopes=STRINGS, endpointParams=TEXTS, tlsConfig=TLS,
    ),
    "tlsConfig": TLS,
    "proxyUrl": STRING, "noProxy": STRING, "followRedirects": BOOLEAN, "enableHttp2": BOOLEAN,
}  # fmt: skip
RELABELINGS = listed(
    record(
        sourceLabels=STRINGS, separator=STRING, targetLabel=STRING, regex=STRING, modulus=INTEGER, replacement=STRING,
        action={**STRING, "default": "replace"},
    )
)  # fmt: skip
SCHEME = one_of("http", "https", "HTTP", "HTTPS")
LIMITS: dict[str, Schema] = {
    **dict.fromkeys(
        (
            "sampleLimit", "targetLimit", "labelLimit", "labelNameLengthLimit", "labelValueLengthLimit", "keepDroppedTargets",
            "nativeHistogramBucketLimit",
        ),
        INTEGER,
    ),
    "bodySizeLimit": STRING, "scrapeProtocols": STRINGS, "fallbackScrapeProtocol": STRING, "scrapeClassicHistograms": BOOLEAN,
    "scrapeNativeHistograms": BOOLEAN, "convertClassicHistogramsToNHCB": BOOLEAN,
}  # fmt: skip
NAMESPACES = record(any=BOOLEAN, matchNames=STRINGS)
ENDPOINT: dict[str, Schema] = {
    "port": STRING, "targetPort": INT_OR_STRING, "path": STRING, "scheme": SCHEME, "params": {"type": "object", "additionalProperties": STRINGS},
    "interval": DURATION, "scrapeTimeout": DURATION, "honorLabels": BOOLEAN, "honorTimestamps": BOOLEAN, "trackTimestampsStaleness": BOOLEAN,
    "metricRelabelings": RELABELINGS, "relabelings": RELABELINGS, "filterRunning": BOOLEAN, "enableCompression": BOOLEAN,
    "bearerTokenSecret": KEY, "bearerTokenFile": STRING, **HTTP,
}  # fmt: skip
MONITOR: dict[str, Schema] = {
    "jobLabel": STRING, "podTargetLabels": STRINGS, "selector": SELECTOR, "namespaceSelector": NAMESPACES,
    "attachMetadata": record(node=BOOLEAN), "scrapeClass": NAMED, **LIMITS,
}  # fmt: skip
SERVICE_MONITOR = record(("endpoints", "selector"), targetLabels=STRINGS, endpoints=listed(record(**ENDPOINT)), **MONITOR)
POD_MONITOR = record(
    ("selector",), podMetricsEndpoints=listed(record(portNumber={"type": "integer", "minimum": 1, "maximum": 65535}, **ENDPOINT)), **MONITOR
)  # fmt: skip
PROBE = record(
    jobName=STRING, module=STRING, interval=DURATION, scrapeTimeout=DURATION, metricRelabelings=RELABELINGS, bearerTokenSecret=KEY,
    prober=record(("url",), url=STRING, scheme=SCHEME, path={**STRING, "default": "/probe"}),
    targets=record(
        staticConfig=record(static=STRINGS, labels=TEXTS, relabelingConfigs=RELABELINGS),
        ingress=record(selector=SELECTOR, namespaceSelector=NAMESPACES, relabelingConfigs=RELABELINGS),
    ),
    scrapeClass=NAMED, **HTTP, **LIMITS,
)  # fmt: skip
_REFRESH: dict[str, Schema] = {"refreshInterval": DURATION}
SCRAPE_CONFIG = record(
    jobName=STRING, metricsPath=STRING, scheme=SCHEME, scrapeInterval=DURATION, scrapeTimeout=DURATION, honorLabels=BOOLEAN,
    honorTimestamps=BOOLEAN, trackTimestampsStaleness=BOOLEAN, enableCompression=BOOLEAN, params={"type": "object", "additionalProperties": STRINGS},
    relabelings=RELABELINGS, metricRelabelings=RELABELINGS,
    staticConfigs=listed(record(targets=STRINGS, labels=TEXTS)),
    fileSDConfigs=listed(record(("files",), files=STRINGS, **_REFRESH)),
    httpSDConfigs=listed(record(("url",), url=STRING, **_REFRESH, **HTTP)),
    dnsSDConfigs=listed(record(("names",), names=STRINGS, type=one_of("A", "AAAA", "MX", "NS", "SRV"), port=INTEGER, **_REFRESH)),
    kubernetesSDConfigs=listed(
        record(
            ("role",), role=STRING, apiServer=STRING, namespaces=record(ownNamespace=BOOLEAN, names=STRINGS),
            selectors=listed(record(("role",), role=STRING, label=STRING, field=STRING)), attachMetadata=record(node=BOOLEAN),
            authorization=HTTP["authorization"], tlsConfig=record(caFile=STRING, certFile=STRING, keyFile=STRING),
        )
    ),
    scrapeClass=NAMED, **HTTP, **LIMITS,
)  # fmt: skip
RULE = record(
    ("groups",),
    groups=listed(
        record(
            ("name",), name={**STRING, "minLength": 1}, interval=DURATION, query_offset=DURATION, limit=INTEGER, labels=TEXTS,
            partial_response_strategy=STRING,
            rules=listed(
                record(
                    ("expr",), record=STRING, alert=STRING, expr=INT_OR_STRING, **{"for": DURATION}, keep_firing_for=DURATION,
                    labels=TEXTS, annotations=TEXTS,
                )
            ),
        ),
        **{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    ),
)  # fmt: skip
REMOTE_WRITE = record(
    ("url",), url=STRING, name=STRING, remoteTimeout=DURATION, headers=TEXTS, sendExemplars=BOOLEAN, sendNativeHistograms=BOOLEAN,
    messageVersion=one_of("V1.0", "V2.0"), writeRelabelConfigs=RELABELINGS,
    queueConfig=record(
        capacity=INTEGER, minShards=INTEGER, maxShards=INTEGER, maxSamplesPerSend=INTEGER, batchSendDeadline=DURATION, minBackoff=DURATION,
        maxBackoff=DURATION, retryOnRateLimit=BOOLEAN, sampleAgeLimit=DURATION,
    ),
    metadataConfig=record(send=BOOLEAN, sendInterval=DURATION, maxSamplesPerSend=INTEGER),
    bearerTokenFile=STRING, **HTTP,
)  # fmt: skip
REMOTE_READ = record(
    ("url",), url=STRING, name=STRING, remoteTimeout=DURATION, headers=TEXTS, requiredMatchers=TEXTS, readRecent=BOOLEAN,
    filterExternalLabels=BOOLEAN, bearerTokenFile=STRING, **HTTP,
)  # fmt: skip
ALERTMANAGERS = record(
    alertmanagers=listed(
        record(
            ("name", "port"), name=STRING, namespace=STRING, port=INT_OR_STRING, scheme=SCHEME, pathPrefix=STRING, apiVersion=STRING,
            timeout=DURATION, relabelings=RELABELINGS, alertRelabelings=RELABELINGS, bearerTokenFile=STRING, **HTTP,
        )
    )
)  # fmt: skip
SCRAPE_CLASSES = listed(
    record(
        ("name",), name=NAMED, default=BOOLEAN, tlsConfig=TLS, authorization=record(type=STRING, credentials=KEY, credentialsFile=STRING),
        relabelings=RELABELINGS, metricRelabelings=RELABELINGS, attachMetadata=record(node=BOOLEAN), fallbackScrapeProtocol=STRING,
    ),
    **{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
)  # fmt: skip
OTLP = record(
    promoteAllResourceAttributes=BOOLEAN, promoteResourceAttributes=STRINGS, ignoreResourceAttributes=STRINGS,
    translationStrategy=one_of(
        "NoUTF8EscapingWithSuffixes", "UnderscoreEscapingWithSuffixes", "NoTranslation", "UnderscoreEscapingWithoutSuffixes"
    ),
    keepIdentifyingResourceAttributes=BOOLEAN, convertHistogramsToNHCB=BOOLEAN, promoteScopeMetadata=BOOLEAN,
)  # fmt: skip
ENFORCED_LIMITS = {
    "enforcedSampleLimit": "sampleLimit", "enforcedTargetLimit": "targetLimit", "enforcedLabelLimit": "labelLimit",
    "enforcedLabelNameLengthLimit": "labelNameLengthLimit", "enforcedLabelValueLengthLimit": "labelValueLengthLimit",
    "enforcedKeepDroppedTargets": "keepDroppedTargets", "enforcedBodySizeLimit": "bodySizeLimit",
}  # fmt: skip
"""Field of a Prometheus -> field of a monitor (and of a Prometheus: the limit of monitors that have none)."""
SIZE: Schema = {**STRING, "pattern": "(^0|([0-9]*[.])?[0-9]+((K|M|G|T|E|P)i?)?B)$"}


def _selectors(*prefixes: str) -> dict[str, Schema]:
    return {f"{prefix}{suffix}": SELECTOR for prefix in prefixes for suffix in ("Selector", "NamespaceSelector")}


ENABLED_FEATURES = (
    "promql-experimental-functions", "promql-duration-expr", "promql-extended-range-selectors", "promql-binop-fill-modifiers",
    "promql-delayed-name-removal", "type-and-unit-labels",
)  # fmt: skip
_COMMON: dict[str, Schema] = {
    **_selectors("serviceMonitor", "podMonitor", "probe", "scrapeConfig"),
    **{name: SIZE if "BodySize" in name else INTEGER for name in ENFORCED_LIMITS},
    **{name: SIZE if name == "bodySizeLimit" else INTEGER for name in ENFORCED_LIMITS.values()},
    **dict.fromkeys(("scrapeInterval", "scrapeTimeout"), DURATION),
    **dict.fromkeys(
        (
            "overrideHonorLabels", "overrideHonorTimestamps", "ignoreNamespaceSelectors", "enableRemoteWriteReceiver", "enableOTLPReceiver", "paused",
            "scrapeClassicHistograms", "scrapeNativeHistograms", "convertClassicHistogramsToNHCB",
        ),
        BOOLEAN,
    ),
    "externalLabels": TEXTS, "prometheusExternalLabelName": STRING, "replicaExternalLabelName": STRING, "externalUrl": STRING,
    "enableFeatures": listed(one_of(*ENABLED_FEATURES)), "remoteWrite": listed(REMOTE_WRITE), "additionalScrapeConfigs": KEY,
    "enforcedNamespaceLabel": STRING,
    "excludedFromEnforcement": listed(
        record(
            ("resource", "namespace"), group={**one_of("monitoring.coreos.com"), "default": "monitoring.coreos.com"},
            resource=one_of("prometheusrules", "servicemonitors", "podmonitors", "probes", "scrapeconfigs"),
            namespace={**STRING, "minLength": 1}, name=STRING,
        )
    ),
    "arbitraryFSAccessThroughSMs": record(deny=BOOLEAN), "podTargetLabels": STRINGS, "portName": STRING,
    "serviceDiscoveryRole": one_of("Endpoints", "EndpointSlice"), "scrapeProtocols": STRINGS,
    "nameValidationScheme": one_of("UTF8", "Legacy"),
    "nameEscapingScheme": one_of("AllowUTF8", "Underscores", "Dots", "Values"),
    "replicas": {"type": "integer", "format": "int32"}, "shards": {"type": "integer", "format": "int32"},
    "tsdb": record(outOfOrderTimeWindow=DURATION), "scrapeClasses": SCRAPE_CLASSES, "otlp": OTLP,
}  # fmt: skip


def _idle(kind: str) -> dict[str, Schema]:
    return dict.fromkeys(WITHOUT_EFFECT[kind], ANY)


PROMETHEUS = record(
    **_COMMON, **_selectors("rule"), remoteRead=listed(REMOTE_READ), evaluationInterval=DURATION, ruleQueryOffset=DURATION,
    retention=DURATION, retentionSize=SIZE,
    query=record(lookbackDelta=STRING, maxConcurrency=INTEGER, maxSamples=INTEGER, timeout=DURATION),
    exemplars=record(maxSize=INTEGER), enableAdminAPI=BOOLEAN,
    rules=record(alert=record(forOutageTolerance=STRING, forGracePeriod=STRING, resendDelay=STRING)),
    alerting=ALERTMANAGERS, additionalAlertRelabelConfigs=KEY, additionalAlertManagerConfigs=KEY,
    prometheusRulesExcludedFromEnforce=listed(record(("ruleName", "ruleNamespace"), ruleName=STRING, ruleNamespace=STRING)),
    **_idle("Prometheus"),
)  # fmt: skip
PROMETHEUS_AGENT = record(**_COMMON, **_idle("PrometheusAgent"))
"""It stores and passes on what it scrapes; rules, alerts and their settings are not its business, as upstream has it."""
ALERTMANAGER = record(
    configSecret=STRING, alertmanagerConfigSelector=SELECTOR, alertmanagerConfigNamespaceSelector=SELECTOR,
    alertmanagerConfiguration=record(name=STRING),
    alertmanagerConfigMatcherStrategy=record(type=one_of("OnNamespace", "OnNamespaceExceptForAlertmanagerNamespace", "None")),
    retention=DURATION, externalUrl=STRING, paused=BOOLEAN, portName=STRING,
    replicas={"type": "integer", "format": "int32"},
    **_idle("Alertmanager"),
)  # fmt: skip
