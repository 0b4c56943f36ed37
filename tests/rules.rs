//! Rules of the configuration file: what is different for some series.

#![allow(clippy::expect_used, clippy::panic, reason = "a test stops at its first fault")]

mod common;

use common::story::Step::{Delete, Post, Put, Refused, Shows};
use common::story::{Story, check};
use common::{ConfigFile, eventually};

/// Stories on servers with these rules.
#[track_caller]
fn check_with(rules: &str, flags: &[&str], stories: &[Story]) {
    let file = ConfigFile::new(rules);
    check(&[&["--config", file.path()], flags].concat(), stories);
}

#[test]
fn gauges_follow_their_rule() {
    check_with(
        r#"
        [[rule]]
        match = "peak_*"
        gauge = "max"
        [[rule]]
        match = "level"
        labels = { host = "a*" }
        gauge = "sum"
        [[rule]]
        match = "level"
        labels = { host = "" }
        gauge = "min"
        [[rule]]
        match = "?ean"
        gauge = "mean"
        "#,
        &[],
        &[
            Story {
                what: "by the name's glob, in whole",
                steps: &[
                    Post("/metrics", "# TYPE peak_a gauge\npeak_a 3\n# TYPE a_peak_a gauge\na_peak_a 3\n"),
                    Post("/metrics", "# TYPE peak_a gauge\npeak_a 9\n# TYPE a_peak_a gauge\na_peak_a 9\n"),
                    Post("/metrics", "# TYPE peak_a gauge\npeak_a 4\n# TYPE a_peak_a gauge\na_peak_a 4\n"),
                ],
                page: "# TYPE a_peak_a gauge\na_peak_a 4\n# TYPE peak_a gauge\npeak_a 9\n",
            },
            Story {
                what: "by a label, series by series of one push",
                steps: &[
                    Post(
                        "/metrics",
                        "# TYPE level gauge\nlevel{host=\"a1\"} 2\nlevel{host=\"b\"} 2\nlevel 2\nlevel{zone=\"z\"} 2\n",
                    ),
                    Post("/metrics", "level{host=\"a1\"} 3\nlevel{host=\"b\"} 3\nlevel 3\nlevel{zone=\"z\"} 3\n"),
                ],
                page: "# TYPE level gauge\nlevel 2\nlevel{host=\"a1\"} 5\nlevel{host=\"b\"} 3\nlevel{zone=\"z\"} 2\n",
            },
            Story {
                what: "by a label of the path",
                steps: &[
                    Post("/metrics/host/a", "# TYPE level gauge\nlevel{host=\"body\"} 2\n"),
                    Post("/metrics/host/a", "# TYPE level gauge\nlevel 3\n"),
                    Post("/metrics/host/b", "# TYPE level gauge\nlevel 2\n"),
                    Post("/metrics/host/b", "# TYPE level gauge\nlevel 3\n"),
                ],
                page: "# TYPE level gauge\nlevel{host=\"a\"} 5\nlevel{host=\"b\"} 3\n",
            },
            Story {
                what: "other kinds do not mind",
                steps: &[
                    Post(
                        "/metrics",
                        "# TYPE peak_c counter\npeak_c 3\npeak_u 3\n# TYPE mean summary\nmean_sum 1\nmean_count 1\n",
                    ),
                    Post(
                        "/metrics",
                        "# TYPE peak_c counter\npeak_c 3\npeak_u 3\n# TYPE mean summary\nmean_sum 1\nmean_count 1\n",
                    ),
                ],
                page: "# TYPE mean summary\nmean_sum 2\nmean_count 2\n# TYPE peak_c counter\npeak_c 6\n\
                       # TYPE peak_u untyped\npeak_u 6\n",
            },
            Story {
                what: "by the door source, over the sources that live",
                steps: &[
                    Post(
                        "/source/metrics/job/a",
                        "# TYPE peak_a gauge\npeak_a 9\n# TYPE mean gauge\nmean 1\n# TYPE g gauge\ng 1\n",
                    ),
                    Post(
                        "/source/metrics/job/b",
                        "# TYPE peak_a gauge\npeak_a 4\n# TYPE mean gauge\nmean 2\n# TYPE g gauge\ng 2\n",
                    ),
                    Shows(&[("peak_a", 9.0), ("mean", 1.5), ("g", 3.0)]),
                    Delete("/source/metrics/job/a"),
                ],
                page: "# TYPE g gauge\ng 2\n# TYPE mean gauge\nmean 2\n# TYPE peak_a gauge\npeak_a 4\n",
            },
            Story {
                what: "a group's are shown as they are",
                steps: &[
                    Put("/replace/metrics/job/a", "# TYPE peak_a gauge\npeak_a 9\n"),
                    Put("/replace/metrics/job/a", "# TYPE peak_a gauge\npeak_a 4\n"),
                ],
                page: "# TYPE peak_a gauge\npeak_a{instance=\"\",job=\"a\"} 4\n",
            },
        ],
    );
}

#[test]
fn windows_follow_their_rule() {
    let file = ConfigFile::new(
        "[[rule]]\nmatch = \"short\"\ngauge = \"max\"\nwindow = \"1s\"\n[[rule]]\nmatch = \"long\"\ngauge = \"max\"\n\
         [[rule]]\nmatch = \"only_window\"\nlabels = { short = \"1\" }\nwindow = \"1s\"\n",
    );
    let server = file.start(&[]);
    let body = "# TYPE short gauge\nshort 9\n# TYPE long gauge\nlong 9\n# TYPE last gauge\nlast 9\n";
    server.push_ok("/metrics", body);
    eventually("its window ends", || !server.page().contains("short"));
    assert_eq!(server.page(), "# TYPE last gauge\nlast 9\n# TYPE long gauge\nlong 9\n");
    server.push_ok("/metrics", "short 3\nlong 3\nlast 3\n");
    let page = "# TYPE last gauge\nlast 3\n# TYPE long gauge\nlong 9\n# TYPE short gauge\nshort 3\n";
    assert_eq!(server.page(), page);

    let server = file.start(&["--gauges", "max"]);
    server.push_ok("/metrics", "# TYPE only_window gauge\nonly_window{short=\"1\"} 1\nonly_window{short=\"2\"} 1\n");
    eventually("the window of the one series ends", || !server.page().contains("short=\"1\""));
    assert_eq!(server.page(), "# TYPE only_window gauge\nonly_window{short=\"2\"} 1\n");
}

const DROPS: &str = r#"
    [[rule]]
    match = "debug_kept"
    ttl = "1h"
    [[rule]]
    match = "debug_*"
    drop = true
    [[rule]]
    match = "http_*"
    labels = { code = "4??" }
    drop = true
"#;

#[test]
fn series_are_dropped() {
    check_with(
        DROPS,
        &[],
        &[
            Story {
                what: "by name; an earlier rule shields from a later one",
                steps: &[Post(
                    "/metrics",
                    "debug_x 1\ndebug_kept 1\nx_debug_x 1\n# TYPE debug_h histogram\ndebug_h_count 1\n",
                )],
                page: "# TYPE debug_kept untyped\ndebug_kept 1\n# TYPE x_debug_x untyped\nx_debug_x 1\n",
            },
            Story {
                what: "by label",
                steps: &[Post(
                    "/metrics",
                    "http_x{code=\"404\"} 1\nhttp_x{code=\"40\"} 1\nhttp_x{code=\"200\"} 1\nhttp_x 1\n",
                )],
                page: "# TYPE http_x untyped\nhttp_x 1\nhttp_x{code=\"200\"} 1\nhttp_x{code=\"40\"} 1\n",
            },
            Story {
                what: "histograms and summaries as a whole",
                steps: &[Post(
                    "/metrics/code/404",
                    "# TYPE http_h histogram\nhttp_h_bucket{le=\"1\"} 1\nhttp_h_bucket{le=\"+Inf\"} 2\nhttp_h_sum 1\nhttp_h_count 2\n\
                     # TYPE http_s summary\nhttp_s{quantile=\"0.5\"} 1\nhttp_s_sum 1\nhttp_s_count 1\nx 1\n",
                )],
                page: "# TYPE x untyped\nx{code=\"404\"} 1\n",
            },
            Story {
                what: "by every door",
                steps: &[
                    Post("/source/metrics/job/a", "debug_x 1\nx 1\n"),
                    Put("/replace/metrics/job/a", "debug_x 1\nx 1\n"),
                ],
                page: "# TYPE x untyped\nx 1\nx{instance=\"\",job=\"a\"} 1\n",
            },
            Story {
                what: "but checked: a bad push stays a bad push",
                steps: &[
                    Refused("/metrics", "x 1\n# TYPE debug_x counter\ndebug_x -1\n", 400, "line 3"),
                    Refused("/metrics", "x 1\ndebug_x 1\ndebug_x 1\n", 400, "expected each series once in a push"),
                    Refused(
                        "/metrics",
                        "x 1\n# TYPE debug_h histogram\ndebug_h_bucket 1\n",
                        400,
                        "expected the label le",
                    ),
                ],
                page: "",
            },
        ],
    );
}

#[test]
fn dropped_samples_are_counted_and_take_no_room() {
    let file = ConfigFile::new(DROPS);
    let server = file.start(&["--max-series", "2"]);
    server.push_ok("/metrics", "debug_x{n=\"1\"} 1\ndebug_x{n=\"2\"} 1\ndebug_y 1\nx 1\ny 1\n");
    assert_eq!(server.own_metric("catchment_discarded_samples_total"), 3.0);
    assert_eq!(server.own_metric("catchment_series"), 2.0);
}

const FALLING_TOGETHER: &str = r#"
    [[rule]]
    match = "sum_*"
    gauge = "sum"
    drop_labels = ["pod"]
    [[rule]]
    match = "max_*"
    gauge = "max"
    drop_labels = ["pod"]
    [[rule]]
    match = "kept_*"
    keep_labels = ["code", "a"]
    [[rule]]
    match = "*"
    drop_labels = ["pod", "node"]
"#;

#[test]
fn series_that_fall_together_are_merged() {
    check_with(
        FALLING_TOGETHER,
        &[],
        &[
            Story {
                what: "counters and untyped values are added, within a push and over pushes",
                steps: &[
                    Post(
                        "/metrics",
                        "# TYPE c counter\nc{pod=\"1\",a=\"x\"} 1\nc{a=\"x\",pod=\"2\",node=\"n\"} 2\nc{a=\"y\"} 5\nu{pod=\"1\"} 1\nu 2\n",
                    ),
                    Post("/metrics", "# TYPE c counter\nc{a=\"x\",pod=\"3\"} 4\n"),
                ],
                page: "# TYPE c counter\nc{a=\"x\"} 7\nc{a=\"y\"} 5\n# TYPE u untyped\nu 3\n",
            },
            Story {
                what: "gauges by their policy",
                steps: &[Post(
                    "/metrics",
                    "# TYPE sum_g gauge\nsum_g{pod=\"1\"} 5\nsum_g{pod=\"2\"} 3\n# TYPE max_g gauge\nmax_g{pod=\"1\"} 5\nmax_g{pod=\"2\"} 3\n# TYPE g gauge\ng{pod=\"1\"} 5\ng{pod=\"2\"} 3\n",
                )],
                page: "# TYPE g gauge\ng 3\n# TYPE max_g gauge\nmax_g 5\n# TYPE sum_g gauge\nsum_g 8\n",
            },
            Story {
                what: "histograms, whose bounds may differ and whose lines may interleave",
                steps: &[Post(
                    "/metrics",
                    "# TYPE h histogram\nh_bucket{pod=\"1\",le=\"1\"} 1\nh_bucket{pod=\"2\",le=\"2\"} 2\nh_bucket{pod=\"1\",le=\"5\"} 3\n\
                     h_bucket{pod=\"2\",le=\"+Inf\"} 2\nh_bucket{pod=\"1\",le=\"+Inf\"} 4\nh_sum{pod=\"1\"} 1\nh_sum{pod=\"2\"} 2\n\
                     h_count{pod=\"2\"} 2\nh_count{pod=\"1\"} 4\n",
                )],
                page: "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"2\"} 3\nh_bucket{le=\"5\"} 5\n\
                       h_bucket{le=\"+Inf\"} 6\nh_sum 3\nh_count 6\n",
            },
            Story {
                what: "histograms whose bounds are the same, twice",
                steps: &[
                    Post(
                        "/metrics",
                        "# TYPE h histogram\nh_bucket{pod=\"1\",le=\"1\"} 1\nh_bucket{pod=\"1\",le=\"+Inf\"} 1\nh_bucket{pod=\"2\",le=\"1\"} 1\nh_bucket{pod=\"2\",le=\"+Inf\"} 2\n",
                    ),
                    Post(
                        "/metrics",
                        "# TYPE h histogram\nh_bucket{pod=\"1\",le=\"1\"} 1\nh_bucket{pod=\"1\",le=\"+Inf\"} 1\nh_bucket{pod=\"2\",le=\"1\"} 1\nh_bucket{pod=\"2\",le=\"+Inf\"} 2\n",
                    ),
                ],
                page: "# TYPE h histogram\nh_bucket{le=\"1\"} 4\nh_bucket{le=\"+Inf\"} 6\n",
            },
            Story {
                what: "summaries",
                steps: &[Post(
                    "/metrics",
                    "# TYPE s summary\ns{pod=\"1\",quantile=\"0.5\"} 1\ns{pod=\"2\",quantile=\"0.5\"} 2\ns_sum{pod=\"1\"} 1\ns_sum{pod=\"2\"} 2\ns_count{pod=\"1\"} 3\ns_count{pod=\"2\"} 4\n",
                )],
                page: "# TYPE s summary\ns_sum 3\ns_count 7\n",
            },
            Story {
                what: "labels that are kept; le stays, whatever is kept",
                steps: &[
                    Post(
                        "/metrics/job/j",
                        "# TYPE kept_c counter\nkept_c{code=\"1\",x=\"1\"} 1\nkept_c{code=\"1\",x=\"2\",a=\"\"} 2\nkept_c{a=\"a\"} 4\n",
                    ),
                    Post(
                        "/metrics/job/k",
                        "# TYPE kept_h histogram\nkept_h_bucket{x=\"1\",le=\"1\"} 1\nkept_h_bucket{x=\"1\",le=\"+Inf\"} 2\nkept_h_bucket{x=\"2\",le=\"1\"} 4\nkept_h_bucket{x=\"2\",le=\"+Inf\"} 8\n",
                    ),
                ],
                page: "# TYPE kept_c counter\nkept_c{a=\"a\"} 4\nkept_c{code=\"1\"} 3\n# TYPE kept_h histogram\n\
                       kept_h_bucket{le=\"1\"} 5\nkept_h_bucket{le=\"+Inf\"} 10\n",
            },
            Story {
                what: "labels of the path are dropped, too",
                steps: &[Post("/metrics/pod/1/job/j", "c 1\n"), Post("/metrics/pod/2/job/j", "c 2\n")],
                page: "# TYPE c untyped\nc{job=\"j\"} 3\n",
            },
            Story {
                what: "a series twice is still refused",
                steps: &[Refused(
                    "/metrics",
                    "c{pod=\"1\"} 1\nc{pod=\"1\"} 1\n",
                    400,
                    "expected each series once in a push",
                )],
                page: "",
            },
        ],
    );
}

#[test]
fn series_of_sources_and_groups_that_fall_together_are_merged() {
    check_with(
        FALLING_TOGETHER,
        &[],
        &[
            Story {
                what: "each of a source's running totals is compared with itself, in whatever pushes they come",
                steps: &[
                    Post("/source/metrics/job/a", "# TYPE d counter\nd{pod=\"a\"} 100\n"),
                    Post("/source/metrics/job/a", "# TYPE d counter\nd{pod=\"b\"} 90\n"),
                    Post("/source/metrics/job/a", "# TYPE d counter\nd{pod=\"a\"} 105\n"),
                    Post("/source/metrics/job/a", "# TYPE d counter\nd{pod=\"b\"} 93\n"),
                    Shows(&[("d", 198.0)]),
                    Post("/source/metrics/job/a", "# TYPE d counter\nd{pod=\"b\"} 2\nd{pod=\"a\"} 105\nd 1\n"),
                ],
                page: "# TYPE d counter\nd 201\n",
            },
            Story {
                what: "each of a source's gauges is a value that lives, until the source goes",
                steps: &[
                    Post("/source/metrics/job/a", "# TYPE sum_g gauge\nsum_g{pod=\"a\"} 100\n"),
                    Post("/source/metrics/job/a", "# TYPE sum_g gauge\nsum_g{pod=\"b\"} 90\nsum_g 1\n"),
                    Post("/source/metrics/job/b", "# TYPE sum_g gauge\nsum_g{pod=\"b\"} 5\n"),
                    Shows(&[("sum_g", 196.0)]),
                    Delete("/source/metrics/job/a"),
                    Shows(&[("sum_g", 5.0)]),
                    Delete("/source/metrics/job/b"),
                ],
                page: "",
            },
            Story {
                what: "a source's running totals fall together",
                steps: &[
                    Post("/source/metrics/job/a", "# TYPE c counter\nc{pod=\"1\"} 3\nc{pod=\"2\"} 4\n"),
                    Post("/source/metrics/job/a", "# TYPE c counter\nc{pod=\"2\"} 4\nc{pod=\"1\"} 5\n"),
                    Post("/source/metrics/job/b", "# TYPE c counter\nc{pod=\"1\"} 10\n"),
                ],
                page: "# TYPE c counter\nc 19\n",
            },
            Story {
                what: "gauges by their policy over all of all sources",
                steps: &[
                    Post(
                        "/source/metrics/job/a",
                        "# TYPE sum_g gauge\nsum_g{pod=\"1\"} 3\nsum_g{pod=\"2\"} 4\n# TYPE max_g gauge\nmax_g{pod=\"1\"} 3\nmax_g{pod=\"2\"} 2\n",
                    ),
                    Post(
                        "/source/metrics/job/b",
                        "# TYPE sum_g gauge\nsum_g{pod=\"1\"} 10\n# TYPE max_g gauge\nmax_g{pod=\"1\"} 1\n",
                    ),
                ],
                page: "# TYPE max_g gauge\nmax_g 3\n# TYPE sum_g gauge\nsum_g 17\n",
            },
            Story {
                what: "a source's histograms and summaries",
                steps: &[
                    Post(
                        "/source/metrics/job/a",
                        "# TYPE h histogram\nh_bucket{pod=\"1\",le=\"1\"} 1\nh_bucket{pod=\"1\",le=\"+Inf\"} 2\nh_bucket{pod=\"2\",le=\"+Inf\"} 3\n# TYPE s summary\ns_sum{pod=\"1\"} 1\ns_count{pod=\"1\"} 1\ns_sum{pod=\"2\"} 1\ns_count{pod=\"2\"} 1\n",
                    ),
                    Post(
                        "/source/metrics/job/a",
                        "# TYPE h histogram\nh_bucket{pod=\"1\",le=\"1\"} 2\nh_bucket{pod=\"1\",le=\"+Inf\"} 4\nh_bucket{pod=\"2\",le=\"+Inf\"} 3\n# TYPE s summary\ns_sum{pod=\"1\"} 1\ns_count{pod=\"1\"} 1\ns_sum{pod=\"2\"} 5\ns_count{pod=\"2\"} 5\n",
                    ),
                ],
                page: "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 7\n# TYPE s summary\ns_sum 6\ns_count 6\n",
            },
            Story {
                what: "what a group shows",
                steps: &[
                    Put("/replace/metrics/job/a", "# TYPE c counter\nc{pod=\"1\"} 9\n"),
                    Put(
                        "/replace/metrics/job/a",
                        "# TYPE c counter\nc{pod=\"1\"} 3\nc{pod=\"2\"} 4\n# TYPE sum_g gauge\nsum_g{pod=\"1\"} 3\nsum_g{pod=\"2\"} 4\n# TYPE max_g gauge\nmax_g{pod=\"1\"} 3\nmax_g{pod=\"2\"} 2\n# TYPE h histogram\nh_bucket{pod=\"1\",le=\"1\"} 1\nh_bucket{pod=\"2\",le=\"+Inf\"} 3\nh_bucket{pod=\"1\",le=\"+Inf\"} 2\n",
                    ),
                ],
                page: "# TYPE c counter\nc{instance=\"\",job=\"a\"} 7\n# TYPE h histogram\nh_bucket{instance=\"\",job=\"a\",le=\"1\"} 1\n\
                       h_bucket{instance=\"\",job=\"a\",le=\"+Inf\"} 5\n# TYPE max_g gauge\nmax_g{instance=\"\",job=\"a\"} 3\n\
                       # TYPE sum_g gauge\nsum_g{instance=\"\",job=\"a\"} 7\n",
            },
        ],
    );
}

#[test]
fn families_have_limits_of_their_own() {
    check_with(
        "[[rule]]\nmatch = \"few_*\"\nmax_series = 2\n",
        &[],
        &[
            Story {
                what: "a series too many is refused with its push; known ones and other families go on",
                steps: &[
                    Post("/metrics", "few_x{n=\"1\"} 1\nfew_x{n=\"2\"} 1\n"),
                    Refused(
                        "/metrics",
                        "x 1\nfew_x{n=\"1\"} 1\nfew_x{n=\"3\"} 1\n",
                        429,
                        "expected at most 2 series of few_x, got 1 more",
                    ),
                    Post(
                        "/metrics",
                        "few_x{n=\"1\"} 1\nfew_y{n=\"1\"} 1\nfew_y{n=\"2\"} 1\nx{n=\"1\"} 1\nx{n=\"2\"} 1\nx{n=\"3\"} 1\n",
                    ),
                ],
                page: "# TYPE few_x untyped\nfew_x{n=\"1\"} 2\nfew_x{n=\"2\"} 1\n# TYPE few_y untyped\nfew_y{n=\"1\"} 1\n\
                       few_y{n=\"2\"} 1\n# TYPE x untyped\nx{n=\"1\"} 1\nx{n=\"2\"} 1\nx{n=\"3\"} 1\n",
            },
            Story {
                what: "over all doors",
                steps: &[
                    Post("/aggregate/metrics", "few_x{n=\"1\"} 1\n"),
                    Post("/source/metrics", "few_x{n=\"2\"} 1\n"),
                    Refused("/source/metrics", "few_x{n=\"3\"} 1\n", 429, "series of few_x"),
                    Refused("/replace/metrics/job/a", "few_x{n=\"3\"} 1\n", 429, "series of few_x"),
                    Delete("/source/metrics"),
                ],
                page: "# TYPE few_x untyped\nfew_x{n=\"1\"} 1\nfew_x{n=\"2\"} 1\n",
            },
        ],
    );
    check_with(
        "[[rule]]\nmatch = \"x\"\nlabels = { kind = \"a\" }\nmax_series = 1\n[[rule]]\nmatch = \"x\"\nmax_series = 3\n",
        &["--max-series-per-family", "2"],
        &[Story {
            what: "the least limit of the family counts, but not one that none of its series meets",
            steps: &[
                Post("/metrics", "x{n=\"1\"} 1\nx{n=\"2\"} 1\n"),
                Refused("/metrics", "x{kind=\"a\"} 1\n", 429, "expected at most 1 series of x"),
            ],
            page: "# TYPE x untyped\nx{n=\"1\"} 1\nx{n=\"2\"} 1\n",
        }],
    );
}

#[test]
fn the_first_rule_that_a_series_meets_is_its_only_one() {
    check_with(
        r#"
        [[rule]]
        match = "x"
        labels = { a = "1" }
        gauge = "sum"
        [[rule]]
        match = "x"
        drop_labels = ["b"]
        "#,
        &[],
        &[Story {
            what: "a rule with the label, and one without",
            steps: &[
                Post("/metrics", "# TYPE x gauge\nx{a=\"1\",b=\"1\"} 1\nx{a=\"2\",b=\"1\"} 1\n"),
                Post("/metrics", "# TYPE x gauge\nx{a=\"1\",b=\"1\"} 1\nx{a=\"2\",b=\"1\"} 1\n"),
            ],
            page: "# TYPE x gauge\nx{a=\"1\",b=\"1\"} 2\nx{a=\"2\"} 1\n",
        }],
    );
}
