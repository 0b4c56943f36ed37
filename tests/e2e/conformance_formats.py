"""How the official Pushgateway reads bodies, case by case: values, what is malformed, protobuf, compression."""

import gzip

import wire
from conformance import case, post, pushed, pushed_and_refused, put, refused

X = "/job/x"
INCONSISTENT = "pushed metrics are invalid or inconsistent with existing metrics: "
TIMESTAMPS = INCONSISTENT + "pushed metrics must not have timestamps"

VALUES = {
    "floats as Go reads them": case(
        put(X, "a nan\nb Inf\nc -inf\nd +Infinity\ne 1e3\nf .5\ng 5.\nh +1\ni -0.25E-2\n"),
        page=pushed("a NaN\nb +Inf\nc -Inf\nd +Inf\ne 1000\nf 0.5\ng 5\nh 1\ni -0.0025\n", job="x"),
    ),
    "floats of every size": case(
        put(X, "a 0.1\nb 123456789\nc 1e21\nd 1e-7\ne 9007199254740993\nf 1.7976931348623157e308\ng 5e-324\n"),
        page=pushed(
            "a 0.1\nb 123456789\nc 1e21\nd 1e-7\ne 9007199254740992\nf 1.7976931348623157e308\ng 5e-324\n", job="x"
        ),
    ),
    "a histogram": case(
        put(
            X,
            '# TYPE h histogram\nh_bucket{le="0.5"} 1\nh_bucket{le="1"} 2\n'
            'h_bucket{le="+Inf"} 3\nh_sum 4.5\nh_count 3\n',
        ),
        page=pushed('h_bucket{le="0.5"} 1\nh_bucket{le="1"} 2\nh_bucket{le="+Inf"} 3\nh_sum 4.5\nh_count 3\n', job="x"),
        types={"h": "histogram"},
    ),
    "a histogram is replaced with its buckets": case(
        put(X, '# TYPE h histogram\nh_bucket{le="1"} 2\nh_bucket{le="+Inf"} 3\nh_sum 4\nh_count 3\n'),
        post(X, '# TYPE h histogram\nh_bucket{le="2"} 1\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n'),
        page=pushed('h_bucket{le="2"} 1\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n', job="x"),
    ),
    "a missing bucket +Inf is made from the count": case(
        put(X, '# TYPE h histogram\nh_bucket{le="1"} 2\nh_sum 4\nh_count 3\n'),
        page=pushed('h_bucket{le="1"} 2\nh_bucket{le="+Inf"} 3\nh_sum 4\nh_count 3\n', job="x"),
    ),
    "a histogram that disagrees with itself": case(
        put(
            X,
            '# TYPE h histogram\nh_bucket{le="1"} 5\nh_bucket{le="2"} 3\nh_bucket{le="+Inf"} 4\nh_sum -1\nh_count 9\n',
        ),
        page=pushed('h_bucket{le="1"} 5\nh_bucket{le="2"} 3\nh_bucket{le="+Inf"} 4\nh_sum -1\nh_count 9\n', job="x"),
    ),
    "a histogram whose lines are in disorder": case(
        put(
            X,
            '# TYPE h histogram\nh_count 3\nh_bucket{le="+Inf"} 3\nh_bucket{le="1"} 2\nh_sum 4\nh_bucket{le="0.5"} 1\n',
        ),
        page=pushed('h_bucket{le="0.5"} 1\nh_bucket{le="1"} 2\nh_bucket{le="+Inf"} 3\nh_sum 4\nh_count 3\n', job="x"),
    ),
    "a summary with its quantiles": case(
        put(X, '# TYPE s summary\ns{quantile="0.5"} 1.5\ns{quantile="0.99"} NaN\ns_sum 10\ns_count 4\n'),
        page=pushed('s{quantile="0.5"} 1.5\ns{quantile="0.99"} NaN\ns_sum 10\ns_count 4\n', job="x"),
        types={"s": "summary"},
    ),
    "quantiles are replaced": case(
        put(X, '# TYPE s summary\ns{quantile="0.5"} 1\ns_sum 10\ns_count 4\n'),
        post(X, '# TYPE s summary\ns{quantile="0.9"} 2\ns_sum 3\ns_count 1\n'),
        page=pushed('s{quantile="0.9"} 2\ns_sum 3\ns_count 1\n', job="x"),
    ),
    "summaries and histograms with labels": case(
        put(
            X,
            '# TYPE s summary\ns_sum{l="1"} 1\ns_count{l="1"} 1\ns_sum{l="2"} 2\ns_count{l="2"} 2\n'
            '# TYPE h histogram\nh_bucket{l="1",le="+Inf"} 1\nh_sum{l="1"} 1\nh_count{l="1"} 1\n',
        ),
        page=pushed(
            's_sum{l="1"} 1\ns_count{l="1"} 1\ns_sum{l="2"} 2\ns_count{l="2"} 2\n'
            'h_bucket{l="1",le="+Inf"} 1\nh_sum{l="1"} 1\nh_count{l="1"} 1\n',
            job="x",
        ),
    ),
    "parts of a histogram without a type are untyped": case(
        put(X, 'h_bucket{le="1"} 1\nh_sum 1\nh_count 1\n'),
        page=pushed('h_bucket{le="1"} 1\nh_sum 1\nh_count 1\n', job="x"),
        types={"h_bucket": "untyped", "h_sum": "untyped", "h_count": "untyped"},
    ),
    "escapes and UTF-8 in label values": case(
        put(X, 'a{l="q\\"b\\\\n\\n",k="é 世界 🌉",e=" "} 1\n'),
        page=pushed('a{l="q\\"b\\\\n\\n",k="é 世界 🌉",e=" "} 1\n', job="x"),
    ),
    "blanks and tabs": case(
        put(X, '  a \t{ l = "1" , k="2" , }\t1\n\tb{}  2\n\n   \n'),
        page=pushed('a{l="1",k="2"} 1\nb 2\n', job="x"),
    ),
    "types in capitals": case(
        put(X, "# TYPE a_total COUNTER\na_total 1\n# TYPE b Gauge\nb 1\n# TYPE c Untyped\nc 1\n"),
        page=pushed("a_total 1\nb 1\nc 1\n", job="x"),
        types={"a_total": "counter", "b": "gauge", "c": "untyped"},
    ),
    "TYPE without a type is ignored": case(
        put(X, "# TYPE a\na 1\n"), page=pushed("a 1\n", job="x"), types={"a": "untyped"}
    ),
    "HELP after its samples": case(put(X, "a 1\n# HELP a Late.\n"), page=pushed("a 1\n", job="x")),
    "a metric's name with colons": case(put(X, "a:b:c 1\n:d 1\n"), page=pushed("a:b:c 1\n:d 1\n", job="x")),
    "another content type is read as text": case(
        put(X, "a 1\n", content_type="application/x-www-form-urlencoded"),
        post(X, "b 1\n", content_type="text/html; charset=utf-8"),
        post(X, "c 1\n", content_type="application/json"),
        page=pushed("a 1\nb 1\nc 1\n", job="x"),
    ),
}

# Bodies that are no text format 0.0.4.
MALFORMED_BODIES = {
    "an exemplar": b'a 1 # {id="x"} 1\n',
    "a number in hexadecimal": b"a 0x10\n",
    "a number with underscores": b"a 1_000\n",
    "a number too large": b"a 1e400\n",
    "no number": b"a\n",
    "two timestamps": b"a 1 2 3\n",
    "a timestamp with a fraction": b"a 1 2.5\n",
    "no metric's name": b"1a 1\n",
    "labels without a name": b'{l="1"} 1\n',
    "labels that do not end": b'a{l="1" 1\n',
    "a value that does not end": b'a{l="1} 1\n',
    "a value without quotes": b"a{l=1} 1\n",
    "two commas": b'a{l="1",,} 1\n',
    "an unknown escape": b'a{l="\\t"} 1\n',
    "a label twice": b'a{l="1",l="2"} 1\n',
    "a label that is the metric's name": b'a{__name__="b"} 1\n',
    "a label's name with a colon": b'a{l:k="1"} 1\n',
    "a label that is not UTF-8": b'a{l="\xff"} 1\n',
    "an unknown type": b"# TYPE a number\na 1\n",
    "a bound that is no number": b'# TYPE h histogram\nh_bucket{le="x"} 1\n',
    "a quantile that is no number": b'# TYPE s summary\ns{quantile="x"} 1\n',
    "a page in HTML": b"<html>\n",
    "JSON": b'{"a": 1}\n',
    "random bytes": bytes(range(256)) + b"\n",
}
MALFORMED = {
    name: case(put(X, "a 1\n"), put(X, b"b 1\n" + body, 400), post("/job/y", body, 400), page=pushed("a 1\n", job="x"))
    for name, body in MALFORMED_BODIES.items()
}

PROTOBUF_BODY = (
    wire.family("g", wire.GAUGE, wire.metric(wire.GAUGE, -1.5), help="A gauge.")
    + wire.family("c_total", wire.COUNTER, wire.metric(wire.COUNTER, 3, l="1"), wire.metric(wire.COUNTER, 4, l="2"))
    + wire.family("u", wire.UNTYPED, wire.metric(wire.UNTYPED, 5, job="body", k="é"))
    + wire.family("s", wire.SUMMARY, wire.metric(wire.SUMMARY, wire.summary(4, 10, {0.5: 1.5})))
    + wire.family("h", wire.HISTOGRAM, wire.metric(wire.HISTOGRAM, wire.histogram(3, 4.5, {1: 2, float("inf"): 3})))
)
PROTOBUF_PAGE = pushed(
    'g -1.5\nc_total{l="1"} 3\nc_total{l="2"} 4\nu{k="é"} 5\ns{quantile="0.5"} 1.5\ns_sum 10\ns_count 4\n'
    'h_bucket{le="1"} 2\nh_bucket{le="+Inf"} 3\nh_sum 4.5\nh_count 3\n',
    job="x",
)
PROTOBUF_TYPES = {"g": "gauge", "c_total": "counter", "u": "untyped", "s": "summary", "h": "histogram"}


def protobuf(method, *families, status=200, says="", path=X):
    return method(path, b"".join(families), status, says, content_type=wire.PROTOBUF)


def gauge(name, *values, **labels):
    return wire.family(name, wire.GAUGE, *(wire.metric(wire.GAUGE, value, **labels) for value in values))


PROTOBUF = {
    "every type": case(protobuf(put, PROTOBUF_BODY), page=PROTOBUF_PAGE, types=PROTOBUF_TYPES),
    "POST keeps other families in protobuf": case(
        protobuf(put, gauge("a", 1), gauge("b", 1)), protobuf(post, gauge("b", 2)), page=pushed("a 1\nb 2\n", job="x")
    ),
    "protobuf and text are one": case(
        protobuf(put, gauge("a", 1)), post(X, "# TYPE a gauge\na 2\n"), page=pushed("a 2\n", job="x")
    ),
    "nothing in protobuf": case(protobuf(put, gauge("a", 1)), protobuf(post), protobuf(put), page=pushed(job="x")),
    "the parameters in another order, and in quotes": case(
        put(
            X,
            gauge("a", 1),
            content_type='application/vnd.google.protobuf;encoding="delimited";proto="io.prometheus.client.MetricFamily"',
        ),
        page=pushed("a 1\n", job="x"),
    ),
    "a family without a type is a counter": case(
        protobuf(put, wire.family("a_total", None, wire.metric(wire.COUNTER, 2))),
        page=pushed("a_total 2\n", job="x"),
        types={"a_total": "counter"},
    ),
    "of a family twice in one push the last wins": case(
        protobuf(put, gauge("a", 1, l="1"), gauge("b", 1), gauge("a", 2, l="2")),
        page=pushed('a{l="2"} 2\nb 1\n', job="x"),
    ),
    "a family without metrics removes the one that is there": case(
        protobuf(put, gauge("a", 1), gauge("b", 1)), protobuf(post, gauge("a")), page=pushed("b 1\n", job="x")
    ),
    "a series twice in protobuf is refused": case(
        protobuf(put, gauge("a", 1, 2), status=400, says=INCONSISTENT), page=refused(job="x")
    ),
    "a timestamp in protobuf is refused": case(
        protobuf(put, gauge("a", 1)),
        protobuf(
            put, wire.family("a", wire.GAUGE, wire.metric(wire.GAUGE, 2, 1700000000000)), status=400, says=TIMESTAMPS
        ),
        page=pushed_and_refused("a 1\n", job="x"),
    ),
    "protobuf that is cut short is refused": case(
        protobuf(put, gauge("a", 1)),
        protobuf(put, gauge("b", 1), gauge("a", 2)[:-3], status=400),
        page=pushed("a 1\n", job="x"),
    ),
    "text that says it is protobuf is refused": case(protobuf(put, b"some_metric 1\n", status=400)),
    "protobuf that says it is text is refused": case(put(X, gauge("a", 1), 400)),
}

TEXT = b"a 1\nb 2\n"
COMPRESSED = {
    "gzip": case(put(X, gzip.compress(TEXT), content_encoding="gzip"), page=pushed("a 1\nb 2\n", job="x")),
    "gzip in two members": case(
        put(X, gzip.compress(b"a 1\n") + gzip.compress(b"b 2\n"), content_encoding="gzip"),
        page=pushed("a 1\nb 2\n", job="x"),
    ),
    "gzip of protobuf": case(
        put(X, gzip.compress(PROTOBUF_BODY), content_encoding="gzip", content_type=wire.PROTOBUF), page=PROTOBUF_PAGE
    ),
    "an unknown coding is none": case(put(X, "a 1\n", content_encoding="br"), page=pushed("a 1\n", job="x")),
    "gzip of nothing": case(put(X, "a 1\n"), put(X, gzip.compress(b""), content_encoding="gzip"), page=pushed(job="x")),
    "gzip that is none": case(
        put(X, "a 1\n"), put(X, TEXT, 400, content_encoding="gzip"), page=pushed("a 1\n", job="x")
    ),
    "gzip that is not said": case(put(X, gzip.compress(TEXT), 400)),
    "gzip that breaks off": case(
        put(X, "a 1\n"),
        put(X, gzip.compress(TEXT * 99)[:25], 400, content_encoding="gzip"),
        page=pushed("a 1\n", job="x"),
    ),
    "gzip in capitals": case(
        put(X, gzip.compress(TEXT), content_encoding="GZIP"), page=pushed("a 1\nb 2\n", job="x"), since=(1, 6)
    ),
    "snappy in frames": case(
        put(X, wire.snappy_frames(TEXT), content_encoding="snappy"), page=pushed("a 1\nb 2\n", job="x"), since=(1, 6)
    ),
    "snappy without frames": case(
        put(X, "a 1\n"),
        put(X, wire.snappy_block(TEXT), 400, content_encoding="snappy"),
        page=pushed("a 1\n", job="x"),
        since=(1, 6),
    ),
    "snappy that is none": case(put(X, TEXT, 400, content_encoding="snappy"), since=(1, 6)),
}
