//! The door `source`: pushers send their own running values, the page shows what all of them have come to. What is shown of a
//! counter never falls, whatever pushers come, begin again and go.

#![allow(clippy::expect_used, clippy::panic, reason = "a test stops at its first fault")]

mod common;

use std::fmt::Write as _;

use catchment_test_schema::Histogram;
use common::exchange::Push::{OpenMetrics, Protobuf};
use common::story::Step::{Delete, Post, PostAs, PostWith, Put, Refused, Shows};
use common::story::{Story, check};
use common::{Server, eventually};
use proptest::prelude::*;

const A: &str = "/source/metrics/job/j/instance/a";
const B: &str = "/source/metrics/job/j/instance/b";
const C: &str = "/source/metrics/job/j/instance/c";

#[test]
fn counters_show_what_all_sources_have_come_to() {
    check(
        &[],
        &[
            Story {
                what: "a source's last value counts, not each of its pushes",
                steps: &[
                    Post(A, "# TYPE c counter\nc 5\n"),
                    Put(A, "# TYPE c counter\nc 7\n"),
                    Post(A, "# TYPE c counter\nc 7\n"),
                ],
                page: "# TYPE c counter\nc 7\n",
            },
            Story {
                what: "two sources are one series, once on the page, and path labels are not added",
                steps: &[Post(A, "# TYPE c counter\nc{x=\"1\"} 5\n"), Post(B, "# TYPE c counter\nc{x=\"1\"} 3.5\n")],
                page: "# TYPE c counter\nc{x=\"1\"} 8.5\n",
            },
            Story {
                what: "labels of the body stay, even those that the path has",
                steps: &[Post(A, "c{job=\"mine\"} 5\n"), Post(B, "c{job=\"mine\"} 3\n")],
                page: "# TYPE c untyped\nc{job=\"mine\"} 8\n",
            },
            Story {
                what: "a value below the last one is a restart",
                steps: &[
                    Post(A, "# TYPE c counter\nc 5\n"),
                    Post(A, "# TYPE c counter\nc 2\n"),
                    Post(A, "# TYPE c counter\nc 3\n"),
                ],
                page: "# TYPE c counter\nc 8\n",
            },
            Story {
                what: "a restart at nothing adds nothing",
                steps: &[
                    Post(A, "# TYPE c counter\nc 5\n"),
                    Post(A, "# TYPE c counter\nc 0\n"),
                    Post(A, "# TYPE c counter\nc 5\n"),
                ],
                page: "# TYPE c counter\nc 10\n",
            },
            Story {
                what: "an untyped value is a running total, too",
                steps: &[Post(A, "u 5\n"), Post(A, "u 2\n"), Post(B, "u 1\n")],
                page: "# TYPE u untyped\nu 8\n",
            },
            Story {
                what: "a source is known by its labels in any order, and one without labels is a source",
                steps: &[
                    Post("/source/metrics/job/j/instance/a", "c 5\n"),
                    Post("/source/metrics/instance/a/job/j", "c 6\n"),
                    Post("/source/metrics/jobs/j/instances/a", "c 7\n"),
                    Post("/source/metrics/job@base64/ag/instance@base64/YQ", "c 8\n"),
                    Post("/source/metrics", "c 100\n"),
                    Post("/source/metrics/", "c 101\n"),
                ],
                page: "# TYPE c untyped\nc 109\n",
            },
            Story {
                what: "what a push does not carry stays",
                steps: &[Post(A, "c 5\nd 1\n"), Put(A, "d 2\n"), Post(A, "c 6\n")],
                page: "# TYPE c untyped\nc 6\n# TYPE d untyped\nd 2\n",
            },
            Story {
                what: "counters cannot be negative or no number, and a refused push is not remembered",
                steps: &[
                    Post(A, "# TYPE c counter\nc 5\n"),
                    Refused(A, "d 1\n# TYPE c counter\nc -1\n", 400, "line 3"),
                    Refused(A, "d 1\n# TYPE c counter\nc NaN\n", 400, "line 3"),
                    Refused(A, "# TYPE c counter\nc 9\nc 9\n", 400, "expected each series once in a push"),
                    Post(A, "# TYPE c counter\nc 6\n"),
                ],
                page: "# TYPE c counter\nc 6\n",
            },
        ],
    );
}

#[test]
fn created_timestamps_tell_of_restarts() {
    check(
        &[],
        &[
            Story {
                what: "a newer one: a restart, though the value has overtaken the last one",
                steps: &[
                    PostAs(A, OpenMetrics("# TYPE c counter\nc_total 5\nc_created 100\n")),
                    PostAs(A, OpenMetrics("# TYPE c counter\nc_total 9\nc_created 200\n")),
                ],
                page: "# TYPE c_total counter\nc_total 14\n",
            },
            Story {
                what: "the same: growth",
                steps: &[
                    PostAs(A, OpenMetrics("# TYPE c counter\nc_total 5\nc_created 100\n")),
                    PostAs(A, OpenMetrics("# TYPE c counter\nc_total 9\nc_created 100\n")),
                ],
                page: "# TYPE c_total counter\nc_total 9\n",
            },
            Story {
                what: "an older one tells nothing",
                steps: &[
                    PostAs(A, OpenMetrics("# TYPE c counter\nc_total 5\nc_created 100\n")),
                    PostAs(A, OpenMetrics("# TYPE c counter\nc_total 9\nc_created 99\n")),
                ],
                page: "# TYPE c_total counter\nc_total 9\n",
            },
            Story {
                what: "one is remembered over a push that has none",
                steps: &[
                    PostAs(A, OpenMetrics("# TYPE c counter\nc_total 5\nc_created 100\n")),
                    Post(A, "# TYPE c_total counter\nc_total 6\n"),
                    PostAs(A, OpenMetrics("# TYPE c counter\nc_total 10\nc_created 200\n")),
                ],
                page: "# TYPE c_total counter\nc_total 16\n",
            },
            Story {
                what: "those of one source tell nothing of another",
                steps: &[
                    PostAs(A, OpenMetrics("# TYPE c counter\nc_total 5\nc_created 100\n")),
                    PostAs(B, OpenMetrics("# TYPE c counter\nc_total 7\nc_created 200\n")),
                    PostAs(A, OpenMetrics("# TYPE c counter\nc_total 6\nc_created 100\n")),
                ],
                page: "# TYPE c_total counter\nc_total 13\n",
            },
            Story {
                what: "of histograms and summaries",
                steps: &[
                    PostAs(
                        A,
                        OpenMetrics(
                            "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 2\nh_count 2\nh_sum 3\nh_created 100\n# TYPE s summary\ns_count 2\ns_sum 3\ns_created 100\n",
                        ),
                    ),
                    PostAs(
                        A,
                        OpenMetrics(
                            "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 4\nh_count 4\nh_sum 6\nh_created 200\n# TYPE s summary\ns_count 4\ns_sum 6\ns_created 200\n",
                        ),
                    ),
                ],
                page: "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 6\nh_sum 9\nh_count 6\n# TYPE s summary\ns_sum 9\ns_count 6\n",
            },
        ],
    );
}

#[test]
fn histograms_and_summaries_are_running_totals_as_a_whole() {
    check(
        &[],
        &[
            Story {
                what: "growth",
                steps: &[
                    Post(A, "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n"),
                    Post(A, "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 4\nh_sum 6\nh_count 4\n"),
                ],
                page: "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 4\nh_sum 6\nh_count 4\n",
            },
            Story {
                what: "a restart from below",
                steps: &[
                    Post(A, "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 4\nh_sum 6\nh_count 4\n"),
                    Post(A, "# TYPE h histogram\nh_bucket{le=\"1\"} 0\nh_bucket{le=\"+Inf\"} 1\nh_sum 5\nh_count 1\n"),
                ],
                page: "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 5\nh_sum 11\nh_count 5\n",
            },
            Story {
                what: "one bucket that falls tells of a restart of all",
                steps: &[
                    Post(A, "# TYPE h histogram\nh_bucket{le=\"1\"} 5\nh_bucket{le=\"+Inf\"} 5\nh_sum 5\nh_count 5\n"),
                    Post(A, "# TYPE h histogram\nh_bucket{le=\"1\"} 0\nh_bucket{le=\"+Inf\"} 9\nh_sum 90\nh_count 9\n"),
                ],
                page: "# TYPE h histogram\nh_bucket{le=\"1\"} 5\nh_bucket{le=\"+Inf\"} 14\nh_sum 95\nh_count 14\n",
            },
            Story {
                what: "sources with other bounds are merged on the union of the bounds",
                steps: &[
                    Post(
                        A,
                        "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"5\"} 3\nh_bucket{le=\"+Inf\"} 4\n",
                    ),
                    Post(B, "# TYPE h histogram\nh_bucket{le=\"2\"} 2\nh_bucket{le=\"+Inf\"} 2\n"),
                    Post(B, "# TYPE h histogram\nh_bucket{le=\"2\"} 2\nh_bucket{le=\"+Inf\"} 2\n"),
                ],
                page: "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"2\"} 3\nh_bucket{le=\"5\"} 5\n\
                       h_bucket{le=\"+Inf\"} 6\n",
            },
            Story {
                what: "other bounds of one source are a restart",
                steps: &[
                    Post(A, "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_count 2\n"),
                    Post(A, "# TYPE h histogram\nh_bucket{le=\"2\"} 3\nh_bucket{le=\"+Inf\"} 4\nh_count 4\n"),
                ],
                page: "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"2\"} 4\nh_bucket{le=\"+Inf\"} 6\nh_count 6\n",
            },
            Story {
                what: "a sum may fall where observations may be negative",
                steps: &[
                    Post(A, "# TYPE h histogram\nh_bucket{le=\"-1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n"),
                    Post(A, "# TYPE h histogram\nh_bucket{le=\"-1\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 1\nh_count 3\n"),
                ],
                page: "# TYPE h histogram\nh_bucket{le=\"-1\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 1\nh_count 3\n",
            },
            Story {
                what: "summaries: growth, a restart, another source; quantiles are dropped",
                steps: &[
                    Post(A, "# TYPE s summary\ns{quantile=\"0.5\"} 9\ns_sum 1.5\ns_count 2\n"),
                    Post(A, "# TYPE s summary\ns{quantile=\"0.5\"} 9\ns_sum 2.5\ns_count 3\n"),
                    Post(A, "# TYPE s summary\ns_sum 1\ns_count 1\n"),
                    Post(B, "# TYPE s summary\ns_sum 10\ns_count 10\n"),
                ],
                page: "# TYPE s summary\ns_sum 13.5\ns_count 14\n",
            },
            Story {
                what: "what has gone counts on, with whoever comes by the same name",
                steps: &[
                    Post(
                        A,
                        "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 4\nh_sum 6\nh_count 4\n# TYPE s summary\ns_sum 2\ns_count 1\n",
                    ),
                    Delete(A),
                    Post(
                        A,
                        "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 5\nh_sum 7\nh_count 5\n# TYPE s summary\ns_sum 3\ns_count 2\n",
                    ),
                ],
                page: "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 9\nh_sum 13\nh_count 9\n# TYPE s summary\ns_sum 5\ns_count 3\n",
            },
        ],
    );
}

#[test]
fn summaries_of_sources_are_discarded_on_demand() {
    check(
        &["--summaries", "discard"],
        &[Story {
            what: "a summary beside a counter",
            steps: &[Post(A, "# TYPE s summary\ns_sum 1\ns_count 2\n# TYPE c counter\nc 1\n")],
            page: "# TYPE c counter\nc 1\n",
        }],
    );
}

fn scraped_histogram(server: &Server) -> Histogram {
    server.scrape_families().remove(0).metric.remove(0).histogram.unwrap_or_default()
}

#[test]
fn native_histograms_are_running_totals() {
    const FIRST: &str = "name: 'h' type: HISTOGRAM metric { histogram { sample_count: 6 sample_sum: 9 schema: 1 \
        zero_threshold: 0.001 zero_count: 1 positive_span { offset: 0 length: 2 } positive_delta: 2 positive_delta: 1 } }";
    const GROWN: &str = "name: 'h' type: HISTOGRAM metric { histogram { sample_count: 8 sample_sum: 12 schema: 1 \
        zero_threshold: 0.001 zero_count: 2 positive_span { offset: 0 length: 2 } positive_delta: 2 positive_delta: 2 } }";
    const RESTARTED: &str = "name: 'h' type: HISTOGRAM metric { histogram { sample_count: 3 sample_sum: 20 schema: 1 \
        zero_threshold: 0.001 zero_count: 0 positive_span { offset: 1 length: 1 } positive_delta: 3 } }";
    let server = Server::start(&[]);
    let push = |path, family: &'static str| {
        let step = match family {
            FIRST => PostAs(path, Protobuf(&[FIRST])),
            GROWN => PostAs(path, Protobuf(&[GROWN])),
            _ => PostAs(path, Protobuf(&[RESTARTED])),
        };
        common::story::take(&server, step, family);
        scraped_histogram(&server)
    };
    let read = |histogram: Histogram| {
        let mut counts = Vec::new();
        for delta in &histogram.positive_delta {
            counts.push(counts.last().copied().unwrap_or(0) + delta);
        }
        (histogram.sample_count(), histogram.sample_sum(), histogram.zero_count(), counts)
    };
    assert_eq!(read(push(A, FIRST)), (6, 9.0, 1, vec![2, 3]));
    assert_eq!(read(push(A, GROWN)), (8, 12.0, 2, vec![2, 4]), "growth");
    assert_eq!(read(push(B, FIRST)), (14, 21.0, 3, vec![4, 7]), "another source");
    assert_eq!(read(push(A, RESTARTED)), (17, 41.0, 3, vec![4, 10]), "a restart");
}

#[test]
fn gauges_show_the_sources_that_live() {
    // With a, b and c at 4, 1 and 2 (a was pushed last), after a has gone, and after b and c have gone, too.
    let cases = [
        (&[][..], "7", "3"),
        (&["--gauges", "sum"], "7", "3"),
        (&["--gauges", "min"], "1", "1"),
        (&["--gauges", "max"], "4", "2"),
        (&["--gauges", "mean"], "2.3333333333333335", "1.5"),
        (&["--gauges", "last"], "4", "2"),
    ];
    for (flags, all, without_a) in cases {
        let server = Server::start(flags);
        for (path, value) in [(A, "8"), (B, "1"), (C, "2"), (A, "4")] {
            server.push_ok(path, format!("# TYPE g gauge\ng{{x=\"1\"}} {value}\n# TYPE n counter\nn 1\n"));
        }
        let page = |shown| format!("# TYPE g gauge\ng{{x=\"1\"}} {shown}\n# TYPE n counter\nn 3\n");
        assert_eq!(server.page(), page(all), "{flags:?}");
        assert_eq!(server.delete(A), (202, String::new()));
        assert_eq!(server.page(), page(without_a), "{flags:?}");
        for path in [B, C] {
            assert_eq!(server.delete(path), (202, String::new()));
        }
        assert_eq!(server.page(), "# TYPE n counter\nn 3\n", "{flags:?}: without sources the gauge leaves");
    }
}

#[test]
fn a_deleted_source_is_retired() {
    check(
        &[],
        &[
            Story {
                what: "counters stay, gauges go",
                steps: &[Post(A, "# TYPE c counter\nc 5\n# TYPE g gauge\ng 1\n"), Delete(A)],
                page: "# TYPE c counter\nc 5\n",
            },
            Story {
                what: "who comes by its labels later is another source",
                steps: &[Post(A, "# TYPE c counter\nc 5\n"), Delete(A), Post(A, "# TYPE c counter\nc 6\n")],
                page: "# TYPE c counter\nc 11\n",
            },
            Story {
                what: "labels must be all of the source's, in any order",
                steps: &[
                    Post(A, "# TYPE g gauge\ng 1\n"),
                    Delete("/source/metrics/job/j"),
                    Delete("/source/metrics"),
                    Delete("/source/metrics/job/j/instance/a/zone/z"),
                    Shows(&[("g", 1.0)]),
                    Delete("/source/metrics/instance/a/job/j/"),
                ],
                page: "",
            },
            Story { what: "one that is not known", steps: &[Delete(A), Delete(A)], page: "" },
            Story {
                what: "one that has no labels",
                steps: &[Post("/source/metrics", "# TYPE g gauge\ng 1\n"), Delete("/source/metrics")],
                page: "",
            },
            Story {
                what: "others stay",
                steps: &[Post(A, "# TYPE g gauge\ng 1\n"), Post(B, "# TYPE g gauge\ng 2\n"), Delete(A)],
                page: "# TYPE g gauge\ng 2\n",
            },
        ],
    );
    let server = Server::start(&[]);
    assert_eq!(server.delete("/source/metrics/job").0, 400, "the path must make sense");
}

#[test]
fn a_source_expires_in_the_background() {
    let server = Server::start(&["--source-ttl", "300ms"]);
    server.push_ok(A, "# TYPE c counter\nc 5\n# TYPE g gauge\ng 1\n");
    eventually("its gauge leaves", || server.page() == "# TYPE c counter\nc 5\n");
    eventually("it is not known any more", || server.own_metric("catchment_sources") == 0.0);
    server.push_ok(A, "# TYPE c counter\nc 6\n# TYPE g gauge\ng 1\n");
    assert_eq!(server.samples()["c"], 11.0, "who comes by its labels later is another source");
}

#[test]
fn a_source_expires_though_nobody_scrapes() {
    let server = Server::start(&["--source-ttl", "100ms"]);
    server.push_ok(A, "# TYPE g gauge\ng 1\n");
    eventually("it is not known any more", || server.own_metric("catchment_sources") == 0.0);
    eventually("its gauge is not stored any more", || server.own_metric("catchment_series") == 0.0);
}

#[test]
fn a_source_says_how_long_it_lives() {
    let server = Server::start(&[]);
    let push = |path, lifetime: &'static str, body| {
        common::story::take(&server, PostWith(path, ("Catchment-TTL", lifetime), body), path);
    };
    server.push_ok(A, "# TYPE g gauge\ng{is=\"a\"} 1\n");
    push(C, "1s", "# TYPE g gauge\ng{is=\"c\"} 1\n");
    push(B, "1s", "# TYPE g gauge\ng{is=\"b\"} 1\n");
    push(C, "1h", "# TYPE g gauge\ng{is=\"c\"} 2\n");
    eventually("what is of b leaves", || !server.page().contains("is=\"b\""));
    assert_eq!(server.page(), "# TYPE g gauge\ng{is=\"a\"} 1\ng{is=\"c\"} 2\n", "a push keeps alive");
    for bad in ["", "soon", "0s", "-1s", "5", "101years"] {
        let reply = server.push_with(A, &[("Catchment-TTL", bad)], b"x 1\n");
        let expected =
            format!("expected a duration such as 10m, of at most 100 years, as Catchment-TTL, got {bad:?}\n");
        assert_eq!((reply.status, reply.text()), (400, expected));
    }
}

/// The newest push decides, also when it asks for less than the one before.
#[test]
fn a_source_may_ask_for_a_shorter_life() {
    let server = Server::start(&[]);
    server.push_ok(A, "# TYPE g gauge\ng{is=\"a\"} 1\n");
    common::story::take(&server, PostWith(A, ("Catchment-TTL", "100ms"), "g{is=\"a\"} 1\n"), "a shorter life");
    eventually("its gauge leaves", || server.page().is_empty());
}

#[test]
fn sources_are_told_apart_by_the_labels_of_the_key() {
    check(
        &["--source-key", "job"],
        &[Story {
            what: "other labels of the path do not matter",
            steps: &[
                Post(A, "c 5\n"),
                Post(B, "c 6\n"),
                Post("/source/metrics/zone/z/job/j", "c 7\n"),
                Post("/source/metrics/job/k", "c 100\n"),
                Post("/source/metrics/zone/z", "c 1000\n"),
                Post("/source/metrics", "c 1001\n"),
            ],
            page: "# TYPE c untyped\nc 1108\n",
        }],
    );
}

#[test]
fn a_source_has_its_limit_of_series() {
    check(
        &["--max-series-per-source", "2"],
        &[
            Story {
                what: "a series too many is refused with all that came with it; known ones go on",
                steps: &[
                    Post(A, "x{n=\"1\"} 1\nx{n=\"2\"} 1\n"),
                    Refused(
                        A,
                        "x{n=\"1\"} 9\nx{n=\"3\"} 1\n",
                        429,
                        "expected at most 2 series of one source, got 1 more",
                    ),
                    Post(A, "x{n=\"1\"} 2\nx{n=\"2\"} 2\n"),
                ],
                page: "# TYPE x untyped\nx{n=\"1\"} 2\nx{n=\"2\"} 2\n",
            },
            Story {
                what: "other sources have limits of their own",
                steps: &[
                    Post(A, "x{n=\"1\"} 1\nx{n=\"2\"} 1\n"),
                    Post(B, "x{n=\"2\"} 1\nx{n=\"3\"} 1\n"),
                    Refused(C, "x{n=\"1\"} 1\nx{n=\"2\"} 1\nx{n=\"3\"} 1\n", 429, "series of one source"),
                ],
                page: "# TYPE x untyped\nx{n=\"1\"} 1\nx{n=\"2\"} 2\nx{n=\"3\"} 1\n",
            },
            Story {
                what: "whoever comes after a source has its room",
                steps: &[Post(A, "x{n=\"1\"} 1\nx{n=\"2\"} 1\n"), Delete(A), Post(A, "x{n=\"3\"} 1\nx{n=\"4\"} 1\n")],
                page: "# TYPE x untyped\nx{n=\"1\"} 1\nx{n=\"2\"} 1\nx{n=\"3\"} 1\nx{n=\"4\"} 1\n",
            },
        ],
    );
}

/// What happens to one of a few sources.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// It pushes, grown by so much.
    Grows(u32),
    /// It has begun again, below what it had: at this part of it in percent.
    RestartsBelow(u32),
    /// It has begun again, at any value, and says so.
    RestartsAnew(u32),
    IsDeleted,
    Expires,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => (0u32..1000).prop_map(Event::Grows),
        4 => (0u32..100).prop_map(Event::RestartsBelow),
        4 => (0u32..5000).prop_map(Event::RestartsAnew),
        2 => Just(Event::IsDeleted),
        1 => Just(Event::Expires),
    ]
}

/// A process that counts; its values, and when it was created.
#[derive(Clone, Copy, Debug, Default)]
struct Process {
    value: u32,
    created: u32,
}

/// The naive twin: what each process that lives has counted, and what those before them had.
#[derive(Debug, Default)]
struct Model {
    live: [Process; 3],
    retired: u32,
}

impl Model {
    fn ends(&mut self, source: usize) {
        self.retired += self.live[source].value;
        self.live[source].value = 0;
    }

    fn total(&self) -> f64 {
        f64::from(self.retired + self.live.iter().map(|process| process.value).sum::<u32>())
    }
}

/// Pushes what the process has counted, as a counter and as a histogram, and a gauge that tells whether the source lives.
fn push_process(server: &Server, path: &str, name: &str, process: Process, lifetime: Option<&str>) {
    let Process { value, created } = process;
    let mut body = String::new();
    let _ = write!(
        body,
        "# TYPE {name} counter\n{name}_total {value}\n{name}_created {created}\n# TYPE {name}_h histogram\n\
         {name}_h_bucket{{le=\"1\"}} {value}\n{name}_h_bucket{{le=\"+Inf\"}} {double}\n{name}_h_count {double}\n\
         {name}_h_sum {value}\n{name}_h_created {created}\n# TYPE lives gauge\nlives{{path=\"{path}\"}} 1\n# EOF\n",
        double = 2 * value,
    );
    let mut headers = vec![("Content-Type", "application/openmetrics-text; version=1.0.0")];
    headers.extend(lifetime.map(|lifetime| ("Catchment-TTL", lifetime)));
    let reply = server.push_with(path, &headers, body.as_bytes());
    assert_eq!((reply.status, reply.text()), (202, String::new()), "{body}");
}

/// Does it, and tells the model.
fn happen(server: &Server, name: &str, model: &mut Model, source: usize, event: Event) {
    let path = format!("/source/metrics/job/{name}/instance/{source}");
    let mut lifetime = None;
    match event {
        Event::Grows(by) => model.live[source].value += by,
        Event::Expires => lifetime = Some("1ms"),
        Event::RestartsBelow(percent) => {
            let before = model.live[source].value;
            model.ends(source);
            // A restart that is at nothing again, or still there, is none that could be seen, nor one that matters.
            model.live[source].value = (before * percent / 100).min(before.saturating_sub(1));
        }
        Event::RestartsAnew(value) => {
            model.ends(source);
            model.live[source].value = value;
            model.live[source].created += 1;
        }
        Event::IsDeleted => {
            model.ends(source);
            assert_eq!(server.delete(&path).0, 202);
            return;
        }
    }
    push_process(server, &path, name, model.live[source], lifetime);
    if let Event::Expires = event {
        let gauge = format!("lives{{path=\"{path}\"}}");
        eventually("the source expires", || !server.page().contains(&gauge));
        model.ends(source);
    }
}

#[test]
fn what_is_shown_is_what_was_counted_and_never_falls() {
    let config =
        ProptestConfig { cases: 24, max_shrink_iters: 64, failure_persistence: None, ..ProptestConfig::default() };
    let server = Server::start(&["--shards", "3", "--source-ttl", "none"]);
    let cases = std::cell::Cell::new(0);
    let history = |events: Vec<(usize, Event)>| {
        let name = format!("p{}", cases.replace(cases.get() + 1));
        let (mut model, mut before) = (Model::default(), 0.0);
        for (source, event) in events {
            happen(&server, &name, &mut model, source, event);
            let samples = server.samples();
            let shown = |series: String| samples.get(&series).copied().unwrap_or(0.0);
            let total = shown(format!("{name}_total"));
            let doubles = [format!("{name}_h_count"), format!("{name}_h_bucket{{le=\"+Inf\"}}")].map(&shown);
            let singles = [format!("{name}_h_sum"), format!("{name}_h_bucket{{le=\"1\"}}")].map(&shown);
            prop_assert!(total >= before, "{total} after {before}");
            prop_assert_eq!(total, model.total(), "{:?}", event);
            prop_assert_eq!(doubles, [2.0 * total; 2], "{:?}", event);
            prop_assert_eq!(singles, [total; 2], "{:?}", event);
            before = total;
        }
        Ok(())
    };
    let histories = proptest::collection::vec((0usize..3, event()), 1..25);
    if let Err(error) = proptest::test_runner::TestRunner::new(config).run(&histories, history) {
        panic!("{error}");
    }
}
