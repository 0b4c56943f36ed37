//! What leaves, and what it leaves behind: lifetimes of series, sources and groups, deletions, and what administrators may do.

#![allow(clippy::expect_used, clippy::panic, reason = "a test stops at its first fault")]

mod common;

use std::net::TcpStream;

use common::story::Step::{Delete, Post, PostWith, Put, Shows};
use common::story::{Story, assert_refused, check, take};
use common::{ConfigFile, Server, eventually};

const SHORT: (&str, &str) = ("Catchment-TTL", "300ms");
const LONG: (&str, &str) = ("Catchment-TTL", "1h");

#[track_caller]
fn push_for(server: &Server, path: &'static str, lifetime: (&'static str, &'static str), body: &'static str) {
    take(server, PostWith(path, lifetime, body), path);
}

#[test]
fn a_series_leaves_when_nothing_is_pushed_to_it() {
    let server = Server::start(&["--series-ttl", "300ms"]);
    server.push_ok("/metrics", "# TYPE c counter\nc 5\n");
    eventually("it leaves", || server.page().is_empty());
    server.push_ok("/metrics", "# TYPE c counter\nc 3\n");
    assert_eq!(server.page(), "# TYPE c counter\nc 3\n", "what comes again begins anew");
}

#[test]
fn a_series_leaves_though_nobody_scrapes() {
    let server = Server::start(&["--series-ttl", "100ms"]);
    server.push_ok("/metrics", "# TYPE c counter\nc{a=\"1\"} 5\nc{a=\"2\"} 5\n# TYPE h histogram\nh_count 1\n");
    eventually("nothing is stored", || server.own_metric("catchment_series") == 0.0);
    eventually("no family is known", || server.own_metric("catchment_families") == 0.0);
    assert!(server.own_metric("catchment_expired_total") >= 3.0);
}

#[test]
fn a_push_keeps_its_series_alive() {
    let server = Server::start(&[]);
    server.push_ok("/metrics", "c{is=\"for ever\"} 1\n");
    push_for(&server, "/metrics", ("Catchment-TTL", "1s"), "c{is=\"kept\"} 1\nc{is=\"then for ever\"} 1\n");
    push_for(&server, "/metrics", ("Catchment-TTL", "1s"), "c{is=\"not kept\"} 1\n");
    push_for(&server, "/metrics", LONG, "c{is=\"kept\"} 1\n");
    server.push_ok("/metrics", "c{is=\"then for ever\"} 1\n");
    eventually("what was pushed last of the short-lived leaves", || !server.page().contains("not kept"));
    let page = "# TYPE c untyped\nc{is=\"for ever\"} 1\nc{is=\"kept\"} 2\nc{is=\"then for ever\"} 2\n";
    assert_eq!(server.page(), page, "what was pushed to stays, and what it had");
}

#[test]
fn lifetimes_are_told_by_header_before_rule_before_flag() {
    let file =
        ConfigFile::new("[[rule]]\nmatch = \"short_*\"\nttl = \"300ms\"\n[[rule]]\nmatch = \"long_*\"\nttl = \"1h\"\n");
    let server = file.start(&["--series-ttl", "300ms"]);
    server.push_ok("/metrics", "short_by_rule 1\nlong_by_rule 1\nby_flag 1\n");
    push_for(&server, "/metrics", LONG, "short_but_header 1\nby_flag_but_header 1\n");
    push_for(&server, "/metrics", SHORT, "long_but_header 1\n");
    eventually("the short-lived leave", || server.samples().len() == 3);
    let left = "# TYPE by_flag_but_header untyped\nby_flag_but_header 1\n# TYPE long_by_rule untyped\nlong_by_rule 1\n\
                # TYPE short_but_header untyped\nshort_but_header 1\n";
    assert_eq!(server.page(), left);
}

#[test]
fn series_of_sources_have_lifetimes_too() {
    let file = ConfigFile::new("[[rule]]\nmatch = \"short_*\"\nttl = \"300ms\"\n");
    let server = file.start(&[]);
    server.push_ok(
        "/source/metrics/job/a",
        "# TYPE short_total counter\nshort_total 5\n# TYPE long_total counter\nlong_total 5\n",
    );
    eventually("its series leaves", || !server.page().contains("short_total"));
    assert_eq!(server.page(), "# TYPE long_total counter\nlong_total 5\n");
    assert_eq!(server.own_metric("catchment_sources"), 1.0, "the source lives");
    server.push_ok("/source/metrics/job/a", "# TYPE short_total counter\nshort_total 6\n");
    assert_eq!(server.samples()["short_total"], 6.0);
}

#[test]
fn a_group_leaves_whole() {
    let server = Server::start(&["--group-ttl", "300ms"]);
    assert_eq!(server.put("/replace/metrics/job/a", "x 1\ny 1\n").0, 200);
    push_for(&server, "/replace/metrics/job/b", LONG, "x 2\n");
    eventually("it leaves", || !server.page().contains("job=\"a\""));
    let samples = server.samples();
    assert_eq!(samples.len(), 3, "b and its times: {samples:?}");
    assert_eq!(samples["x{instance=\"\",job=\"b\"}"], 2.0);
    assert_eq!(server.own_metric("catchment_groups"), 1.0);
    assert_eq!(server.put("/replace/metrics/job/c", "# TYPE y gauge\ny 1\n").0, 200, "its names are free");
}

#[test]
fn a_group_is_on_the_page_whole_or_not_at_all_when_it_expires() {
    let server = Server::start(&[]);
    let body: String = (0..50).map(|series| format!("f{series} 1\n")).collect();
    let reply = server.push_with("/replace/metrics/job/a", &[SHORT], body.as_bytes());
    assert_eq!(reply.status, 200);
    eventually("it leaves", || {
        let samples = server.samples().len();
        assert!(matches!(samples, 0 | 52), "{samples} of its 52 series");
        samples == 0
    });
}

#[test]
fn a_push_keeps_its_group_alive() {
    let server = Server::start(&[]);
    push_for(&server, "/replace/metrics/job/a", ("Catchment-TTL", "1s"), "x 1\n");
    push_for(&server, "/replace/metrics/job/b", ("Catchment-TTL", "1s"), "x 1\n");
    push_for(&server, "/replace/metrics/job/a", LONG, "y 1\n");
    eventually("the other leaves", || !server.page().contains("job=\"b\""));
    let page = "# TYPE x untyped\nx{instance=\"\",job=\"a\"} 1\n# TYPE y untyped\ny{instance=\"\",job=\"a\"} 1\n";
    assert_eq!(server.page_without_times(), page);
}

/// The newest push decides, also when it asks for less than the one before.
#[test]
fn series_and_groups_may_ask_for_a_shorter_life() {
    let server = Server::start(&[]);
    for path in ["/aggregate/metrics", "/replace/metrics/job/a"] {
        push_for(&server, path, LONG, "x{by=\"header\"} 1\n");
        push_for(&server, path, SHORT, "x{by=\"header\"} 1\n");
        eventually(path, || server.page().is_empty());
    }
}

/// Lifetimes of series are not for groups: those leave as a whole.
#[test]
fn series_of_groups_have_no_lifetimes() {
    let file = ConfigFile::new("[[rule]]\nmatch = \"x\"\nttl = \"200ms\"\n");
    let server = file.start(&["--series-ttl", "200ms"]);
    assert_eq!(server.put("/replace/metrics/job/a", "x 1\ny 1\n").0, 200);
    server.push_ok("/aggregate/metrics", "z 1\n");
    eventually("what is not of a group leaves", || !server.page().contains("z 1"));
    let page = "# TYPE x untyped\nx{instance=\"\",job=\"a\"} 1\n# TYPE y untyped\ny{instance=\"\",job=\"a\"} 1\n";
    assert_eq!(server.page_without_times(), page);
}

#[test]
fn families_free_their_names_with_their_last_series() {
    const HISTOGRAM: &str = "# TYPE x histogram\nx_bucket{le=\"+Inf\"} 1\nx_sum 1\nx_count 1\n";
    check(
        &["--door", "aggregate"],
        &[
            Story {
                what: "of aggregated series that are deleted",
                steps: &[
                    Post("/metrics/job/a", HISTOGRAM),
                    Delete("/metrics/job/a"),
                    Post("/metrics/job/a", "# TYPE x gauge\nx 1\n# TYPE x_count counter\nx_count 1\n"),
                ],
                page: "# TYPE x gauge\nx{job=\"a\"} 1\n# TYPE x_count counter\nx_count{job=\"a\"} 1\n",
            },
            Story {
                what: "of a source's gauges",
                steps: &[
                    Post("/source/metrics/job/a", "# TYPE x gauge\nx 1\n"),
                    Delete("/source/metrics/job/a"),
                    Post("/source/metrics/job/a", HISTOGRAM),
                ],
                page: "# TYPE x histogram\nx_bucket{le=\"+Inf\"} 1\nx_sum 1\nx_count 1\n",
            },
            Story {
                what: "a HELP goes with the family",
                steps: &[
                    Post("/metrics/job/a", "# HELP x Old.\nx 1\n"),
                    Delete("/metrics/job/a"),
                    Post("/metrics/job/a", "# HELP x New.\n# TYPE x gauge\nx 1\n"),
                ],
                page: "# HELP x New.\n# TYPE x gauge\nx{job=\"a\"} 1\n",
            },
        ],
    );
    let server = Server::start(&["--series-ttl", "200ms"]);
    server.push_ok("/metrics", HISTOGRAM);
    assert_eq!(server.push("/metrics", "# TYPE x gauge\nx 1\n").0, 400);
    eventually("it leaves", || server.page().is_empty());
    // It is off the page a little before it is swept out.
    let other_kinds = "# TYPE x gauge\nx 1\n# TYPE x_count counter\nx_count 1\n";
    eventually("its names are free", || server.push("/metrics", other_kinds).0 == 202);
}

#[test]
fn a_deleted_group_leaves_no_word_on_what_its_names_are() {
    check(
        &[],
        &[Story {
            what: "a sample without a TYPE is untyped again",
            steps: &[
                Put("/replace/metrics/job/a", "# TYPE x histogram\nx_bucket{le=\"+Inf\"} 1\nx_sum 1\nx_count 1\n"),
                Delete("/replace/metrics/job/a"),
                Post("/aggregate/metrics", "x_sum 1\n"),
            ],
            page: "# TYPE x_sum untyped\nx_sum 1\n",
        }],
    );
}

#[test]
fn aggregated_series_are_deleted_by_their_labels() {
    const SERIES: &str = "x{a=\"1\",b=\"1\"} 1\nx{a=\"1\",b=\"2\"} 1\nx{a=\"2\",b=\"1\"} 1\nx 1\ny{a=\"1\"} 1\n";
    let cases: [(&str, &str); 7] = [
        ("/a/1", "# TYPE x untyped\nx 1\nx{a=\"2\",b=\"1\"} 1\n"),
        (
            "/b/1/a/1",
            "# TYPE x untyped\nx 1\nx{a=\"1\",b=\"2\"} 1\nx{a=\"2\",b=\"1\"} 1\n# TYPE y untyped\ny{a=\"1\"} 1\n",
        ),
        ("/a@base64/MQ/", "# TYPE x untyped\nx 1\nx{a=\"2\",b=\"1\"} 1\n"),
        ("/b/%31", "# TYPE x untyped\nx 1\nx{a=\"1\",b=\"2\"} 1\n# TYPE y untyped\ny{a=\"1\"} 1\n"),
        ("/a/11", ""),
        ("/c/1", ""),
        ("/a/1/c/1", ""),
    ];
    for (labels, left) in cases {
        let server = Server::start(&[]);
        server.push_ok("/metrics", SERIES);
        let all = server.page();
        assert_eq!(server.delete(&format!("/aggregate/metrics{labels}")), (202, String::new()), "{labels}");
        assert_eq!(server.page(), if left.is_empty() { &all } else { left }, "{labels}");
    }
    let server = Server::start(&[]);
    server.push_ok("/metrics", SERIES);
    let page = server.page();
    // An empty label is an absent one, which all series may have.
    for path in ["/metrics", "/metrics/", "/aggregate/metrics", "/aggregate/metrics/", "/metrics/a@base64/="] {
        assert_refused(server.delete(path), 400, "expected labels in the path", path);
    }
    assert_eq!(server.delete("/metrics/a").0, 400);
    assert_eq!(server.page(), page);
}

#[test]
fn a_deleted_series_begins_anew_and_those_of_other_doors_stay() {
    check(
        &[],
        &[Story {
            what: "all doors have series with the label",
            steps: &[
                Post("/aggregate/metrics/job/a", "# TYPE c counter\nc{by=\"all\"} 5\n"),
                Post("/source/metrics/job/a", "# TYPE c counter\nc{by=\"source\",job=\"a\"} 5\n"),
                Put("/replace/metrics/job/a", "# TYPE c counter\nc{by=\"group\"} 5\n"),
                Delete("/aggregate/metrics/job/a"),
                Post("/aggregate/metrics/job/a", "# TYPE c counter\nc{by=\"all\"} 3\n"),
                Shows(&[("c{by=\"all\",job=\"a\"}", 3.0)]),
            ],
            page: "# TYPE c counter\nc{by=\"all\",job=\"a\"} 3\nc{by=\"group\",instance=\"\",job=\"a\"} 5\n\
                   c{by=\"source\",job=\"a\"} 5\n",
        }],
    );
}

const ADMIN: &[&str] = &["--web.enable-admin-api"];
const DELETE_SERIES: &str = "/api/v1/admin/delete_series";

/// Series by all doors.
fn push_by_all_doors(server: &Server) {
    server.push_ok("/aggregate/metrics/job/a", "# TYPE c counter\nc{by=\"all\"} 1\nd 1\n");
    server.push_ok("/source/metrics/job/a", "# TYPE c counter\nc{by=\"source\"} 2\n# TYPE g gauge\ng 2\n");
    assert_eq!(server.put("/replace/metrics/job/a", "# TYPE c counter\nc{by=\"group\"} 3\n").0, 200);
}

/// What those pushes show, in the page's order, to be chosen from.
const BY_ALL_DOORS: [&str; 5] =
    ["c{by=\"all\",job=\"a\"}", "c{by=\"group\",instance=\"\",job=\"a\"}", "c{by=\"source\"}", "d{job=\"a\"}", "g"];

#[test]
fn series_are_deleted_by_selectors_whatever_door_they_came_by() {
    // Selectors, and which of the series are left.
    let cases: [(&str, &[usize]); 10] = [
        ("match[]=c", &[3, 4]),
        ("match[]=%7Bby%3D%22group%22%7D", &[0, 2, 3, 4]),
        ("match%5B%5D=c%7Bby%3D~%22s.%2A%7Cgroup%22%7D", &[0, 3, 4]),
        ("match[]=c%7Bby%21%3D%22all%22%7D", &[0, 3, 4]),
        ("match[]=d&match[]=g", &[0, 1, 2]),
        ("match[]=%7Bjob%3D%22a%22%7D", &[2, 4]),
        ("match[]=c%7Bjob%3D%22%22%7D", &[0, 1, 3, 4]),
        ("match[]=%7B__name__%3D~%22c%7Cg%22%7D", &[3]),
        ("match[]=none", &[0, 1, 2, 3, 4]),
        ("match[]=c%7Bby%3D~%22al%22%7D", &[0, 1, 2, 3, 4]),
    ];
    for (query, left) in cases {
        for method in ["PUT", "POST"] {
            let server = Server::start(ADMIN);
            push_by_all_doors(&server);
            let path = format!("{DELETE_SERIES}?{query}");
            let answer = if method == "PUT" { server.put(&path, "") } else { server.push(&path, "") };
            assert_eq!(answer, (204, String::new()), "{query}");
            let samples = server.samples();
            let shown: Vec<&str> =
                samples.keys().map(String::as_str).filter(|series| !series.starts_with("push_")).collect();
            let expected: Vec<&str> = left.iter().map(|index| BY_ALL_DOORS[*index]).collect();
            assert_eq!(shown, expected, "{query}");
        }
    }
}

#[test]
fn what_was_deleted_by_selector_comes_again_with_the_next_push() {
    let server = Server::start(ADMIN);
    push_by_all_doors(&server);
    assert_eq!(server.put(&format!("{DELETE_SERIES}?match[]=c&match[]=g"), "").0, 204);
    push_by_all_doors(&server);
    let samples = server.samples();
    let shown = BY_ALL_DOORS.map(|series| samples[series]);
    assert_eq!(shown, [1.0, 3.0, 2.0, 2.0, 2.0]);
}

#[test]
fn selectors_of_no_sense_are_refused() {
    let server = Server::start(ADMIN);
    push_by_all_doors(&server);
    let page = server.page();
    let selectors = [
        "",
        "match[]=",
        "match[]=%7B%7D",
        "match[]=%7Ba%3D%22%22%7D",
        "match[]=%7Ba%3D~%22.%2A%22%7D",
        "match[]=%7Ba%3D%22x%22",
        "match[]=%7Ba%3D~%22%28%22%7D",
        "match[]=c%7Ba%7D",
        "match[]=c&match[]=%7B%7D",
        "match=c",
        "selector[]=c",
        "match[]=%FF",
    ];
    for query in selectors {
        assert_refused(server.put(&format!("{DELETE_SERIES}?{query}"), ""), 400, "match[]", query);
        assert_eq!(server.page(), page, "{query}");
    }
    assert_eq!(server.get(&format!("{DELETE_SERIES}?match[]=c")).0, 405);
}

#[test]
fn a_wipe_leaves_nothing() {
    for method in ["PUT", "POST"] {
        let server = Server::start(ADMIN);
        push_by_all_doors(&server);
        let wipe = || match method {
            "PUT" => server.put("/api/v1/admin/wipe", ""),
            _ => server.push("/api/v1/admin/wipe", ""),
        };
        assert_eq!(wipe(), (202, String::new()));
        assert_eq!(server.page(), "");
        for metric in ["catchment_series", "catchment_families", "catchment_sources", "catchment_groups"] {
            eventually(metric, || server.own_metric(metric) == 0.0);
        }
        server.push_ok("/aggregate/metrics/job/a", "# TYPE c gauge\nc 1\n");
        assert_eq!(server.put("/replace/metrics/job/a", "# TYPE d histogram\nd_count 1\n").0, 200);
        server.push_ok("/source/metrics/job/a", "# TYPE g counter\ng 1\n");
        assert_eq!(server.samples()["g"], 1.0, "whoever comes begins anew, under any kind");
        assert_eq!(wipe().0, 202);
        assert_eq!(wipe().0, 202, "of nothing, too");
        assert_eq!(server.page(), "");
    }
}

/// Each push is wiped whole or not at all, and the server takes what comes after.
#[test]
fn pushes_that_race_with_wipes_are_whole() {
    const SERIES: usize = 40;
    let server = Server::start(&["--web.enable-admin-api", "--workers", "4", "--shards", "3"]);
    let paths = ["/aggregate/metrics", "/source/metrics/job/s", "/replace/metrics/job/r"];
    let push = |thread: usize, round: usize| {
        let line = |series| format!("w{thread}{{s=\"{series}\"}} {}\n", round + 1);
        let body: String = (0..SERIES).map(line).collect();
        assert!(matches!(server.push(paths[thread], body).0, 200 | 202));
    };
    common::while_working(3, push, || {
        for _ in 0..20 {
            assert_eq!(server.put("/api/v1/admin/wipe", "").0, 202);
            server.samples();
        }
    });
    let samples = server.samples();
    for (thread, path) in paths.iter().enumerate() {
        let values: Vec<f64> = samples
            .iter()
            .filter(|(series, _)| series.starts_with(&format!("w{thread}{{")))
            .map(|(_, value)| *value)
            .collect();
        assert!(values.is_empty() || values.len() == SERIES, "{} series of {path}", values.len());
        assert!(values.windows(2).all(|pair| pair[0] == pair[1]), "{values:?} of {path}");
    }
}

#[test]
fn what_is_not_enabled_is_not_there() {
    let server = Server::start(&[]);
    push_by_all_doors(&server);
    let page = server.page();
    for path in ["/api/v1/admin/wipe", "/api/v1/admin/delete_series?match[]=c", "/api/v1/admin/import-pushgateway"] {
        assert_eq!(server.put(path, "").0, 404, "{path}");
        assert_eq!(server.push(path, "").0, 404, "{path}");
    }
    for path in ["/-/quit", "/-/reload"] {
        assert_eq!(server.put(path, ""), (403, "Lifecycle API is not enabled.\n".to_owned()), "{path}");
        assert_eq!(server.push(path, "").0, 403, "{path}");
        assert_eq!(server.get(path).0, 405, "{path}");
    }
    assert_eq!(server.page(), page);
}

#[test]
fn the_server_ends_when_asked_to() {
    for method in ["PUT", "POST"] {
        let server = Server::start(&["--web.enable-lifecycle"]);
        let answer = if method == "PUT" { server.put("/-/quit", "") } else { server.push("/-/quit", "") };
        assert_eq!(answer, (200, "Requesting termination... Goodbye!\n".to_owned()));
        eventually("nobody listens", || TcpStream::connect(server.address).is_err());
        assert_eq!(server.stop(), Ok(()));
    }
}

#[test]
fn rules_are_read_anew_on_request() {
    let file = ConfigFile::new("[[rule]]\nmatch = \"g\"\ngauge = \"max\"\n");
    let server = file.start(&["--web.enable-lifecycle"]);
    let shown_after = |pushed: [&str; 2]| {
        for value in pushed {
            server.push_ok("/metrics", format!("# TYPE g gauge\ng {value}\n"));
        }
        server.samples()["g"]
    };
    assert_eq!(shown_after(["5", "3"]), 5.0);
    file.write("[[rule]]\nmatch = \"g\"\ngauge = \"min\"\n");
    assert_eq!(shown_after(["5", "3"]), 5.0, "not before it is asked for");
    assert_eq!(server.push("/-/reload", ""), (200, String::new()));
    assert_eq!(shown_after(["4", "6"]), 4.0, "another policy begins anew");

    let bad = [
        ("[[rule]]\nmatch = \"g\"\ngauge = \"most\"\n", "rule 1, gauge"),
        ("[[rule]]\nmatch = \"g\"\n[[rule]]\ngauge = \"max\"\n", "rule 2, match"),
        ("[[rule]]\nmatch = \"g\"\nttl = \"0s\"\n", "rule 1, ttl"),
        ("[[rule]]\nmatch = \"g\"\ncolour = \"blue\"\n", "rule 1, colour"),
        ("[[rule]]\nmatch = \"g\"\ndrop_labels = [\"a\"]\nkeep_labels = [\"b\"]\n", "both"),
        ("no-such-setting = 1\n", "no-such-setting"),
        ("this is no TOML\n", file.path()),
    ];
    for (text, why) in bad {
        file.write(text);
        let (status, line) = server.put("/-/reload", "");
        assert_eq!(status, 500, "{text}");
        assert!(line.starts_with("the rules stay as they were: ") && line.contains(why), "{text}: {line}");
        assert!(line.contains(file.path()), "{text}: {line}");
    }
    assert_eq!(shown_after(["2", "9"]), 2.0, "the old rules stay");

    file.write("[[rule]]\nmatch = \"g\"\ndrop = true\n");
    assert_eq!(server.put("/-/reload", "").0, 200);
    assert_eq!(shown_after(["1", "1"]), 2.0, "dropped");
    file.write("");
    assert_eq!(server.put("/-/reload", "").0, 200);
    assert_eq!(shown_after(["1", "8"]), 8.0, "no rules");
}

#[test]
fn without_a_file_there_is_nothing_to_read_anew() {
    let server = Server::start(&["--web.enable-lifecycle"]);
    assert_refused(server.put("/-/reload", ""), 500, "there is no configuration file", "no file");
}

#[test]
fn who_may_not_push_may_not_remove_or_end_either() {
    let flags = ["--push-user", "a=1", "--web.enable-admin-api", "--web.enable-lifecycle"];
    let server = Server::start(&flags);
    let paths = [
        "/metrics",
        "/api/v1/admin/wipe",
        "/api/v1/admin/delete_series?match[]=x",
        "/api/v1/admin/import-pushgateway",
        "/-/reload",
        "/-/quit",
    ];
    for path in paths {
        assert_eq!(server.put(path, "").0, 401, "{path}");
    }
    assert_eq!(server.delete("/metrics/job/a").0, 401);
    assert_eq!(server.get("/-/ready").0, 200);
    for (path, is_granted) in [("/metrics", true), ("/-/quit", false), ("/api/v1/admin/wipe", false)] {
        let request = format!(
            "OPTIONS {path} HTTP/1.1\r\nHost: test\r\nOrigin: http://evil\r\nAccess-Control-Request-Method: PUT\r\n\
             Connection: close\r\n\r\n"
        );
        let answer = server.raw(request.as_bytes()).to_ascii_lowercase();
        assert_eq!(answer.contains("access-control-allow-origin"), is_granted, "{path}: {answer}");
    }
}
