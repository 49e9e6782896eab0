"""Labels of many series as bytes: a table of values and an array of codes for each label name.

Layout: length of the head (u32); head, JSON: {"count": N, "names": [[name, [values, from code 1]]...]}, all of it compressed; then for each
name N codes (int32, of this record's own tables), compressed.
"""

import struct

import cramjam
import numpy as np
import orjson

from podium.telemetry.metrics.labels import LabelColumn, LabelColumns

_LENGTH = struct.Struct("<I")
_ZSTD_LEVEL = 3


def encode_series(labels: LabelColumns) -> bytes:
    """One column at a time: it may be made when it is asked for."""
    names = []
    packer = cramjam.zstd.Compressor(_ZSTD_LEVEL)
    for name in labels.names:
        column = labels.columns[name]
        used, local = np.unique(column.codes, return_inverse=True)
        if not len(used) or (len(used) == 1 and used[0] == 0):
            continue
        if used[0] != 0:
            local = local + 1
        names.append([name, [column.values[code] for code in used.tolist() if code]])
        packer.compress(local.astype("<i4").tobytes())
    head = orjson.dumps({"count": labels.count, "names": names})
    packed = bytes(cramjam.zstd.compress(head, _ZSTD_LEVEL))
    return _LENGTH.pack(len(packed)) + packed + bytes(packer.finish())


def decode_series(data: bytes | memoryview) -> LabelColumns:
    """Raises ValueError (or what its libraries raise) on bytes that `encode_series` did not make."""
    (length,) = _LENGTH.unpack_from(data)
    head = orjson.loads(bytes(cramjam.zstd.decompress(bytes(data[_LENGTH.size : _LENGTH.size + length]))))
    body = np.frombuffer(bytes(cramjam.zstd.decompress(bytes(data[_LENGTH.size + length :]))), "<i4")
    count = head["count"]
    codes = body.reshape(len(head["names"]), count)
    return LabelColumns(
        count, {name: LabelColumn(codes[i].astype(np.int32), ["", *values]) for i, (name, values) in enumerate(head["names"])}
    )
