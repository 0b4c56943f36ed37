//! Each kind of family, in by every format that knows it, out by every format.

use crate::case::{Case, check};
use crate::common::exchange::Push::{OpenMetrics, Protobuf, Text};

#[test]
fn counters() {
    check(&[
        Case {
            what: "a counter with help and labels",
            pushes: &[
                Text(
                    "# HELP c_total Done.\n# TYPE c_total counter\nc_total{b=\"2\",a=\"1\"} 3\nc_total{a=\"0\"} 0.5\n",
                ),
                OpenMetrics("# TYPE c counter\n# HELP c Done.\nc_total{b=\"2\",a=\"1\"} 3\nc_total{a=\"0\"} 0.5\n"),
                OpenMetrics("# HELP c Done.\n# TYPE c counter\nc_total{a=\"0\"} 5e-1\nc_total{a=\"1\",b=\"2\"} 3.0\n"),
                Protobuf(&["name: 'c_total' help: 'Done.' type: COUNTER
                     metric { label { name: 'b' value: '2' } label { name: 'a' value: '1' } counter { value: 3 } }
                     metric { label { name: 'a' value: '0' } counter { value: 0.5 } }"]),
            ],
            text: "# HELP c_total Done.\n# TYPE c_total counter\nc_total{a=\"0\"} 0.5\nc_total{a=\"1\",b=\"2\"} 3\n",
            openmetrics: "# HELP c Done.\n# TYPE c counter\nc_total{a=\"0\"} 0.5\nc_total{a=\"1\",b=\"2\"} 3\n",
            protobuf: &["name: 'c_total' help: 'Done.' type: COUNTER
                 metric { label { name: 'a' value: '0' } counter { value: 0.5 } }
                 metric { label { name: 'a' value: '1' } label { name: 'b' value: '2' } counter { value: 3 } }"],
        },
        Case {
            what: "a counter without labels and help; empty labels are none; no type in protobuf is a counter",
            pushes: &[
                Text("# TYPE c_total counter\nc_total{a=\"\"} 3\n"),
                OpenMetrics("# TYPE c counter\nc_total{a=\"\"} 3\n"),
                OpenMetrics("# TYPE c counter\nc_total{} 3\n"),
                Protobuf(&["name: 'c_total' type: COUNTER
                    metric { label { name: 'a' value: '' } counter { value: 3 } }"]),
                Protobuf(&["name: 'c_total' metric { label { name: 'a' } counter { value: 3 } }"]),
            ],
            text: "# TYPE c_total counter\nc_total 3\n",
            openmetrics: "# TYPE c counter\nc_total 3\n",
            protobuf: &["name: 'c_total' type: COUNTER metric { counter { value: 3 } }"],
        },
        Case {
            what: "a counter whose name has no suffix",
            pushes: &[
                Text("# TYPE c counter\nc 3\n"),
                Protobuf(&["name: 'c' type: COUNTER metric { counter { value: 3 } }"]),
            ],
            text: "# TYPE c counter\nc 3\n",
            openmetrics: "# TYPE c counter\nc_total 3\n",
            protobuf: &["name: 'c' type: COUNTER metric { counter { value: 3 } }"],
        },
        Case {
            what: "a counter with exemplar and created timestamp",
            pushes: &[
                OpenMetrics(
                    "# TYPE c counter\nc_total 3 # {trace_id=\"a\"} 0.5 1520879607.789\nc_created 1520872607.123\n",
                ),
                Protobuf(&["name: 'c_total' type: COUNTER metric { counter { value: 3
                     exemplar { label { name: 'trace_id' value: 'a' } value: 0.5
                                timestamp { seconds: 1520879607 nanos: 789000000 } }
                     created_timestamp { seconds: 1520872607 nanos: 123000000 } } }"]),
            ],
            text: "# TYPE c_total counter\nc_total 3\n",
            openmetrics: "# TYPE c counter\nc_total 3 # {trace_id=\"a\"} 0.5 1520879607.789\nc_created 1520872607.123\n",
            protobuf: &["name: 'c_total' type: COUNTER metric { counter { value: 3
                 exemplar { label { name: 'trace_id' value: 'a' } value: 0.5
                            timestamp { seconds: 1520879607 nanos: 789000000 } }
                 created_timestamp { seconds: 1520872607 nanos: 123000000 } } }"],
        },
        Case {
            what: "an exemplar without labels and without a timestamp",
            pushes: &[
                OpenMetrics("# TYPE c counter\nc_total 3 # {} 1\n"),
                Protobuf(&["name: 'c_total' type: COUNTER metric { counter { value: 3 exemplar { value: 1 } } }"]),
            ],
            text: "# TYPE c_total counter\nc_total 3\n",
            openmetrics: "# TYPE c counter\nc_total 3 # {} 1\n",
            protobuf: &["name: 'c_total' type: COUNTER metric { counter { value: 3 exemplar { value: 1 } } }"],
        },
    ]);
}

#[test]
fn gauges_and_untyped() {
    check(&[
        Case {
            what: "a gauge",
            pushes: &[
                Text("# TYPE g gauge\ng -2.5\n"),
                OpenMetrics("# TYPE g gauge\ng -2.5\n"),
                Protobuf(&["name: 'g' type: GAUGE metric { gauge { value: -2.5 } }"]),
            ],
            text: "# TYPE g gauge\ng -2.5\n",
            openmetrics: "# TYPE g gauge\ng -2.5\n",
            protobuf: &["name: 'g' type: GAUGE metric { gauge { value: -2.5 } }"],
        },
        Case {
            what: "a gauge with a unit",
            pushes: &[
                OpenMetrics("# TYPE g_seconds gauge\n# UNIT g_seconds seconds\ng_seconds 1\n"),
                OpenMetrics("# UNIT g_seconds seconds\n# TYPE g_seconds gauge\ng_seconds 1\n"),
                Protobuf(&["name: 'g_seconds' type: GAUGE unit: 'seconds' metric { gauge { value: 1 } }"]),
            ],
            text: "# TYPE g_seconds gauge\ng_seconds 1\n",
            openmetrics: "# TYPE g_seconds gauge\n# UNIT g_seconds seconds\ng_seconds 1\n",
            protobuf: &["name: 'g_seconds' type: GAUGE unit: 'seconds' metric { gauge { value: 1 } }"],
        },
        Case {
            what: "a counter with a unit",
            pushes: &[
                OpenMetrics("# TYPE c_seconds counter\n# UNIT c_seconds seconds\nc_seconds_total 1\n"),
                Protobuf(&["name: 'c_seconds_total' type: COUNTER unit: 'seconds' metric { counter { value: 1 } }"]),
            ],
            text: "# TYPE c_seconds_total counter\nc_seconds_total 1\n",
            openmetrics: "# TYPE c_seconds counter\n# UNIT c_seconds seconds\nc_seconds_total 1\n",
            protobuf: &["name: 'c_seconds_total' type: COUNTER unit: 'seconds' metric { counter { value: 1 } }"],
        },
        Case {
            what: "a unit that the name does not end in is no unit to OpenMetrics",
            pushes: &[Protobuf(&["name: 'g' type: GAUGE unit: 'seconds' metric { gauge { value: 1 } }"])],
            text: "# TYPE g gauge\ng 1\n",
            openmetrics: "# TYPE g gauge\ng 1\n",
            protobuf: &["name: 'g' type: GAUGE unit: 'seconds' metric { gauge { value: 1 } }"],
        },
        Case {
            what: "untyped, unknown, or no type at all",
            pushes: &[
                Text("# TYPE u untyped\nu 1\n"),
                Text("u 1\n"),
                OpenMetrics("# TYPE u unknown\nu 1\n"),
                OpenMetrics("u 1\n"),
                Protobuf(&["name: 'u' type: UNTYPED metric { untyped { value: 1 } }"]),
            ],
            text: "# TYPE u untyped\nu 1\n",
            openmetrics: "# TYPE u unknown\nu 1\n",
            protobuf: &["name: 'u' type: UNTYPED metric { untyped { value: 1 } }"],
        },
        Case {
            what: "families that say nothing of any series",
            pushes: &[
                Text(""),
                Text("# HELP c_total Done.\n# TYPE c_total counter\n"),
                OpenMetrics(""),
                OpenMetrics("# HELP c Done.\n# TYPE c counter\n# UNIT g_bytes bytes\n"),
                Protobuf(&[]),
                Protobuf(&["name: 'c_total' help: 'Done.' type: COUNTER", "name: 'h' type: HISTOGRAM"]),
            ],
            text: "",
            openmetrics: "",
            protobuf: &[],
        },
    ]);
}

#[test]
fn histograms() {
    check(&[
        Case {
            what: "a histogram",
            pushes: &[
                Text(
                    "# TYPE h histogram\nh_bucket{le=\"0.5\"} 1\nh_bucket{le=\"2\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 4.5\nh_count 3\n",
                ),
                OpenMetrics(
                    "# TYPE h histogram\nh_bucket{le=\"0.5\"} 1\nh_bucket{le=\"2.0\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 4.5\nh_count 3\n",
                ),
                OpenMetrics(
                    "# TYPE h histogram\nh_count 3\nh_sum 4.5\nh_bucket{le=\"0.5\"} 1\nh_bucket{le=\"2\"} 2\nh_bucket{le=\"+Inf\"} 3\n",
                ),
                Protobuf(&["name: 'h' type: HISTOGRAM metric { histogram { sample_count: 3 sample_sum: 4.5
                     bucket { cumulative_count: 1 upper_bound: 0.5 } bucket { cumulative_count: 2 upper_bound: 2 }
                     bucket { cumulative_count: 3 upper_bound: inf } } }"]),
                Protobuf(&[
                    "name: 'h' type: HISTOGRAM metric { histogram { sample_count: 3 sample_sum: 4.5
                     bucket { cumulative_count: 1 upper_bound: 0.5 } bucket { cumulative_count: 2 upper_bound: 2 } } }",
                ]),
                Protobuf(&["name: 'h' type: HISTOGRAM metric { histogram { sample_count_float: 3 sample_sum: 4.5
                     bucket { cumulative_count_float: 1 upper_bound: 0.5 }
                     bucket { cumulative_count_float: 2 upper_bound: 2 } } }"]),
            ],
            text: "# TYPE h histogram\nh_bucket{le=\"0.5\"} 1\nh_bucket{le=\"2\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 4.5\nh_count 3\n",
            openmetrics: "# TYPE h histogram\nh_bucket{le=\"0.5\"} 1\nh_bucket{le=\"2.0\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 4.5\nh_count 3\n",
            protobuf: &["name: 'h' type: HISTOGRAM metric { histogram { sample_count: 3 sample_sum: 4.5
                 bucket { cumulative_count: 1 upper_bound: 0.5 } bucket { cumulative_count: 2 upper_bound: 2 }
                 bucket { cumulative_count: 3 upper_bound: inf } } }"],
        },
        Case {
            what: "a histogram with exemplars and created timestamp",
            pushes: &[
                OpenMetrics(
                    "# TYPE h histogram\nh_bucket{le=\"1.0\"} 1 # {trace_id=\"a\"} 0.5\n\
                     h_bucket{le=\"+Inf\"} 2 # {trace_id=\"b\",span_id=\"c\"} 7 12.5\nh_count 2\nh_sum 7.5\nh_created 10\n",
                ),
                Protobuf(&["name: 'h' type: HISTOGRAM metric { histogram { sample_count: 2 sample_sum: 7.5
                     bucket { cumulative_count: 1 upper_bound: 1
                              exemplar { label { name: 'trace_id' value: 'a' } value: 0.5 } }
                     bucket { cumulative_count: 2 upper_bound: inf
                              exemplar { label { name: 'span_id' value: 'c' } label { name: 'trace_id' value: 'b' }
                                         value: 7 timestamp { seconds: 12 nanos: 500000000 } } }
                     created_timestamp { seconds: 10 } } }"]),
            ],
            text: "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 7.5\nh_count 2\n",
            openmetrics: "# TYPE h histogram\nh_bucket{le=\"1.0\"} 1 # {trace_id=\"a\"} 0.5\n\
                          h_bucket{le=\"+Inf\"} 2 # {span_id=\"c\",trace_id=\"b\"} 7 12.5\nh_sum 7.5\nh_count 2\nh_created 10\n",
            protobuf: &["name: 'h' type: HISTOGRAM metric { histogram { sample_count: 2 sample_sum: 7.5
                 bucket { cumulative_count: 1 upper_bound: 1
                          exemplar { label { name: 'trace_id' value: 'a' } value: 0.5 } }
                 bucket { cumulative_count: 2 upper_bound: inf
                          exemplar { label { name: 'span_id' value: 'c' } label { name: 'trace_id' value: 'b' }
                                     value: 7 timestamp { seconds: 12 nanos: 500000000 } } }
                 created_timestamp { seconds: 10 } } }"],
        },
        Case {
            what: "a histogram with bounds below zero has no sum in OpenMetrics",
            pushes: &[
                Text("# TYPE h histogram\nh_bucket{le=\"-1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n"),
                Protobuf(&["name: 'h' type: HISTOGRAM metric { histogram { sample_count: 2 sample_sum: 3
                     bucket { cumulative_count: 1 upper_bound: -1 }
                     bucket { cumulative_count: 2 upper_bound: inf } } }"]),
            ],
            text: "# TYPE h histogram\nh_bucket{le=\"-1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n",
            openmetrics: "# TYPE h histogram\nh_bucket{le=\"-1.0\"} 1\nh_bucket{le=\"+Inf\"} 2\n",
            protobuf: &["name: 'h' type: HISTOGRAM metric { histogram { sample_count: 2 sample_sum: 3
                 bucket { cumulative_count: 1 upper_bound: -1 }
                 bucket { cumulative_count: 2 upper_bound: inf } } }"],
        },
        Case {
            what: "a histogram that text tells in parts and against itself is made valid for OpenMetrics",
            pushes: &[Text("# TYPE h histogram\nh_bucket{le=\"1\"} 5\nh_bucket{le=\"2\"} 3\nh_sum 1\n")],
            text: "# TYPE h histogram\nh_bucket{le=\"1\"} 5\nh_bucket{le=\"2\"} 3\nh_sum 1\n",
            openmetrics: "# TYPE h histogram\nh_bucket{le=\"1.0\"} 5\nh_bucket{le=\"2.0\"} 5\nh_bucket{le=\"+Inf\"} 5\nh_sum 1\nh_count 5\n",
            protobuf: &["name: 'h' type: HISTOGRAM metric { histogram { sample_sum: 1
                 bucket { cumulative_count: 5 upper_bound: 1 } bucket { cumulative_count: 3 upper_bound: 2 } } }"],
        },
        Case {
            what: "counts that are not whole",
            pushes: &[
                Text("# TYPE h histogram\nh_bucket{le=\"1\"} 0.5\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n"),
                Protobuf(&["name: 'h' type: HISTOGRAM metric { histogram { sample_count_float: 1 sample_sum: 1
                     bucket { cumulative_count_float: 0.5 upper_bound: 1 }
                     bucket { cumulative_count_float: 1 upper_bound: inf } } }"]),
            ],
            text: "# TYPE h histogram\nh_bucket{le=\"1\"} 0.5\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
            openmetrics: "# TYPE h histogram\nh_bucket{le=\"1.0\"} 0\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
            protobuf: &["name: 'h' type: HISTOGRAM metric { histogram { sample_count_float: 1 sample_sum: 1
                 bucket { cumulative_count_float: 0.5 upper_bound: 1 }
                 bucket { cumulative_count_float: 1 upper_bound: inf } } }"],
        },
        Case {
            what: "a gauge histogram",
            pushes: &[
                OpenMetrics(
                    "# TYPE q gaugehistogram\nq_bucket{le=\"1.0\"} 4\nq_bucket{le=\"+Inf\"} 5\nq_gcount 5\nq_gsum 6\n",
                ),
                Protobuf(&["name: 'q' type: GAUGE_HISTOGRAM metric { histogram { sample_count: 5 sample_sum: 6
                     bucket { cumulative_count: 4 upper_bound: 1 } } }"]),
            ],
            text: "# TYPE q histogram\nq_bucket{le=\"1\"} 4\nq_bucket{le=\"+Inf\"} 5\nq_sum 6\nq_count 5\n",
            openmetrics: "# TYPE q gaugehistogram\nq_bucket{le=\"1.0\"} 4\nq_bucket{le=\"+Inf\"} 5\nq_gsum 6\nq_gcount 5\n",
            protobuf: &["name: 'q' type: GAUGE_HISTOGRAM metric { histogram { sample_count: 5 sample_sum: 6
                 bucket { cumulative_count: 4 upper_bound: 1 } bucket { cumulative_count: 5 upper_bound: inf } } }"],
        },
    ]);
}

#[test]
fn native_histograms_show_their_classic_part_only_in_text() {
    const NATIVE: &str = "name: 'h' type: HISTOGRAM metric { histogram { sample_count: 6 sample_sum: 4.5
        schema: 3 zero_threshold: 0.001 zero_count: 1
        negative_span { offset: -2 length: 1 } negative_delta: 2
        positive_span { offset: 1 length: 2 } positive_span { offset: 3 length: 1 }
        positive_delta: 1 positive_delta: 0 positive_delta: 0
        exemplars { label { name: 'trace_id' value: 'a' } value: 1.1 timestamp { seconds: 12 } }
        created_timestamp { seconds: 10 } } }";
    const BOTH: &str = "name: 'h' type: HISTOGRAM metric { histogram { sample_count: 2 sample_sum: 3
        bucket { cumulative_count: 1 upper_bound: 1 } bucket { cumulative_count: 2 upper_bound: inf }
        schema: 0 zero_threshold: 0 zero_count: 0 positive_span { offset: 0 length: 2 } positive_delta: 1 positive_delta: 0 } }";
    // What the Go client sends where there are no classic buckets: an exemplar of theirs all the same.
    const WITH_EXEMPLAR: &str = "name: 'h' type: HISTOGRAM metric { histogram { sample_count: 1 sample_sum: 2
        bucket { cumulative_count: 1 upper_bound: inf exemplar { label { name: 'trace_id' value: 'a' } value: 2 } }
        schema: 0 zero_threshold: 0 zero_count: 0 positive_span { offset: 1 length: 1 } positive_delta: 1 } }";
    const NONE_YET: &str = "name: 'h' type: HISTOGRAM metric { histogram { sample_count: 0 sample_sum: 0
        schema: 3 zero_threshold: 0.001 zero_count: 0 positive_span { offset: 0 length: 0 } } }";
    const GAUGE: &str = "name: 'h' type: GAUGE_HISTOGRAM metric { histogram { sample_count: 1 sample_sum: 2
        schema: 0 zero_threshold: 0 zero_count: 0 positive_span { offset: 1 length: 1 } positive_delta: 1 } }";
    check(&[
        Case {
            what: "a native histogram",
            pushes: &[Protobuf(&[NATIVE])],
            text: "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 6\nh_sum 4.5\nh_count 6\n",
            openmetrics: "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 6\nh_sum 4.5\nh_count 6\nh_created 10\n",
            protobuf: &[NATIVE],
        },
        Case {
            what: "classic and native at once",
            pushes: &[Protobuf(&[BOTH])],
            text: "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n",
            openmetrics: "# TYPE h histogram\nh_bucket{le=\"1.0\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n",
            protobuf: &[BOTH],
        },
        Case {
            what: "a native histogram with an exemplar in its only classic bucket",
            pushes: &[Protobuf(&[WITH_EXEMPLAR])],
            text: "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 2\nh_count 1\n",
            openmetrics: "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1 # {trace_id=\"a\"} 2\nh_sum 2\nh_count 1\n",
            protobuf: &[WITH_EXEMPLAR],
        },
        Case {
            what: "a native histogram that has seen nothing yet",
            pushes: &[Protobuf(&[NONE_YET])],
            text: "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 0\nh_sum 0\nh_count 0\n",
            openmetrics: "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 0\nh_sum 0\nh_count 0\n",
            protobuf: &[NONE_YET],
        },
        Case {
            what: "a native gauge histogram",
            pushes: &[Protobuf(&[GAUGE])],
            text: "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 2\nh_count 1\n",
            openmetrics: "# TYPE h gaugehistogram\nh_bucket{le=\"+Inf\"} 1\nh_gsum 2\nh_gcount 1\n",
            protobuf: &[GAUGE],
        },
    ]);
}

#[test]
fn summaries_infos_and_statesets() {
    check(&[
        Case {
            what: "a summary; its quantiles cannot be merged",
            pushes: &[
                Text("# TYPE s summary\ns{quantile=\"0.5\"} 9\ns_sum 3\ns_count 2\n"),
                OpenMetrics("# TYPE s summary\ns{quantile=\"0.5\"} 9\ns_sum 3\ns_count 2\n"),
                Protobuf(&["name: 's' type: SUMMARY metric { summary { sample_count: 2 sample_sum: 3
                     quantile { quantile: 0.5 value: 9 } } }"]),
            ],
            text: "# TYPE s summary\ns_sum 3\ns_count 2\n",
            openmetrics: "# TYPE s summary\ns_sum 3\ns_count 2\n",
            protobuf: &["name: 's' type: SUMMARY metric { summary { sample_count: 2 sample_sum: 3 } }"],
        },
        Case {
            what: "a summary with a created timestamp",
            pushes: &[
                OpenMetrics("# TYPE s summary\ns_count 2\ns_sum 3\ns_created 1.25\n"),
                Protobuf(&["name: 's' type: SUMMARY metric { summary { sample_count: 2 sample_sum: 3
                     created_timestamp { seconds: 1 nanos: 250000000 } } }"]),
            ],
            text: "# TYPE s summary\ns_sum 3\ns_count 2\n",
            openmetrics: "# TYPE s summary\ns_sum 3\ns_count 2\ns_created 1.25\n",
            protobuf: &["name: 's' type: SUMMARY metric { summary { sample_count: 2 sample_sum: 3
                 created_timestamp { seconds: 1 nanos: 250000000 } } }"],
        },
        Case {
            what: "an info",
            pushes: &[OpenMetrics("# TYPE build info\n# HELP build What runs.\nbuild_info{version=\"1.2\"} 1\n")],
            text: "# HELP build_info What runs.\n# TYPE build_info gauge\nbuild_info{version=\"1.2\"} 1\n",
            openmetrics: "# HELP build What runs.\n# TYPE build info\nbuild_info{version=\"1.2\"} 1\n",
            protobuf: &["name: 'build_info' help: 'What runs.' type: GAUGE
                 metric { label { name: 'version' value: '1.2' } gauge { value: 1 } }"],
        },
        Case {
            what: "a gauge that is named as an info is one only where it was pushed as one",
            pushes: &[
                Text("# TYPE build_info gauge\nbuild_info{version=\"1.2\"} 1\n"),
                OpenMetrics("# TYPE build_info gauge\nbuild_info{version=\"1.2\"} 1\n"),
            ],
            text: "# TYPE build_info gauge\nbuild_info{version=\"1.2\"} 1\n",
            openmetrics: "# TYPE build_info gauge\nbuild_info{version=\"1.2\"} 1\n",
            protobuf: &["name: 'build_info' type: GAUGE
                 metric { label { name: 'version' value: '1.2' } gauge { value: 1 } }"],
        },
        Case {
            what: "a stateset",
            pushes: &[OpenMetrics("# TYPE phase stateset\nphase{phase=\"run\"} 1\nphase{phase=\"stop\"} 0\n")],
            text: "# TYPE phase gauge\nphase{phase=\"run\"} 1\nphase{phase=\"stop\"} 0\n",
            openmetrics: "# TYPE phase stateset\nphase{phase=\"run\"} 1\nphase{phase=\"stop\"} 0\n",
            protobuf: &["name: 'phase' type: GAUGE
                 metric { label { name: 'phase' value: 'run' } gauge { value: 1 } }
                 metric { label { name: 'phase' value: 'stop' } gauge { value: 0 } }"],
        },
    ]);
}
