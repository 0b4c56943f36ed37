"""Where Catchment in the place of a Pushgateway differs from it, with the reason."""

import wire
from conformance import case, post, pushed, put
from conformance_formats import X, gauge, protobuf

# A page of `None` has nothing on it but the times of pushes.
NOTHING = None

BREAKS = "the Pushgateway takes it, and its page is broken for everybody"
LOCKS = "the Pushgateway refuses it, and then everybody else's pushes as well"
CLEAR = "a body that is clear is taken, as by every door; the Pushgateway refuses it"
SILENT = "what cannot be shown is refused; the Pushgateway drops or invents data without a word"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

HISTOGRAM = wire.histogram(1, 1, {1: 1})

# Name: reason, case.
DELIBERATE = {
    "a reserved label": (
        "the reader refuses it, so no failure is noted; the Pushgateway reads it and its check refuses it",
        case(put(X, 'a{__a="1"} 1\n', 400), page=NOTHING),
    ),
    "the legacy form of utf-8 names": (
        "UTF-8 names are always on; the Pushgateway has a flag for them",
        case(put("/job/x/U__a_2e_b/1", "m 1\n"), page=pushed("m 1\n", job="x", a_b="1")),
    ),
    "a path value in base64 that is not UTF-8": (LOCKS, case(put("/job/x/a@base64/_w", "m 1\n", 400))),
    "a path value that is not UTF-8": (LOCKS, case(put("/job/x/a/%FF", "m 1\n", 400), post("/job/%FF", "m 1\n", 400))),
    "a HELP that is not UTF-8": (BREAKS, case(put(X, b"# HELP m \xff\n# TYPE m gauge\nm 1\n", 400), page=NOTHING)),
    "a family without a name": (BREAKS, case(protobuf(put, gauge("", 1), status=400), page=NOTHING)),
    "an own le of a histogram": (
        BREAKS,
        case(
            protobuf(put, wire.family("h", wire.HISTOGRAM, wire.metric(wire.HISTOGRAM, HISTOGRAM, le="2")), status=400),
            page=NOTHING,
        ),
    ),
    "a gauge histogram in text": (BREAKS, case(put(X, "# TYPE a gauge_histogram\na 1\n", 400), page=NOTHING)),
    "a gauge histogram": (
        "the Pushgateway before 1.11 cuts its page short",
        case(
            protobuf(put, wire.family("h", wire.GAUGE_HISTOGRAM, wire.metric(wire.GAUGE_HISTOGRAM, HISTOGRAM))),
            page=pushed('h_bucket{le="1"} 1\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n', job="x"),
            types={"h": "histogram"},
        ),
    ),
    "a job in base64 that is none, many times": (
        "the Pushgateway before 1.6.1 never answers again",
        case(*[post("/job@base64/a.b", "m 1\n", 400)] * 3, post(X, "a 1\n"), page=pushed("a 1\n", job="x")),
    ),
    "label names that are one after escaping": (
        BREAKS,
        case(protobuf(put, gauge("m", 1, **{"a-b": "1", "a_b": "2"}), status=400), page=NOTHING),
    ),
    "names that are one after escaping": (
        BREAKS,
        case(protobuf(put, gauge("z-z", 1), gauge("z_z", 1), status=400), page=NOTHING),
    ),
    "one bucket in two spellings": (
        "the Pushgateway shows the series twice",
        case(
            put(
                X,
                '# TYPE h histogram\nh_bucket{le="1"} 1\nh_bucket{le="1.0"} 1\nh_bucket{le="+Inf"} 1\nh_count 1\n',
                400,
            ),
            page=NOTHING,
        ),
    ),
    "the time of a failure cannot be set in a group that is there": (
        "the Pushgateway shows the body's, and if that is no gauge then refuses everybody's pushes",
        case(
            put(X, "a 1\n"),
            post(X, "push_failure_time_seconds 5\nb 1\n"),
            put("/job/y", "a 1\n"),
            page=pushed("a 1\nb 1\n", job="x") | pushed("a 1\n", job="y"),
            types={"push_failure_time_seconds": "gauge"},
        ),
    ),
    "a last line without its end": (CLEAR, case(put(X, "a 1\nb 2"), page=pushed("a 1\nb 2\n", job="x"))),
    "line ends of Windows": (
        CLEAR,
        case(put(X, "# TYPE a gauge\r\na 1\r\n"), page=pushed("a 1\n", job="x"), types={"a": "gauge"}),
    ),
    "a blank behind the value": (CLEAR, case(put(X, "a 1 \n"), page=pushed("a 1\n", job="x"))),
    "a TYPE twice": (
        CLEAR,
        case(put(X, "# TYPE a gauge\n# TYPE a gauge\na 1\n"), page=pushed("a 1\n", job="x"), types={"a": "gauge"}),
    ),
    "a TYPE behind its samples": (
        CLEAR,
        case(put(X, "a 1\n# TYPE a gauge\n"), page=pushed("a 1\n", job="x"), types={"a": "gauge"}),
    ),
    "OpenMetrics is read as such": (
        "the Pushgateway reads all as text, and so refuses exemplars",
        case(
            put(X, '# TYPE a counter\na_total 1 # {id="x"} 1\n# EOF\n', content_type=OPENMETRICS),
            page=pushed("a_total 1\n", job="x"),
            types={"a_total": "counter"},
        ),
    ),
    "OpenMetrics without its end is refused": (
        "it may have been cut off on its way",
        case(put(X, "# TYPE a counter\na_total 1\n", 400, content_type=OPENMETRICS)),
    ),
    "a bucket without its bound": (
        SILENT,
        case(put(X, "# TYPE h histogram\nh_bucket 1\nh_count 1\n", 400), page=NOTHING),
    ),
    "a plain sample of a histogram": (SILENT, case(put(X, "# TYPE h histogram\nh 1\n", 400), page=NOTHING)),
    "a count below zero": (SILENT, case(put(X, "# TYPE h histogram\nh_count -1\n", 400), page=NOTHING)),
    "a slash in percent encoding belongs to the value": (
        "so it is for every door; the Pushgateway splits there",
        case(put("/job/a%2Fb", "m 1\n"), page=pushed("m 1\n", job="a/b")),
    ),
    "the plural form of paths": (
        "clients of the time before Pushgateway 0.7 still use it; the Pushgateway answers 404",
        case(put("/jobs/x/instances/y", "m 1\n"), page=pushed("m 1\n", job="x", instance="y")),
    ),
}
