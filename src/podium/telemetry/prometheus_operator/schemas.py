"""The schemas of the operator's resources: the fields that Podium acts on, and no others. definitions.py makes definitions of them.

What upstream's resources have beyond that is pruned by the API server with its usual warning (or refused, with strict field validation):
nothing is accepted in silence. Upstream's own definitions may be applied over these; the operator then refuses by name what it cannot do.

Source: the Prometheus operator's API reference (monitoring.coreos.com v1, v1alpha1, v1beta1).
"""

from typing import Any

Schema = dict[str, Any]
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
    "attachMetadata": record(node=BOOLEAN), **LIMITS,
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
    **HTTP, **LIMITS,
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
            selectors=listed(record(("role",), role=STRING, label=STRING, field=STRING)), attachMetadata=record(node=BOOLEAN), **HTTP,
        )
    ),
    **HTTP, **LIMITS,
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
    writeRelabelConfigs=RELABELINGS,
    queueConfig=record(
        capacity=INTEGER, minShards=INTEGER, maxShards=INTEGER, maxSamplesPerSend=INTEGER, batchSendDeadline=DURATION, minBackoff=DURATION,
        maxBackoff=DURATION, retryOnRateLimit=BOOLEAN, sampleAgeLimit=DURATION,
    ),
    **HTTP,
)  # fmt: skip
_SELECTORS: dict[str, Schema] = {
    f"{prefix}{suffix}": SELECTOR
    for prefix in ("serviceMonitor", "podMonitor", "probe", "scrapeConfig", "rule")
    for suffix in ("Selector", "NamespaceSelector")
}
PROMETHEUS = record(
    **_SELECTORS, scrapeInterval=DURATION, scrapeTimeout=DURATION, evaluationInterval=DURATION, externalLabels=TEXTS,
    prometheusExternalLabelName=STRING, replicaExternalLabelName=STRING, retention=DURATION, retentionSize=STRING, remoteWrite=listed(REMOTE_WRITE),
    overrideHonorLabels=BOOLEAN, overrideHonorTimestamps=BOOLEAN, ignoreNamespaceSelectors=BOOLEAN, enforcedNamespaceLabel=STRING,
    arbitraryFSAccessThroughSMs=record(deny=BOOLEAN), serviceDiscoveryRole=one_of("Endpoints", "EndpointSlice"), paused=BOOLEAN,
    alerting=record(
        alertmanagers=listed(
            record(
                ("name", "port"), name=STRING, namespace=STRING, port=INT_OR_STRING, scheme=STRING, pathPrefix=STRING, apiVersion=STRING,
                timeout=DURATION, relabelings=RELABELINGS, alertRelabelings=RELABELINGS, **HTTP,
            )
        )
    ),
)  # fmt: skip
FREE: Schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
ALERTMANAGER = record(
    configSecret=STRING, alertmanagerConfigSelector=SELECTOR, alertmanagerConfigNamespaceSelector=SELECTOR,
    alertmanagerConfiguration=record(name=STRING),
    alertmanagerConfigMatcherStrategy=record(type=one_of("OnNamespace", "OnNamespaceExceptForAlertmanagerNamespace", "None")),
    retention=DURATION, externalUrl=STRING, paused=BOOLEAN,
    replicas={"type": "integer", "format": "int32"},
)  # fmt: skip
