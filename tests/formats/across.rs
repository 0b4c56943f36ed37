//! A family is one family, whichever formats brought it.

use crate::case::check_families;
use crate::common::Server;
use crate::common::exchange::Format;
use crate::common::exchange::Push::{self, OpenMetrics, Protobuf, Text};

/// Pushes one after the other, and the pages they must give.
struct Merge {
    what: &'static str,
    pushes: &'static [Push],
    text: &'static str,
    /// Without the `# EOF`.
    openmetrics: &'static str,
}

#[track_caller]
fn check(cases: &[Merge]) {
    for case in cases {
        let server = Server::start(&[]);
        for push in case.pushes {
            server.take(*push);
        }
        assert_eq!(server.page(), case.text, "{}", case.what);
        assert_eq!(server.scrape_text(Format::OpenMetrics), format!("{}# EOF\n", case.openmetrics), "{}", case.what);
    }
}

#[test]
fn values_of_every_format_meet_in_one_series() {
    check(&[
        Merge {
            what: "counters",
            pushes: &[
                OpenMetrics("# TYPE c counter\nc_total{a=\"1\"} 1\n"),
                Text("# TYPE c_total counter\nc_total{a=\"1\"} 2\n"),
                Protobuf(&["name: 'c_total' type: COUNTER
                     metric { label { name: 'a' value: '1' } counter { value: 4 } }"]),
                Text("c_total{a=\"1\"} 8\n"),
            ],
            text: "# TYPE c_total counter\nc_total{a=\"1\"} 15\n",
            openmetrics: "# TYPE c counter\nc_total{a=\"1\"} 15\n",
        },
        Merge {
            what: "gauges: the last",
            pushes: &[
                Text("# TYPE g gauge\ng 1\n"),
                Protobuf(&["name: 'g' type: GAUGE metric { gauge { value: 2 } }"]),
                OpenMetrics("# TYPE g gauge\ng 3\n"),
            ],
            text: "# TYPE g gauge\ng 3\n",
            openmetrics: "# TYPE g gauge\ng 3\n",
        },
        Merge {
            what: "values of no type, settled by a later one",
            pushes: &[
                OpenMetrics("u_total 1\n"),
                Protobuf(&["name: 'u_total' type: UNTYPED metric { untyped { value: 2 } }"]),
                Text("u_total 4\n"),
                OpenMetrics("# TYPE u counter\nu_total 8\n"),
            ],
            text: "# TYPE u_total counter\nu_total 15\n",
            openmetrics: "# TYPE u counter\nu_total 15\n",
        },
        Merge {
            what: "histograms with other bounds, each written otherwise",
            pushes: &[
                Text("# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n"),
                OpenMetrics(
                    "# TYPE h histogram\nh_bucket{le=\"1.0\"} 1\nh_bucket{le=\"2e0\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_count 2\nh_sum 3\n",
                ),
                Protobuf(&["name: 'h' type: HISTOGRAM metric { histogram { sample_count: 2 sample_sum: 3
                     bucket { cumulative_count: 1 upper_bound: 1 } } }"]),
            ],
            text: "# TYPE h histogram\nh_bucket{le=\"1\"} 3\nh_bucket{le=\"2\"} 3\nh_bucket{le=\"+Inf\"} 6\nh_sum 9\nh_count 6\n",
            openmetrics: "# TYPE h histogram\nh_bucket{le=\"1.0\"} 3\nh_bucket{le=\"2.0\"} 3\nh_bucket{le=\"+Inf\"} 6\nh_sum 9\nh_count 6\n",
        },
        Merge {
            what: "summaries",
            pushes: &[
                Text("# TYPE s summary\ns_sum 1\ns_count 1\n"),
                OpenMetrics("# TYPE s summary\ns_count 1\ns_sum 1\n"),
                Protobuf(&["name: 's' type: SUMMARY metric { summary { sample_count: 1 sample_sum: 1 } }"]),
            ],
            text: "# TYPE s summary\ns_sum 3\ns_count 3\n",
            openmetrics: "# TYPE s summary\ns_sum 3\ns_count 3\n",
        },
        Merge {
            what: "gauge histograms; to text they are histograms",
            pushes: &[
                OpenMetrics(
                    "# TYPE q gaugehistogram\nq_bucket{le=\"1.0\"} 1\nq_bucket{le=\"+Inf\"} 2\nq_gcount 2\nq_gsum 3\n",
                ),
                Protobuf(&["name: 'q' type: GAUGE_HISTOGRAM metric { histogram { sample_count: 2 sample_sum: 3
                     bucket { cumulative_count: 1 upper_bound: 1 } } }"]),
                Text("# TYPE q histogram\nq_bucket{le=\"1\"} 1\nq_bucket{le=\"+Inf\"} 2\nq_sum 3\nq_count 2\n"),
            ],
            text: "# TYPE q histogram\nq_bucket{le=\"1\"} 3\nq_bucket{le=\"+Inf\"} 6\nq_sum 9\nq_count 6\n",
            openmetrics: "# TYPE q gaugehistogram\nq_bucket{le=\"1.0\"} 3\nq_bucket{le=\"+Inf\"} 6\nq_gsum 9\nq_gcount 6\n",
        },
        Merge {
            what: "an info and a stateset are gauges to those who do not know them",
            pushes: &[
                OpenMetrics("# TYPE b info\nb_info{v=\"1\"} 1\n# TYPE p stateset\np{p=\"run\"} 1\np{p=\"stop\"} 0\n"),
                Text("# TYPE b_info gauge\nb_info{v=\"2\"} 1\n# TYPE p gauge\np{p=\"run\"} 0\n"),
                Protobuf(&["name: 'p' type: GAUGE metric { label { name: 'p' value: 'stop' } gauge { value: 1 } }"]),
            ],
            text: "# TYPE b_info gauge\nb_info{v=\"1\"} 1\nb_info{v=\"2\"} 1\n# TYPE p gauge\np{p=\"run\"} 0\np{p=\"stop\"} 1\n",
            openmetrics: "# TYPE b info\nb_info{v=\"1\"} 1\nb_info{v=\"2\"} 1\n# TYPE p stateset\np{p=\"run\"} 0\np{p=\"stop\"} 1\n",
        },
    ]);
}

#[test]
fn a_gauge_that_was_pushed_first_takes_an_info_or_a_stateset() {
    let server = Server::start(&[]);
    server.take(Text("# TYPE b_info gauge\nb_info 1\n# TYPE p gauge\np{p=\"run\"} 0\n"));
    server.take(OpenMetrics("# TYPE b info\nb_info 1\n# TYPE p stateset\np{p=\"run\"} 1\n"));
    assert_eq!(server.page(), "# TYPE b_info gauge\nb_info 1\n# TYPE p gauge\np{p=\"run\"} 1\n");
}

#[test]
fn the_oldest_created_timestamp_and_the_newest_exemplar_stay() {
    let counter = |rest: &str| format!("# TYPE c counter\nc_total 1{rest}# EOF\n").into_bytes();
    // Pushes in OpenMetrics, then what is shown behind the value.
    let cases: [(&[&str], &str); 6] = [
        (&["\nc_created 20\n", "\nc_created 10\n", "\nc_created 30\n"], "\nc_created 10\n"),
        (&["\n", "\nc_created 10\n", "\n"], "\nc_created 10\n"),
        (&[" # {a=\"1\"} 1 20\n", " # {a=\"2\"} 2 10\n"], " # {a=\"1\"} 1 20\n"),
        (&[" # {a=\"1\"} 1 20\n", " # {a=\"2\"} 2 30\n"], " # {a=\"2\"} 2 30\n"),
        (&[" # {a=\"1\"} 1 20\n", " # {a=\"2\"} 2\n"], " # {a=\"2\"} 2\n"),
        (&[" # {a=\"1\"} 1\n", "\n"], " # {a=\"1\"} 1\n"),
    ];
    for (pushes, shown) in cases {
        let server = Server::start(&[]);
        for push in pushes {
            server.take_as(Format::OpenMetrics, &counter(push));
        }
        let page = format!("# TYPE c counter\nc_total {}{shown}# EOF\n", pushes.len());
        assert_eq!(server.scrape_text(Format::OpenMetrics), page, "{pushes:?}");
        // What says nothing of them takes nothing away.
        server.take(Text("c_total 1\n"));
        let page = format!("# TYPE c counter\nc_total {}{shown}# EOF\n", pushes.len() + 1);
        assert_eq!(server.scrape_text(Format::OpenMetrics), page, "{pushes:?}, then text");
    }
}

#[test]
fn each_bucket_keeps_its_own_exemplar() {
    let server = Server::start(&[]);
    let push = |low: &str, high: &str| {
        format!(
            "# TYPE h histogram\nh_bucket{{le=\"1.0\"}} 1{low}\nh_bucket{{le=\"+Inf\"}} 2{high}\nh_sum 3\nh_count 2\n# EOF\n"
        )
    };
    server.take_as(Format::OpenMetrics, push(" # {a=\"1\"} 0.5 10", " # {a=\"2\"} 2 10").as_bytes());
    server.take_as(Format::OpenMetrics, push(" # {a=\"3\"} 0.25 20", "").as_bytes());
    let page = "# TYPE h histogram\nh_bucket{le=\"1.0\"} 2 # {a=\"3\"} 0.25 20\nh_bucket{le=\"+Inf\"} 4 # {a=\"2\"} 2 10\nh_sum 6\nh_count 4\n# EOF\n";
    assert_eq!(server.scrape_text(Format::OpenMetrics), page);
}

/// OpenMetrics has one name for what are two families elsewhere; the page must be one a strict reader takes.
#[test]
fn names_that_openmetrics_would_confuse_stay_apart() {
    check(&[
        Merge {
            what: "a gauge has the counter's name",
            pushes: &[Text("# TYPE foo gauge\nfoo 1\n# TYPE foo_total counter\nfoo_total 2\n")],
            text: "# TYPE foo gauge\nfoo 1\n# TYPE foo_total counter\nfoo_total 2\n",
            openmetrics: "# TYPE foo gauge\nfoo 1\n# TYPE foo_total unknown\nfoo_total 2\n",
        },
        Merge {
            what: "a family has the name of a counter's created timestamp",
            pushes: &[Text("# TYPE foo_total counter\nfoo_total 2\n# TYPE foo_created gauge\nfoo_created 3\n")],
            text: "# TYPE foo_created gauge\nfoo_created 3\n# TYPE foo_total counter\nfoo_total 2\n",
            openmetrics: "# TYPE foo counter\nfoo_total 2\n",
        },
        Merge {
            what: "a counter with the suffix beside one without",
            pushes: &[Text("# TYPE foo counter\nfoo 1\n"), Text("# TYPE foo_total counter\nfoo_total 2\n")],
            text: "# TYPE foo counter\nfoo 1\n# TYPE foo_total counter\nfoo_total 2\n",
            openmetrics: "# TYPE foo unknown\nfoo 1\n# TYPE foo_total unknown\nfoo_total 2\n",
        },
    ]);
}

/// Several messages of one family, and one family's metrics in any order, are one family on the page.
#[test]
fn a_family_may_come_in_pieces_by_protobuf() {
    let server = Server::start(&[]);
    let piece = |label, value| {
        format!(
            "name: 'c_total' type: COUNTER metric {{ label {{ name: 'a' value: '{label}' }} counter {{ value: {value} }} }}"
        )
    };
    let families = [piece("2", 1), piece("1", 2)].map(|text| catchment_test_schema::family(&text));
    server.take_as(Format::Protobuf, &catchment_test_schema::write_delimited(&families));
    check_families(
        &server.scrape_families(),
        &["name: 'c_total' type: COUNTER metric { label { name: 'a' value: '1' } counter { value: 2 } }
           metric { label { name: 'a' value: '2' } counter { value: 1 } }"],
        "two pieces",
    );
}

/// OpenMetrics allows 128 characters; protobuf says nothing of it.
#[test]
fn no_exemplar_makes_a_page_that_openmetrics_forbids() {
    let server = Server::start(&[]);
    let family = catchment_test_schema::family(&format!(
        "name: 'c_total' type: COUNTER metric {{ counter {{ value: 1
         exemplar {{ value: 1 label {{ name: 'l' value: '{}' }} }} }} }}",
        "é".repeat(128)
    ));
    let (status, _) = server.push_as(Format::Protobuf, &catchment_test_schema::write_delimited([&family]));
    assert!(matches!(status, 202 | 400), "{status}");
    assert!(!server.scrape_text(Format::OpenMetrics).contains("é"));
}
