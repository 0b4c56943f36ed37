//! What a push does to the page, or why it does nothing: every merge rule and every refusal, over HTTP.

#![allow(clippy::expect_used, clippy::panic, reason = "a test stops at its first fault")]

mod common;

use common::wire::{self, Answer};
use common::{Server, page};

/// Pushes to `path`, one after the other, and the page they must give.
struct Merge {
    what: &'static str,
    path: &'static str,
    pushes: &'static [&'static str],
    page: &'static str,
}

#[track_caller]
fn check_merges(flags: &[&str], cases: &[Merge]) {
    for case in cases {
        let server = Server::start(flags);
        for push in case.pushes {
            assert_eq!(server.push(case.path, push), (202, String::new()), "{}", case.what);
        }
        assert_eq!(server.page(), case.page, "{}", case.what);
    }
}

#[test]
fn the_examples_of_the_documentation_add_up() {
    let server = Server::start(&[]);
    // "Text format example" of the Prometheus documentation.
    let example = r#"# HELP http_requests_total The total number of HTTP requests.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
http_requests_total{method="post",code="400"}    3 1395066363000

# Escaping in label values:
msdos_file_access_time_seconds{path="C:\\DIR\\FILE.TXT",error="Cannot find file:\n\"FILE.TXT\""} 1.458255915e9

# Minimalistic line:
metric_without_timestamp_and_labels 12.47

# A weird metric from before the epoch:
something_weird{problem="division by zero"} +Inf -3982045

# A histogram, which has a pretty complex representation in the text format:
# HELP http_request_duration_seconds A histogram of the request duration.
# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{le="0.05"} 24054
http_request_duration_seconds_bucket{le="0.1"} 33444
http_request_duration_seconds_bucket{le="+Inf"} 144320
http_request_duration_seconds_sum 53423
http_request_duration_seconds_count 144320

# Finally a summary, which has a complex representation, too:
# HELP rpc_duration_seconds A summary of the RPC duration in seconds.
# TYPE rpc_duration_seconds summary
rpc_duration_seconds{quantile="0.01"} 3102
rpc_duration_seconds{quantile="0.99"} 76656
rpc_duration_seconds_sum 1.7560473e+07
rpc_duration_seconds_count 2693
"#;
    server.push_ok("/metrics", example);
    server.push_ok("/metrics", example);
    let page = r#"# HELP http_request_duration_seconds A histogram of the request duration.
# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{le="0.05"} 48108
http_request_duration_seconds_bucket{le="0.1"} 66888
http_request_duration_seconds_bucket{le="+Inf"} 288640
http_request_duration_seconds_sum 106846
http_request_duration_seconds_count 288640
# HELP http_requests_total The total number of HTTP requests.
# TYPE http_requests_total counter
http_requests_total{code="200",method="post"} 2054
http_requests_total{code="400",method="post"} 6
# TYPE metric_without_timestamp_and_labels untyped
metric_without_timestamp_and_labels 24.94
# TYPE msdos_file_access_time_seconds untyped
msdos_file_access_time_seconds{error="Cannot find file:\n\"FILE.TXT\"",path="C:\\DIR\\FILE.TXT"} 2916511830
# HELP rpc_duration_seconds A summary of the RPC duration in seconds.
# TYPE rpc_duration_seconds summary
rpc_duration_seconds_sum 35120946
rpc_duration_seconds_count 5386
# TYPE something_weird untyped
something_weird{problem="division by zero"} +Inf
"#;
    assert_eq!(server.page(), page);
    assert_eq!(server.own_metric("catchment_ignored_timestamps_total"), 6.0);
}

#[test]
fn every_kind_merges_by_its_rule() {
    check_merges(
        &[],
        &[
            Merge {
                what: "a counter is added",
                path: "/metrics/job/a",
                pushes: &["# TYPE c counter\nc 1\n", "# TYPE c counter\nc 2.5\n"],
                page: "# TYPE c counter\nc{job=\"a\"} 3.5\n",
            },
            Merge {
                what: "a value without a type is added",
                path: "/metrics",
                pushes: &["http_requests_total{code=\"200\"} 1027\n"; 2],
                page: "# TYPE http_requests_total untyped\nhttp_requests_total{code=\"200\"} 2054\n",
            },
            Merge {
                what: "an untyped value may fall",
                path: "/metrics",
                pushes: &["# TYPE u unknown\nu 5\n", "# TYPE u untyped\nu -7\n"],
                page: "# TYPE u untyped\nu -2\n",
            },
            Merge {
                what: "of gauges the last stays",
                path: "/metrics",
                pushes: &["# TYPE g gauge\ng 5\n", "# TYPE g gauge\ng -2\n"],
                page: "# TYPE g gauge\ng -2\n",
            },
            Merge {
                what: "a summary's sum and count are added, quantiles dropped even at first",
                path: "/metrics",
                pushes: &["# TYPE s summary\ns{quantile=\"0.5\"} 9\ns_sum 1.5\ns_count 2\n"; 2],
                page: "# TYPE s summary\ns_sum 3\ns_count 4\n",
            },
            Merge {
                what: "infinite values meet as floats do",
                path: "/metrics",
                pushes: &["a +Inf\nb -Inf\n", "a -Inf\nb -Inf\n"],
                page: "# TYPE a untyped\na NaN\n# TYPE b untyped\nb -Inf\n",
            },
        ],
    );
}

#[test]
fn histograms_merge_bucket_by_bucket() {
    check_merges(
        &[],
        &[
            Merge {
                what: "the same bounds, written differently and in any order",
                path: "/metrics",
                pushes: &[
                    "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 3\nh_bucket{le=\"1.0\"} 1\nh_sum 4\nh_count 3\n",
                    "h_count 1\nh_sum 0.5\nh_bucket{le=\"1e0\"} 1\nh_bucket{le=\"Inf\"} 1\n",
                ],
                page: "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 4\nh_sum 4.5\nh_count 4\n",
            },
            Merge {
                what: "other bounds",
                path: "/metrics",
                pushes: &[
                    "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"5\"} 3\nh_bucket{le=\"+Inf\"} 4\n",
                    "# TYPE h histogram\nh_bucket{le=\"2\"} 2\nh_bucket{le=\"+Inf\"} 2\n",
                ],
                page: "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"2\"} 3\nh_bucket{le=\"5\"} 5\n\
                       h_bucket{le=\"+Inf\"} 6\n",
            },
            Merge {
                what: "a bound above all others",
                path: "/metrics",
                pushes: &[
                    "# TYPE h histogram\nh_bucket{le=\"1\"} 10\nh_bucket{le=\"+Inf\"} 10\n",
                    "# TYPE h histogram\nh_bucket{le=\"2\"} 1\nh_bucket{le=\"+Inf\"} 1\n",
                ],
                page: "# TYPE h histogram\nh_bucket{le=\"1\"} 10\nh_bucket{le=\"2\"} 11\nh_bucket{le=\"+Inf\"} 11\n",
            },
            Merge {
                what: "data that disagrees with itself: count and +Inf are merged each on its own",
                path: "/metrics",
                pushes: &[
                    "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 4\nh_count 1\n",
                    "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 5\nh_count 1\n",
                ],
                page: "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 9\nh_count 2\n",
            },
            Merge {
                what: "a part that was not pushed is absent, not zero",
                path: "/metrics",
                pushes: &["# TYPE h histogram\nh_bucket{\"le\"=\"+Inf\"} 1\n", "h_sum 2\n"],
                page: "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 2\n",
            },
            Merge {
                what: "series of one family are kept apart, le goes last",
                path: "/metrics/zone/z",
                pushes: &["# TYPE h histogram\nh_bucket{le=\"+Inf\",a=\"1\"} 1\nh_count{a=\"1\"} 1\n\
                     h_bucket{a=\"2\",le=\"+Inf\"} 5\nh_count{a=\"2\"} 5\n"],
                page: "# TYPE h histogram\nh_bucket{a=\"1\",zone=\"z\",le=\"+Inf\"} 1\nh_count{a=\"1\",zone=\"z\"} 1\n\
                       h_bucket{a=\"2\",zone=\"z\",le=\"+Inf\"} 5\nh_count{a=\"2\",zone=\"z\"} 5\n",
            },
        ],
    );
}

#[test]
fn types_are_taken_from_the_family_and_settled_once() {
    check_merges(
        &[],
        &[
            Merge {
                what: "samples without a TYPE take the known one",
                path: "/metrics",
                pushes: &[
                    "# TYPE g gauge\ng 5\n# TYPE s summary\ns_sum 1\ns_count 1\n",
                    "g 4\ns_count 1\ns{quantile=\"0.9\"} 1\ns_sum 1\n",
                ],
                page: "# TYPE g gauge\ng 4\n# TYPE s summary\ns_sum 2\ns_count 2\n",
            },
            Merge {
                what: "a TYPE after the samples counts too",
                path: "/metrics",
                pushes: &["g 5\n# TYPE g gauge\n"; 2],
                page: "# TYPE g gauge\ng 5\n",
            },
            Merge {
                what: "a counter settles an untyped family and is added",
                path: "/metrics",
                pushes: &["n 1\n", "# TYPE n counter\nn 2\n", "n 3\n"],
                page: "# TYPE n counter\nn 6\n",
            },
            Merge {
                what: "a gauge settles an untyped family and is set",
                path: "/metrics",
                pushes: &["n{a=\"1\"} 1\nn{a=\"2\"} 1\n", "# TYPE n gauge\nn{a=\"1\"} 7\n", "n{a=\"2\"} 8\n"],
                page: "# TYPE n gauge\nn{a=\"1\"} 7\nn{a=\"2\"} 8\n",
            },
            Merge {
                what: "a TYPE alone settles what is known",
                path: "/metrics",
                pushes: &["n 1\n", "# TYPE n counter\n"],
                page: "# TYPE n counter\nn 1\n",
            },
        ],
    );
}

#[test]
fn labels_are_one_set_however_they_are_written() {
    check_merges(
        &[],
        &[
            Merge {
                what: "any order, blanks, a trailing comma",
                path: "/metrics",
                pushes: &["x{a=\"1\",b=\"2\"} 1\n", "x { b = \"2\" , a = \"1\" , } 2\n"],
                page: "# TYPE x untyped\nx{a=\"1\",b=\"2\"} 3\n",
            },
            Merge {
                what: "an empty label is an absent one",
                path: "/metrics",
                pushes: &["x{a=\"\"} 1\n", "x 2\n", "x{} 4\n", "x{a=\"\",b=\"\"} 8\n"],
                page: "# TYPE x untyped\nx 15\n",
            },
            Merge {
                what: "path labels win over body labels",
                path: "/metrics/job/path/zone/eu",
                pushes: &["x{job=\"body\",a=\"1\"} 1\n", "x{a=\"1\"} 2\n"],
                page: "# TYPE x untyped\nx{a=\"1\",job=\"path\",zone=\"eu\"} 3\n",
            },
            Merge {
                what: "an empty path label removes the body's",
                path: "/metrics/job@base64/=",
                pushes: &["x{job=\"body\"} 1\n", "x 2\n"],
                page: "# TYPE x untyped\nx 3\n",
            },
            Merge {
                what: "names in quotes are the same names; others are shown with underscores",
                path: "/metrics",
                pushes: &["{\"x\",\"a\"=\"1\"} 1\n", "x{a=\"1\"} 2\n", "{\"my.x\",\"a.b\"=\"é\"} 4\n"],
                page: "# TYPE my_x untyped\nmy_x{a_b=\"é\"} 4\n# TYPE x untyped\nx{a=\"1\"} 3\n",
            },
            Merge {
                what: "names in quotes on HELP and TYPE",
                path: "/metrics",
                pushes: &["# HELP \"my.x\" Mine.\n# TYPE \"my.x\" gauge\n{\"my.x\"} 4\n"],
                page: "# HELP my_x Mine.\n# TYPE my_x gauge\nmy_x 4\n",
            },
            Merge {
                what: "line ends of any kind, or none",
                path: "/metrics",
                pushes: &["\r\nx 1\r\n\n# a comment\r\n\t y 2"],
                page: "# TYPE x untyped\nx 1\n# TYPE y untyped\ny 2\n",
            },
        ],
    );
}

#[test]
fn paths_say_labels_in_many_ways() {
    let cases = [
        ("/metrics", "x 1\n"),
        ("/metrics/", "x 1\n"),
        ("/aggregate/metrics", "x 1\n"),
        ("/aggregate/metrics/", "x 1\n"),
        ("/metrics/job/a", "x{job=\"a\"} 1\n"),
        ("/metrics/job/a/", "x{job=\"a\"} 1\n"),
        ("/metrics/job/a?x=y", "x{job=\"a\"} 1\n"),
        ("/aggregate/metrics/job/a", "x{job=\"a\"} 1\n"),
        ("/metrics/job/metrics", "x{job=\"metrics\"} 1\n"),
        ("/metrics/job/a%2Fb%20%22c%22", "x{job=\"a/b \\\"c\\\"\"} 1\n"),
        ("/metrics/job@base64/YS9i", "x{job=\"a/b\"} 1\n"),
        ("/metrics/job@base64/w7_Dvg==", "x{job=\"ÿþ\"} 1\n"),
        ("/metrics/job/a/zone@base64/ZXU", "x{job=\"a\",zone=\"eu\"} 1\n"),
        ("/metrics/jobs/a", "x{job=\"a\"} 1\n"),
        ("/metrics/jobs/a/instances/b", "x{instance=\"b\",job=\"a\"} 1\n"),
        ("/aggregate/metrics/jobs/a/instances/b", "x{instance=\"b\",job=\"a\"} 1\n"),
    ];
    for (path, sample) in cases {
        let server = Server::start(&[]);
        server.push_ok(path, "x 1\n");
        assert_eq!(server.page(), format!("# TYPE x untyped\n{sample}"), "{path}");
    }
}

/// An escape in the path's fixed part means the same letter: the labels behind it must not get lost.
#[test]
fn an_escaped_path_keeps_its_labels() {
    for path in ["/%6Detrics/job/a", "/metric%73/job/a", "/aggregate/%6detrics/job/a"] {
        let server = Server::start(&[]);
        let expected = match server.push(path, "x 1\n").0 {
            202 => "# TYPE x untyped\nx{job=\"a\"} 1\n",
            _ => "",
        };
        assert_eq!(server.page(), expected, "{path}");
    }
}

#[test]
fn a_put_is_a_post() {
    let server = Server::start(&[]);
    for method in ["PUT", "POST"] {
        let request = format!(
            "{method} /metrics/job/a HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 4\r\n\r\nx 1\n"
        );
        let answer = Answer::read(&server.raw(request.as_bytes()));
        assert_eq!((answer.status, answer.body.as_str()), (202, ""), "{method}");
    }
    assert_eq!(server.page(), "# TYPE x untyped\nx{job=\"a\"} 2\n");
}

#[test]
fn gauges_follow_the_policy() {
    let cases = [("last", "2"), ("sum", "11"), ("min", "1"), ("max", "8"), ("mean", "3.6666666666666665")];
    for (policy, shown) in cases {
        let server = Server::start(&["--gauges", policy]);
        for value in ["8", "1", "2"] {
            server.push_ok("/metrics", format!("# TYPE g gauge\ng {value}\n# TYPE c counter\nc 1\n"));
        }
        let page = format!("# TYPE c counter\nc 3\n# TYPE g gauge\ng {shown}\n");
        assert_eq!(server.page(), page, "{policy}");
    }
}

#[test]
fn a_windowed_gauge_leaves_the_page_with_its_window() {
    let server = Server::start(&["--gauges", "max", "--gauge-window", "200ms"]);
    server.push_ok("/metrics", "# TYPE g gauge\ng{a=\"1\"} 9\n# TYPE c counter\nc 1\n");
    common::eventually("the gauge leaves", || !server.page().contains("g{"));
    assert_eq!(server.page(), "# TYPE c counter\nc 1\n", "a family without samples has no header");
    server.push_ok("/metrics", "g{a=\"1\"} 3\n");
    assert_eq!(server.page(), "# TYPE c counter\nc 1\n# TYPE g gauge\ng{a=\"1\"} 3\n");
}

#[test]
fn summaries_are_discarded_on_demand() {
    let server = Server::start(&["--summaries", "discard"]);
    server
        .push_ok("/metrics", "# TYPE s summary\ns{quantile=\"0.5\"} 9\ns_sum 1.5\ns_count 2\n# TYPE c counter\nc 1\n");
    assert_eq!(server.page(), "# TYPE c counter\nc 1\n");
    assert_eq!(server.own_metric("catchment_discarded_samples_total"), 3.0);
    assert_eq!(server.own_metric("catchment_series"), 1.0);
}

#[test]
fn path_labels_are_ignored_on_demand() {
    let server = Server::start(&["--path-labels", "ignore"]);
    server.push_ok("/metrics/job/a", "x{job=\"body\"} 1\n");
    server.push_ok("/metrics/job/b", "x{job=\"body\"} 2\n");
    assert_eq!(server.page(), "# TYPE x untyped\nx{job=\"body\"} 3\n");
    // Whether or not they are used, they must make sense.
    assert_eq!(server.push("/metrics/job", "x 1\n").0, 400);
}

#[test]
fn the_first_help_stays_and_changes_are_counted() {
    let server = Server::start(&[]);
    server.push_ok("/metrics", "# TYPE x counter\nx 1\n");
    server.push_ok("/metrics", "# HELP x First, \\\\ and\\nmore.\nx 1\n");
    server.push_ok("/metrics", "# HELP x First, \\\\ and\\nmore.\n# TYPE x counter\nx 1\n");
    assert_eq!(server.own_metric("catchment_help_changes_total"), 0.0);
    server.push_ok("/metrics", "# HELP x Second.\nx 1\n");
    assert_eq!(server.own_metric("catchment_help_changes_total"), 1.0);
    let page = "# HELP x First, \\\\ and\\nmore.\n# TYPE x counter\nx 4\n";
    assert_eq!(server.page(), page);
    // A refused push has no help either.
    assert_eq!(server.push("/metrics", "# HELP y Refused.\ny 1\ny 1\n").0, 400);
    server.push_ok("/metrics", "# HELP y Kept.\ny 1\n");
    assert_eq!(server.page(), format!("{page}# HELP y Kept.\n# TYPE y untyped\ny 1\n"));
}

#[test]
fn timestamps_are_ignored_and_counted() {
    let server = Server::start(&[]);
    server.push_ok("/metrics", "x 1 1395066363000\ny 2 -1\nz 3\n");
    server.push_ok("/metrics", "x 1 1\n");
    assert_eq!(page::samples(&server.page())["x"], 2.0);
    assert_eq!(server.own_metric("catchment_ignored_timestamps_total"), 3.0);
    // Those of a refused push are not ignored but refused.
    assert_eq!(server.push("/metrics", "x 1 1\nx 1 1\n").0, 400);
    assert_eq!(server.own_metric("catchment_ignored_timestamps_total"), 3.0);
}

#[test]
fn words_about_families_without_samples_leave_nothing() {
    let server = Server::start(&[]);
    for body in ["", "\n", "# a comment\n", "# TYPE x counter\n", "# HELP x X.\n# TYPE x gauge\n"] {
        server.push_ok("/metrics/job/a", body);
        assert_eq!(server.page(), "", "{body:?}");
    }
    assert_eq!(server.own_metric("catchment_families"), 0.0);
    server.push_ok("/metrics", "# TYPE x histogram\nx_count 1\n");
}

/// What is stored when the refusals begin.
const BASE: &str = r#"# HELP base_total Base.
# TYPE base_total counter
base_total{a="1"} 5
# TYPE lat histogram
lat_bucket{le="1"} 1
lat_bucket{le="+Inf"} 2
lat_sum 3
lat_count 2
# TYPE level gauge
level 3
# TYPE plain untyped
plain 7
# TYPE queue_count counter
queue_count 1
# TYPE rpc summary
rpc_sum 1
rpc_count 2
"#;

/// Two lines before each refused body that would be taken in by themselves: one for a known series, one for a new one.
const GOOD_LINES: &str = "base_total{a=\"1\"} 100\nfresh{a=\"1\"} 1\n";

/// Each body, behind the good lines, must be refused for this reason with this line, and leave nothing.
#[track_caller]
fn check_refusals(reason: &str, path: &str, cases: &[(&str, &str)]) {
    let server = Server::start(&[]);
    server.push_ok("/metrics", BASE);
    let page = server.page();
    for (index, (body, line)) in cases.iter().enumerate() {
        let answer = server.push(path, format!("{GOOD_LINES}{body}"));
        assert_eq!(answer, (400, format!("{line}\n")), "{body}");
        assert_eq!(server.page(), page, "after {body}");
        assert_eq!(server.refused(reason), index as f64 + 1.0, "after {body}");
    }
    assert_eq!(server.accepted(), 1.0);
    assert_eq!(server.own_metric("catchment_series"), 6.0);
    assert_eq!(server.own_metric("catchment_families"), 6.0);
}

#[test]
fn a_type_against_another_type_is_refused() {
    check_refusals(
        "type_conflict",
        "/metrics",
        &[
            ("# TYPE base_total gauge\nbase_total 1\n", "line 3: expected TYPE counter for base_total, got gauge"),
            ("base_total 1\n# TYPE base_total gauge\n", "line 4: expected TYPE counter for base_total, got gauge"),
            ("# TYPE base_total untyped\n", "line 3: expected TYPE counter for base_total, got untyped"),
            ("# TYPE lat gauge\n", "line 3: expected TYPE histogram for lat, got gauge"),
            ("# TYPE lat summary\nlat_sum 1\n", "line 3: expected TYPE histogram for lat, got summary"),
            ("# TYPE rpc histogram\nrpc_sum 1\n", "line 3: expected TYPE summary for rpc, got histogram"),
            ("# TYPE plain histogram\nplain_sum 1\n", "line 3: expected TYPE untyped for plain, got histogram"),
            ("# TYPE new gauge\n# TYPE new counter\n", "line 4: expected one TYPE for new, got counter after gauge"),
            (
                "# TYPE fresh gauge\n# TYPE \"fresh\" counter\n",
                "line 4: expected one TYPE for fresh, got counter after gauge",
            ),
        ],
    );
}

#[test]
fn a_name_that_belongs_to_another_family_is_refused() {
    check_refusals(
        "name_clash",
        "/metrics",
        &[
            (
                "# TYPE lat_count counter\nlat_count 1\n",
                "line 3: expected counter lat_count to have sample names of its own, got lat_count, which belongs to lat",
            ),
            (
                "# TYPE lat_bucket gauge\nlat_bucket 1\n",
                "line 3: expected gauge lat_bucket to have sample names of its own, got lat_bucket, which belongs to lat",
            ),
            (
                "# TYPE rpc_sum summary\nrpc_sum_count 1\n",
                "line 3: expected summary rpc_sum to have sample names of its own, got rpc_sum, which belongs to rpc",
            ),
            (
                "# TYPE queue summary\nqueue_sum 1\n",
                "line 3: expected summary queue to have sample names of its own, got queue_count, which belongs to \
                 queue_count",
            ),
            (
                "# TYPE queue histogram\nqueue_bucket{le=\"1\"} 1\n",
                "line 3: expected histogram queue to have sample names of its own, got queue_count, which belongs to \
                 queue_count",
            ),
            (
                "# TYPE h_count counter\nh_count 1\n# TYPE h histogram\nh_sum 1\n",
                "line 5: expected histogram h to have sample names of its own, got h_count, which belongs to h_count",
            ),
            (
                "# TYPE h histogram\nh_sum 1\n# TYPE h_count counter\nh_count 1\n",
                "line 5: expected counter h_count to have sample names of its own, got h_count, which belongs to h",
            ),
            (
                "s_sum 1\n# TYPE s summary\ns_count 1\n# TYPE s_sum gauge\n",
                "line 4: expected summary s to have sample names of its own, got s_sum, which belongs to s_sum",
            ),
            (
                "{\"base.total\"} 1\n",
                "line 3: expected a name that differs from base_total when escaped, got base.total",
            ),
            (
                "{\"x.y\"} 1\nx_y 1\n",
                "line 4: expected untyped x_y to have sample names of its own, got x_y, which belongs to x.y",
            ),
        ],
    );
}

#[test]
fn a_series_twice_in_a_push_is_refused() {
    check_refusals(
        "duplicate_series",
        "/metrics",
        &[
            ("dup 1\ndup 2\n", "line 4: expected each series once in a push, got dup again"),
            ("fresh{a=\"1\"} 1\n", "line 3: expected each series once in a push, got fresh{a=\"1\"} again"),
            (
                "dup{a=\"1\",b=\"2\"} 1\ndup{b=\"2\",a=\"1\"} 1\n",
                "line 4: expected each series once in a push, got dup{a=\"1\",b=\"2\"} again",
            ),
            ("dup{a=\"\"} 1\ndup 1\n", "line 4: expected each series once in a push, got dup again"),
            ("{\"dup\"} 1\ndup 1\n", "line 4: expected each series once in a push, got dup again"),
            ("dup 1\nother 1\ndup 1\n", "line 5: expected each series once in a push, got dup again"),
            (
                "lat_bucket{le=\"1\"} 1\nlat_bucket{le=\"1.0\"} 1\n",
                "line 3: expected each series once in a push, got lat_bucket{le=\"1\"} again",
            ),
            (
                "lat_bucket{le=\"+Inf\",a=\"1\"} 1\nlat_count 1\nlat_bucket{a=\"1\",le=\"Inf\"} 1\n",
                "line 3: expected each series once in a push, got lat_bucket{a=\"1\",le=\"+Inf\"} again",
            ),
            ("lat_sum 1\nlat_sum 1\n", "line 4: expected each series once in a push, got lat_sum again"),
            (
                "lat_count{a=\"1\"} 1\nlat_count{a=\"1\"} 1\n",
                "line 4: expected each series once in a push, got lat_count{a=\"1\"} again",
            ),
            ("rpc_sum 1\nrpc_count 1\nrpc_sum 1\n", "line 5: expected each series once in a push, got rpc_sum again"),
        ],
    );
}

#[test]
fn a_series_twice_because_the_path_wins_is_refused() {
    check_refusals(
        "duplicate_series",
        "/metrics/job/x",
        &[
            (
                "dup{job=\"a\"} 1\ndup{job=\"b\"} 1\n",
                "line 4: expected each series once in a push, got dup{job=\"x\"} again",
            ),
            (
                "dup{job=\"a\",z=\"1\"} 1\ndup{z=\"1\"} 1\n",
                "line 4: expected each series once in a push, got dup{job=\"x\",z=\"1\"} again",
            ),
            (
                "lat_sum{job=\"a\"} 1\nlat_sum{job=\"b\"} 1\n",
                "line 4: expected each series once in a push, got lat_sum{job=\"x\"} again",
            ),
        ],
    );
}

/// Quantiles are not kept, but a push that has one twice contradicts itself as one with two sums does.
#[test]
fn a_quantile_twice_in_a_push_is_refused() {
    let server = Server::start(&[]);
    let body = "# TYPE s summary\ns{quantile=\"0.5\"} 1\ns{quantile=\"0.50\"} 2\ns_sum 1\n";
    assert_eq!(server.push("/metrics", body).0, 400);
    assert_eq!(server.page(), "");
}

#[test]
fn a_sample_that_its_kind_cannot_have_is_refused() {
    check_refusals(
        "invalid_sample",
        "/metrics",
        &[
            ("base_total NaN\n", "line 3: expected a counter increment of at least 0, got NaN"),
            ("base_total -1\n", "line 3: expected a counter increment of at least 0, got -1"),
            ("base_total -Inf\n", "line 3: expected a counter increment of at least 0, got -Inf"),
            ("# TYPE plain counter\nplain -0.5\n", "line 4: expected a counter increment of at least 0, got -0.5"),
            ("lat_bucket{le=\"1\"} -1\n", "line 3: expected a count of at least 0, got -1"),
            ("lat_bucket{le=\"1\"} NaN\n", "line 3: expected a count of at least 0, got NaN"),
            ("lat_count -1\n", "line 3: expected a count of at least 0, got -1"),
            ("rpc_count NaN\n", "line 3: expected a count of at least 0, got NaN"),
            ("lat_sum{le=\"1\"} 1\n", "line 3: expected no label le here, got le=\"1\""),
            ("lat_count{le=\"1\"} 1\n", "line 3: expected no label le here, got le=\"1\""),
            ("rpc_sum{quantile=\"1\"} 1\n", "line 3: expected no label quantile here, got quantile=\"1\""),
            ("lat_bucket 1\n", "line 3: expected the label le, got none"),
            ("lat_bucket{a=\"1\"} 1\n", "line 3: expected the label le, got none"),
            ("rpc 1\n", "line 3: expected the label quantile, got none"),
            ("lat_bucket{le=\"one\"} 1\n", "line 3: expected a number as le, got \"one\""),
            ("lat_bucket{le=\"NaN\"} 1\n", "line 3: expected a number as le, got \"NaN\""),
            ("lat 1\n", "line 3: expected a sample of histogram lat (lat_bucket, lat_sum, lat_count), got lat"),
            ("# TYPE h histogram\nh 1\n", "line 4: expected a sample of histogram h (h_bucket, h_sum, h_count), got h"),
        ],
    );
}

#[test]
fn le_and_quantile_in_the_path_are_refused_where_they_mean_a_place() {
    let cases = [
        ("le", "lat_bucket{le=\"1\"} 1\n", "a path without the label le for a histogram, got le"),
        ("le", "lat_sum 1\n", "a path without the label le for a histogram, got le"),
        ("quantile", "rpc_sum 1\n", "a path without the label quantile for a summary, got quantile"),
    ];
    for (label, body, expected) in cases {
        let line = format!("line 3: expected {expected}");
        check_refusals("invalid_sample", &format!("/metrics/{label}/1"), &[(body, &line)]);
    }
    let server = Server::start(&[]);
    server.push_ok("/metrics/le/1", "x 1\n");
    assert_eq!(server.page(), "# TYPE x untyped\nx{le=\"1\"} 1\n", "elsewhere they are labels as others");
}

#[test]
fn text_of_no_sense_is_refused() {
    check_refusals(
        "malformed",
        "/metrics",
        &[
            ("x\n", "line 3: expected a number, got end of line"),
            ("x{a=\"1\"}", "line 3: expected a number, got end of body"),
            ("x one\n", "line 3: expected a number, got \"one\""),
            ("x 1 2 3\n", "line 3: expected the end of the line, got \"3\""),
            ("x 1 1.5\n", "line 3: expected a timestamp in whole milliseconds, or the end of the line, got \"1.5\""),
            ("x{a=1} 1\n", "line 3: expected '\"' before a label value, got \"1} 1\""),
            ("x{a=\"1} 1\n", "line 3: expected '\"' at the end of a quoted string, got end of line"),
            ("x{a=\"\\t\"} 1\n", "line 3: expected one of the escapes \\\\, \\\" and \\n, got \"\\\\t\\\"} 1\""),
            ("9x 1\n", "line 3: expected a metric name, got \"9x 1\""),
            ("{\"\"} 1\n", "line 3: expected a metric name that is not empty, got \"\\\"\\\"} 1\""),
            ("x{\"\"=\"1\"} 1\n", "line 3: expected a label name that is not empty, got \"\\\"\\\"=\\\"1\\\"} 1\""),
            (
                "x{__name__=\"y\"} 1\n",
                "line 3: expected a label name that does not begin with \"__\", got \"__name__=\\\"y\\\"} 1\"",
            ),
            ("x{a=\"1\",a=\"2\"} 1\n", "line 3: expected each label once, got a twice"),
            ("x{a=\"1\",\"a\"=\"2\"} 1\n", "line 3: expected each label once, got a twice"),
            (
                "x{\"a.b\"=\"1\",a_b=\"2\"} 1\n",
                "line 3: expected label names that differ when escaped, got \"a.b\" and a_b",
            ),
            (
                "# TYPE x conter\n",
                "line 3: expected a type (counter, gauge, histogram, summary or untyped), got \"conter\"",
            ),
            ("x 1\n\n\n# HELP x \\q\nx 1\n", "line 6: expected one of the escapes \\\\ and \\n, got \"\\\\q\""),
        ],
    );
}

#[test]
fn bytes_that_are_not_utf8_are_refused_wherever_they_stand() {
    let server = Server::start(&[]);
    server.push_ok("/metrics", BASE);
    let page = server.page();
    let bodies: [&[u8]; 5] = [
        b"fresh 1\n\xff 1\n",
        b"fresh 1\nx{a=\"\xff\"} 1\n",
        b"fresh 1\n# HELP x \xff\n",
        b"fresh 1\n# \xff\n",
        b"fresh 1\n{\"\xff\"} 1\n",
    ];
    for body in bodies {
        let expected = (400, "line 2: expected UTF-8, got byte 0xff\n".to_owned());
        assert_eq!(server.push("/metrics", body), expected, "{body:?}");
    }
    assert_eq!(server.refused("malformed"), bodies.len() as f64);
    assert_eq!(server.page(), page);
}

#[test]
fn paths_that_are_no_labels_are_refused() {
    let cases = [
        ("/metrics/job", "expected label and value pairs in the path, got \"job\" without a value"),
        ("/metrics/job//a/b", "expected label and value pairs in the path, got \"job\" without a value"),
        ("/metrics/job/x/a", "expected label and value pairs in the path, got \"a\" without a value"),
        ("/metrics/a-b/x", "expected a label name in the path, got \"a-b\""),
        ("/metrics/__name__/x", "expected a label name in the path, got \"__name__\""),
        ("/metrics/job/%FF", "expected UTF-8 as the value of \"job\", got other bytes"),
        ("/metrics/job@base64/_w", "expected UTF-8 as the value of \"job\", got other bytes"),
        ("/metrics/job@base64/a.b", "expected URL-safe base64 as the value of \"job\", got \"a.b\""),
        ("/metrics/job/a/job/b", "expected each label once, got job twice in the path"),
        ("/metrics/jobs/a/job/b", "expected each label once, got job twice in the path"),
        ("/aggregate/metrics/job", "expected label and value pairs in the path, got \"job\" without a value"),
    ];
    let server = Server::start(&[]);
    for (path, line) in cases {
        let answer = Answer::read(&server.raw(&wire::push_request(path, b"x 1\n")));
        assert_eq!((answer.status, answer.body), (400, format!("{line}\n")), "{path}");
    }
    assert_eq!(server.refused("path"), cases.len() as f64);
    assert_eq!(server.page(), "");
}

/// The page is read by those who know legacy names only, so what they would take for one series must not be two.
#[test]
fn series_that_escaping_would_make_one_do_not_both_reach_the_page() {
    let bodies: [&[&str]; 3] = [
        &["x{\"a.b\"=\"1\"} 1\n", "x{a_b=\"1\"} 2\n"],
        &["x{\"a.b\"=\"1\"} 1\n", "x{\"a-b\"=\"1\"} 2\n"],
        &["x{\"a.b\"=\"1\"} 1\nx{a_b=\"1\"} 2\n"],
    ];
    for pushes in bodies {
        let server = Server::start(&[]);
        for push in pushes {
            server.push("/metrics", push);
        }
        page::families(&server.page());
    }
}

/// Labels that begin with two underscores are the reader's own: with a second `__name__` it would refuse the whole page.
#[test]
fn label_names_that_escaping_would_reserve_do_not_reach_the_page() {
    for name in ["._name__", "1_name__", "..name..", "-_name-_", "..other"] {
        let server = Server::start(&[]);
        server.push("/metrics", format!("x{{\"{name}\"=\"evil\"}} 1\n"));
        let page = server.page();
        assert!(!page.contains("{__"), "{name} is shown as {page}");
    }
}

#[test]
fn names_with_line_feeds_are_answered_in_one_line() {
    let server = Server::start(&["--max-series-per-family", "1"]);
    server.push_ok("/metrics", "{\"a\\nb\"} 1\n# TYPE \"h\\nh\" histogram\n{\"h\\nh_sum\"} 1\n");
    let bodies = [
        "a_b 1\n",
        "# TYPE a_b gauge\na_b 1\n",
        "# TYPE \"a\\nb\" histogram\n",
        "{\"a\\nb\"} 1\n{\"a\\nb\"} 1\n",
        "{\"a\\nb\",l=\"new\"} 1\n",
        "{\"h\\nh\"} 1\n",
        "{\"h\\nh_bucket\",le=\"1\"} 1\n{\"h\\nh_bucket\",le=\"1\"} 1\n",
        "# TYPE \"c\\nc\" gauge\n# TYPE \"c\\nc\" counter\n",
        "x{\"a\\nb\"=\"1\",a_b=\"1\"} 1\n",
    ];
    for body in bodies {
        let (status, line) = server.push("/metrics", body);
        assert!(matches!(status, 400 | 429), "{body:?}: {status}");
        assert_eq!(line.lines().count(), 1, "{body:?}: {line:?}");
    }
}

#[test]
fn bodies_of_other_formats_are_not_guessed_at() {
    let cases = [
        ("Content-Type", "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily", "media_type"),
        ("Content-Type", "application/openmetrics-text; version=2.0.0", "media_type"),
        ("Content-Encoding", "br", "encoding"),
        ("Content-Encoding", "identity, gzip", "encoding"),
    ];
    let server = Server::start(&[]);
    for (name, value, reason) in cases {
        let before = server.refused(reason);
        let header = format!("{name}: {value}");
        let mut request = wire::push_head("/metrics", &[&header, "Content-Length: 4"]).into_bytes();
        request.extend_from_slice(b"x 1\n");
        let answer = Answer::read(&server.raw(&request));
        assert_eq!(answer.status, 415, "{header}");
        assert_eq!(answer.body.lines().count(), 1, "{header}");
        assert_eq!(server.refused(reason), before + 1.0, "{header}");
    }
    assert_eq!(server.page(), "");
}

#[test]
fn any_type_that_is_not_another_format_is_text() {
    let headers = [
        "Content-Type: text/plain; version=0.0.4",
        "Content-Type: application/x-www-form-urlencoded",
        "Content-Type: nonsense",
        "Content-Encoding: identity",
        "X-Nothing: at all",
    ];
    let server = Server::start(&[]);
    for header in headers {
        let mut request = wire::push_head("/metrics", &[header, "Content-Length: 4"]).into_bytes();
        request.extend_from_slice(b"x 1\n");
        assert_eq!(Answer::read(&server.raw(&request)).status, 202, "{header}");
    }
    assert_eq!(server.page(), format!("# TYPE x untyped\nx {}\n", headers.len()));
}

#[test]
fn unknown_paths_and_methods_are_told_what_is_known() {
    let cases = [
        ("GET", "/nothing", 404, None),
        ("POST", "/metricsx", 404, None),
        ("POST", "/aggregate", 404, None),
        ("POST", "/api/v1/nothing", 404, None),
        ("DELETE", "/metrics", 400, None),
        ("PATCH", "/metrics/", 405, Some("GET, POST, PUT, DELETE")),
        ("GET", "/metrics/job/a", 405, Some("POST, PUT, DELETE")),
        ("GET", "/aggregate/metrics", 405, Some("POST, PUT, DELETE")),
        ("POST", "/replace/metrics/a/b", 404, None),
        ("POST", "/", 405, Some("GET")),
        ("POST", "/-/healthy", 405, Some("GET, HEAD")),
        ("PUT", "/-/ready", 405, Some("GET, HEAD")),
        ("DELETE", "/-/metrics", 405, Some("GET")),
    ];
    let server = Server::start(&[]);
    for (method, path, status, allowed) in cases {
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        let answer = Answer::read(&server.raw(request.as_bytes()));
        assert_eq!((answer.status, answer.header("Allow")), (status, allowed), "{method} {path}");
        assert_eq!(answer.body.lines().count(), 1, "{method} {path}");
    }
}

#[test]
fn the_small_pages_answer() {
    let server = Server::start(&[]);
    assert_eq!(server.get("/-/healthy"), (200, "OK\n".to_owned()));
    assert_eq!(server.get("/-/ready"), (200, "OK\n".to_owned()));
    assert_eq!(server.get("/").0, 200);
    assert_eq!(server.own_metric("catchment_series"), 0.0);
}
