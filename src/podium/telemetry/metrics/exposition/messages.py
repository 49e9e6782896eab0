"""io.prometheus.client's messages, built at first use from a table rather than from a compiled file.

Source: client_model's metrics.proto (names, numbers and types of fields).
"""

from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "podium.exposition"  # a name of our own: other libraries in the process may register upstream's
_FIELD = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "string": _FIELD.TYPE_STRING,
    "double": _FIELD.TYPE_DOUBLE,
    "uint64": _FIELD.TYPE_UINT64,
    "int64": _FIELD.TYPE_INT64,
    "sint64": _FIELD.TYPE_SINT64,
    "sint32": _FIELD.TYPE_SINT32,
    "uint32": _FIELD.TYPE_UINT32,
    "int32": _FIELD.TYPE_INT32,
}
COUNTER, GAUGE, SUMMARY, UNTYPED, HISTOGRAM, GAUGE_HISTOGRAM = range(6)
"""Values of MetricFamily.type."""

_MESSAGES = {
    "LabelPair": "1 name string, 2 value string",
    "Timestamp": "1 seconds int64, 2 nanos int32",
    "Exemplar": "1 label *LabelPair, 2 value double, 3 timestamp Timestamp",
    "Gauge": "1 value double",
    "Counter": "1 value double, 2 exemplar Exemplar, 3 created_timestamp Timestamp",
    "Quantile": "1 quantile double, 2 value double",
    "Summary": "1 sample_count uint64, 2 sample_sum double, 3 quantile *Quantile, 4 created_timestamp Timestamp",
    "Untyped": "1 value double",
    "BucketSpan": "1 offset sint32, 2 length uint32",
    "Bucket": "1 cumulative_count uint64, 4 cumulative_count_float double, 2 upper_bound double, 3 exemplar Exemplar",
    "Histogram": (
        "1 sample_count uint64, 4 sample_count_float double, 2 sample_sum double, 3 bucket *Bucket, 15 created_timestamp Timestamp, "
        "5 schema sint32, 6 zero_threshold double, 7 zero_count uint64, 8 zero_count_float double, "
        "9 negative_span *BucketSpan, 10 negative_delta *sint64, 11 negative_count *double, "
        "12 positive_span *BucketSpan, 13 positive_delta *sint64, 14 positive_count *double, 16 exemplars *Exemplar"
    ),
    "Metric": (
        "1 label *LabelPair, 2 gauge Gauge, 3 counter Counter, 4 summary Summary, 5 untyped Untyped, 7 histogram Histogram, "
        "6 timestamp_ms int64"
    ),
    "MetricFamily": "1 name string, 2 help string, 3 type int32, 4 metric *Metric, 5 unit string",
}


@cache
def metric_family() -> Any:
    """The message class."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{_PACKAGE}.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for text in fields.split(", "):
            number, field_name, kind = text.split(" ")
            repeated = kind.startswith("*")
            kind = kind.removeprefix("*")
            field = message.field.add(name=field_name, number=int(number))
            field.label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
            if kind in _SCALARS:
                field.type = _SCALARS[kind]
            else:
                field.type, field.type_name = _FIELD.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.MetricFamily"))
