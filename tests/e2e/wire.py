"""Bodies that no client library at hand can make: delimited protobuf, and framed snappy, both by the letter."""

import struct

PROTOBUF = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

COUNTER, GAUGE, SUMMARY, UNTYPED, HISTOGRAM, GAUGE_HISTOGRAM = range(6)
# The field of a metric that holds its value, by the family's type.
VALUE_FIELDS = {COUNTER: 3, GAUGE: 2, SUMMARY: 4, UNTYPED: 5, HISTOGRAM: 7, GAUGE_HISTOGRAM: 7}


def varint(number):
    parts = bytearray()
    while number >= 0x80:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def integer(field, number):
    return varint(field << 3) + varint(number)


def double(field, number):
    return varint(field << 3 | 1) + struct.pack("<d", number)


def message(field, *parts):
    """A nested message, or a string."""
    body = b"".join(part.encode() if isinstance(part, str) else part for part in parts)
    return varint(field << 3 | 2) + varint(len(body)) + body


def metric(kind, value, timestamp=None, **labels):
    """One metric. `value` is a number, or the fields of a summary or a histogram."""
    pairs = [message(1, message(1, name), message(2, text)) for name, text in labels.items()]
    fields = value if isinstance(value, bytes) else double(1, value)
    times = b"" if timestamp is None else integer(6, timestamp)
    return message(4, *pairs, message(VALUE_FIELDS[kind], fields), times)


def summary(count, total, quantiles):
    """The fields of a summary."""
    parts = [message(3, double(1, quantile), double(2, value)) for quantile, value in quantiles.items()]
    return integer(1, count) + double(2, total) + b"".join(parts)


def histogram(count, total, buckets):
    """The fields of a histogram."""
    parts = [message(3, integer(1, number), double(2, bound)) for bound, number in buckets.items()]
    return integer(1, count) + double(2, total) + b"".join(parts)


def family(name, kind, *metrics, help=None):
    """One family with its length before it. A `kind` of None leaves the type out."""
    told = b"" if help is None else message(2, help)
    typed = b"" if kind is None else integer(3, kind)
    body = message(1, name) + told + typed + b"".join(metrics)
    return varint(len(body)) + body


def checksum(data):
    """CRC-32C, masked as snappy's framing asks for."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def snappy_frames(data):
    """The stream identifier, and one chunk that is stored as it is."""
    chunk = struct.pack("<I", checksum(data)) + data
    return b"\xff\x06\x00\x00sNaPpY" + b"\x01" + len(chunk).to_bytes(3, "little") + chunk


def snappy_block(data):
    """The block format: one literal."""
    assert len(data) <= 60
    return varint(len(data)) + bytes([len(data) - 1 << 2]) + data
