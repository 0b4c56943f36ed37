//! Each preset beside the documents and the tests of the system that it stands for. Where Catchment differs on purpose, the case
//! says so.

#![allow(clippy::expect_used, clippy::panic, reason = "a test stops at its first fault")]

mod common;

use common::story::assert_refused;
use common::wire::{self, Answer};
use common::{ConfigFile, Server, eventually};

/// A gauge, a counter and a histogram, as two pushers have them. The histograms contradict themselves: `+Inf` and count differ.
const IN1: &str = "# HELP gauge A gauge\n# TYPE gauge gauge\ngauge 42\n# HELP counter A counter\n# TYPE counter counter\n\
    counter 31\n# HELP histogram A histogram\n# TYPE histogram histogram\nhistogram_bucket{le=\"1\"} 0\n\
    histogram_bucket{le=\"2\"} 0\nhistogram_bucket{le=\"3\"} 3\nhistogram_bucket{le=\"4\"} 4\nhistogram_bucket{le=\"5\"} 4\n\
    histogram_bucket{le=\"6\"} 4\nhistogram_bucket{le=\"7\"} 4\nhistogram_bucket{le=\"8\"} 4\nhistogram_bucket{le=\"9\"} 4\n\
    histogram_bucket{le=\"10\"} 4\nhistogram_bucket{le=\"+Inf\"} 4\nhistogram_sum{} 2.5\nhistogram_count{} 1\n";
const IN2: &str = "# HELP gauge A gauge\n# TYPE gauge gauge\ngauge 57\n# HELP counter A counter\n# TYPE counter counter\n\
    counter 29\n# HELP histogram A histogram\n# TYPE histogram histogram\nhistogram_bucket{le=\"1\"} 0\n\
    histogram_bucket{le=\"2\"} 0\nhistogram_bucket{le=\"3\"} 0\nhistogram_bucket{le=\"4\"} 4\nhistogram_bucket{le=\"5\"} 5\n\
    histogram_bucket{le=\"6\"} 5\nhistogram_bucket{le=\"7\"} 5\nhistogram_bucket{le=\"8\"} 5\nhistogram_bucket{le=\"9\"} 5\n\
    histogram_bucket{le=\"10\"} 5\nhistogram_bucket{le=\"+Inf\"} 5\nhistogram_sum 4.5\nhistogram_count 1\n";
/// Both together, gauges added.
const WANT: &str = "# HELP counter A counter\n# TYPE counter counter\ncounter 60\n# HELP gauge A gauge\n# TYPE gauge gauge\n\
    gauge 99\n# HELP histogram A histogram\n# TYPE histogram histogram\nhistogram_bucket{le=\"1\"} 0\n\
    histogram_bucket{le=\"2\"} 0\nhistogram_bucket{le=\"3\"} 3\nhistogram_bucket{le=\"4\"} 8\nhistogram_bucket{le=\"5\"} 9\n\
    histogram_bucket{le=\"6\"} 9\nhistogram_bucket{le=\"7\"} 9\nhistogram_bucket{le=\"8\"} 9\nhistogram_bucket{le=\"9\"} 9\n\
    histogram_bucket{le=\"10\"} 9\nhistogram_bucket{le=\"+Inf\"} 9\nhistogram_sum 7\nhistogram_count 2\n";
/// The gauge's part of it.
const WANTED_GAUGE: &str = "# HELP gauge A gauge\n# TYPE gauge gauge\ngauge 99\n";

const ML1: &str = "# HELP counter A counter\n# TYPE counter counter\ncounter{a=\"a\",b=\"b\"} 1\n";
const ML2: &str = "# HELP counter A counter\n# TYPE counter counter\ncounter{a=\"a\",b=\"b\"} 2\n";
const RL1: &str = ML1;
const RL2: &str = "# HELP counter A counter\n# TYPE counter counter\ncounter{b=\"b\",a=\"a\"} 2\n";
const ML_WANT: &str = "# HELP counter A counter\n# TYPE counter counter\ncounter{a=\"a\",b=\"b\"} 3\n";

const LF1: &str = "# HELP ui_page_render_errors A counter\n# TYPE ui_page_render_errors counter\n\
    ui_page_render_errors{path=\"/org/:orgId\"} 1\nui_page_render_errors{path=\"/prom/:orgId\"} 1\n";
const LF2: &str = "# HELP ui_page_render_errors A counter\n# TYPE ui_page_render_errors counter\n\
    ui_page_render_errors{path=\"/prom/:orgId\"} 1\n";
const LF_WANT: &str = "# HELP ui_page_render_errors A counter\n# TYPE ui_page_render_errors counter\n\
    ui_page_render_errors{path=\"/org/:orgId\"} 1\nui_page_render_errors{path=\"/prom/:orgId\"} 2\n";

const GA: &str = "# HELP ui_external_lib_loaded A gauge\n# TYPE ui_external_lib_loaded gauge\n\
    ui_external_lib_loaded{name=\"ga\",loaded=\"true\"} 1\nui_external_lib_loaded{name=\"Intercom\",loaded=\"true\"} 1\n\
    ui_external_lib_loaded{name=\"mixpanel\",loaded=\"true\"} 1\n";
const GA_WANT_ONE: &str = "# HELP ui_external_lib_loaded A gauge\n# TYPE ui_external_lib_loaded gauge\n\
    ui_external_lib_loaded{loaded=\"true\",name=\"Intercom\"} 1\nui_external_lib_loaded{loaded=\"true\",name=\"ga\"} 1\n\
    ui_external_lib_loaded{loaded=\"true\",name=\"mixpanel\"} 1\n";
const GA_WANT_TWO: &str = "# HELP ui_external_lib_loaded A gauge\n# TYPE ui_external_lib_loaded gauge\n\
    ui_external_lib_loaded{loaded=\"true\",name=\"Intercom\"} 2\nui_external_lib_loaded{loaded=\"true\",name=\"ga\"} 2\n\
    ui_external_lib_loaded{loaded=\"true\",name=\"mixpanel\"} 2\n";

const DUP: &str = "# HELP ui_external_lib_loaded A gauge\n# TYPE ui_external_lib_loaded gauge\n\
    ui_external_lib_loaded{name=\"Munchkin\",loaded=\"true\"} 15171\n\
    ui_external_lib_loaded{name=\"Munchkin\",loaded=\"true\"} 1\n";

const SUM: &str = "# HELP time_ms A summary\n# TYPE time_ms summary\ntime_ms_sum{a=\"a\",b=\"b\"} 12.25\n\
    time_ms_count{a=\"a\",b=\"b\"} 1.0\n";

/// The example of the aggregation gateways' documents.
const EXAMPLE: &str = "http_requests_total{method=\"post\",code=\"200\"} 1027\n";

/// Pushes with their paths, and the page they must give.
struct Case {
    what: &'static str,
    pushes: &'static [(&'static str, &'static str)],
    page: &'static str,
}

/// Each on a server of its own, where every push must be answered with this status.
#[track_caller]
fn check(flags: &[&str], status: u16, cases: &[Case]) {
    for case in cases {
        let server = Server::start(flags);
        for (path, body) in case.pushes {
            assert_eq!(server.push(path, body), (status, String::new()), "{}", case.what);
        }
        assert_eq!(server.page(), case.page, "{}", case.what);
    }
}

#[track_caller]
fn check_that_a_duplicate_is_refused(flags: &[&str], status: u16, path: &str, series: &str) {
    let server = Server::start(flags);
    // On purpose not in the words of the original, which names no line.
    let line = format!("line 4: expected each series once in a push, got {series} again");
    assert_refused(server.push(path, DUP), 400, &line, series);
    assert_eq!(server.push(path, ""), (status, String::new()), "an empty push is none to refuse");
    assert_eq!(server.page(), "");
}

#[test]
fn weaveworks() {
    const FLAGS: &[&str] = &["--preset", "weaveworks"];
    const PATH: &str = "/metrics/";
    check(
        FLAGS,
        200,
        &[
            Case { what: "W1: gauges are added", pushes: &[(PATH, GA), (PATH, GA)], page: GA_WANT_TWO },
            Case { what: "W2: every kind", pushes: &[(PATH, IN1), (PATH, IN2)], page: WANT },
            Case { what: "W3: several labels", pushes: &[(PATH, ML1), (PATH, ML2)], page: ML_WANT },
            Case { what: "W4: label values of some series", pushes: &[(PATH, LF1), (PATH, LF2)], page: LF_WANT },
            Case { what: "W6: labels in another order", pushes: &[(PATH, RL1), (PATH, RL2)], page: ML_WANT },
            Case {
                what: "the example of the document",
                pushes: &[(PATH, EXAMPLE), (PATH, EXAMPLE)],
                page: "# TYPE http_requests_total untyped\nhttp_requests_total{code=\"200\",method=\"post\"} 2054\n",
            },
            Case {
                what: "path labels are ignored",
                pushes: &[("/metrics/job/x", "a 1\n"), ("/metrics/job/y/zone/z", "a 2\n")],
                page: "# TYPE a untyped\na 3\n",
            },
            Case {
                what: "on purpose different: summaries are discarded from the first push on, and never break the page",
                pushes: &[(PATH, SUM), (PATH, SUM), (PATH, "a 1\n")],
                page: "# TYPE a untyped\na 1\n",
            },
            Case {
                what: "on purpose different: buckets with other bounds stay cumulative",
                pushes: &[
                    (PATH, "# TYPE h histogram\nh_bucket{le=\"1\"} 10\nh_bucket{le=\"+Inf\"} 10\n"),
                    (PATH, "# TYPE h histogram\nh_bucket{le=\"2\"} 1\nh_bucket{le=\"+Inf\"} 1\n"),
                ],
                page: "# TYPE h histogram\nh_bucket{le=\"1\"} 10\nh_bucket{le=\"2\"} 11\nh_bucket{le=\"+Inf\"} 11\n",
            },
        ],
    );
    // W5
    let series = "ui_external_lib_loaded{loaded=\"true\",name=\"Munchkin\"}";
    check_that_a_duplicate_is_refused(FLAGS, 200, PATH, series);
    let server = Server::start(&["--preset", "weaveworks", "-cors", "https://a.example", "-push-path", "/metrics/"]);
    assert_eq!(server.put(PATH, "a 1\n"), (200, String::new()), "any method pushes");
    assert_eq!(server.get("/-/healthy").0, 200);
    assert_eq!(server.get("/-/ready").0, 200);
}

#[test]
fn by_job() {
    const ON: &[&str] = &["--preset", "by-job", "-by-job"];
    const J1: &str = "/metrics/job/j1";
    const J2: &str = "/metrics/job/j2";
    check(
        ON,
        200,
        &[
            Case { what: "T2: a job's push overwrites its last one", pushes: &[(J1, GA), (J1, GA)], page: GA_WANT_ONE },
            Case { what: "T3: jobs are added, without a label", pushes: &[(J1, GA), (J2, GA)], page: GA_WANT_TWO },
            Case { what: "every kind, of two jobs", pushes: &[(J1, IN1), (J2, IN2)], page: WANT },
            Case {
                what: "further labels of the path are ignored",
                pushes: &[("/metrics/job/j1/instance/a", "a 1\n"), ("/metrics/job/j1/instance/b", "a 2\n")],
                page: "# TYPE a untyped\na 2\n",
            },
            Case {
                what: "series that a later push does not carry stay",
                pushes: &[(J1, "a 1\nb 1\n"), (J1, "a 2\n")],
                page: "# TYPE a untyped\na 2\n# TYPE b untyped\nb 1\n",
            },
            Case {
                what: "the example of the document, by two jobs",
                pushes: &[(J1, EXAMPLE), (J1, EXAMPLE), (J2, EXAMPLE)],
                page: "# TYPE http_requests_total untyped\nhttp_requests_total{code=\"200\",method=\"post\"} 2054\n",
            },
            Case {
                what: "on purpose different: a counter that begins again goes on from where it was",
                pushes: &[(J1, "# TYPE a counter\na 5\n"), (J1, "# TYPE a counter\na 2\n")],
                page: "# TYPE a counter\na 7\n",
            },
            Case {
                what: "on purpose different: summaries are discarded from the first push on",
                pushes: &[(J1, SUM), (J2, SUM)],
                page: "",
            },
        ],
    );
    // T4
    let server = Server::start(&["--preset", "by-job", "-by-job", "-job-prune-duration", "300ms"]);
    assert_eq!(server.push(J1, IN1).0, 200);
    assert_eq!(server.push(J2, IN2).0, 200);
    let without_gauge = WANT.replace(WANTED_GAUGE, "");
    eventually("gauges of jobs that push no more leave", || server.page() == without_gauge);
    // On purpose different: a kind that contradicts another job's is refused, where the original broke the page.
    let server = Server::start(ON);
    assert_eq!(server.push(J1, "# TYPE a counter\na 1\n").0, 200);
    assert_refused(server.push(J2, "# TYPE a gauge\na 1\n"), 400, "expected TYPE counter for a, got gauge", "kinds");
}

#[test]
fn by_job_when_it_is_off() {
    const OFF: &[&str] = &["--preset", "by-job", "-by-job=false", "-job-prune-duration=10ms"];
    const J1: &str = "/metrics/job/j1";
    check(
        OFF,
        200,
        &[
            Case { what: "T1: gauges are added", pushes: &[(J1, GA), (J1, GA)], page: GA_WANT_TWO },
            Case {
                what: "T5: every kind; on purpose different: gauges stay, however old they are",
                pushes: &[(J1, IN1), (J1, IN2)],
                page: WANT,
            },
            Case { what: "T6: every kind of two jobs", pushes: &[(J1, IN1), ("/metrics/job/j2", IN2)], page: WANT },
            Case { what: "T7: several labels", pushes: &[(J1, ML1), (J1, ML2)], page: ML_WANT },
            Case { what: "T8: label values of some series", pushes: &[(J1, LF1), (J1, LF2)], page: LF_WANT },
            Case { what: "T10: labels in another order", pushes: &[(J1, RL1), (J1, RL2)], page: ML_WANT },
        ],
    );
    // T9
    let series = "ui_external_lib_loaded{loaded=\"true\",name=\"Munchkin\"}";
    check_that_a_duplicate_is_refused(OFF, 200, J1, series);
}

#[test]
fn gauges_last() {
    const FLAGS: &[&str] = &["--preset", "gauges-last"];
    check(
        FLAGS,
        200,
        &[
            Case {
                what: "the example of the document: counters are added",
                pushes: &[("/metrics/", EXAMPLE), ("/metrics/", EXAMPLE)],
                page: "# TYPE http_requests_total untyped\nhttp_requests_total{code=\"200\",method=\"post\"} 2054\n",
            },
            Case {
                what: "of gauges the last stays",
                pushes: &[
                    ("/metrics/", IN1),
                    (
                        "/metrics/",
                        "# TYPE gauge gauge\ngauge 7\n# TYPE counter counter\ncounter 1\n# TYPE histogram histogram\n",
                    ),
                ],
                page: "# HELP counter A counter\n# TYPE counter counter\ncounter 32\n# HELP gauge A gauge\n# TYPE gauge gauge\n\
                       gauge 7\n# HELP histogram A histogram\n# TYPE histogram histogram\nhistogram_bucket{le=\"1\"} 0\n\
                       histogram_bucket{le=\"2\"} 0\nhistogram_bucket{le=\"3\"} 3\nhistogram_bucket{le=\"4\"} 4\n\
                       histogram_bucket{le=\"5\"} 4\nhistogram_bucket{le=\"6\"} 4\nhistogram_bucket{le=\"7\"} 4\n\
                       histogram_bucket{le=\"8\"} 4\nhistogram_bucket{le=\"9\"} 4\nhistogram_bucket{le=\"10\"} 4\n\
                       histogram_bucket{le=\"+Inf\"} 4\nhistogram_sum 2.5\nhistogram_count 1\n",
            },
            Case {
                what: "buckets with other bounds: the union; on purpose different: cumulative",
                pushes: &[
                    (
                        "/metrics/",
                        "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"5\"} 3\nh_bucket{le=\"+Inf\"} 4\n",
                    ),
                    ("/metrics/", "# TYPE h histogram\nh_bucket{le=\"2\"} 2\nh_bucket{le=\"+Inf\"} 2\n"),
                ],
                page: "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"2\"} 3\nh_bucket{le=\"5\"} 5\n\
                       h_bucket{le=\"+Inf\"} 6\n",
            },
            Case {
                what: "summaries are discarded",
                pushes: &[("/metrics/", SUM), ("/metrics/", "a 1\n")],
                page: "# TYPE a untyped\na 1\n",
            },
            Case {
                what: "the job is added",
                pushes: &[("/metrics/job/my_job_name", "# TYPE some_counter counter\nsome_counter 1\n")],
                page: "# TYPE some_counter counter\nsome_counter{job=\"my_job_name\"} 1\n",
            },
        ],
    );
}

#[test]
fn zapier() {
    const FLAGS: &[&str] = &["--preset", "zapier"];
    const PATH: &str = "/metrics/job/test";
    check(
        FLAGS,
        202,
        &[
            Case {
                what: "Z1: gauges are added",
                pushes: &[(PATH, GA), (PATH, GA)],
                page: "# HELP ui_external_lib_loaded A gauge\n# TYPE ui_external_lib_loaded gauge\n\
                       ui_external_lib_loaded{job=\"test\",loaded=\"true\",name=\"Intercom\"} 2\n\
                       ui_external_lib_loaded{job=\"test\",loaded=\"true\",name=\"ga\"} 2\n\
                       ui_external_lib_loaded{job=\"test\",loaded=\"true\",name=\"mixpanel\"} 2\n",
            },
            Case {
                what: "Z4: label values of some series",
                pushes: &[(PATH, LF1), (PATH, LF2)],
                page: "# HELP ui_page_render_errors A counter\n# TYPE ui_page_render_errors counter\n\
                       ui_page_render_errors{job=\"test\",path=\"/org/:orgId\"} 1\n\
                       ui_page_render_errors{job=\"test\",path=\"/prom/:orgId\"} 2\n",
            },
            Case {
                what: "Z5: labels in another order",
                pushes: &[(PATH, RL1), (PATH, RL2)],
                page: "# HELP counter A counter\n# TYPE counter counter\ncounter{a=\"a\",b=\"b\",job=\"test\"} 3\n",
            },
            Case {
                what: "Z7: sum and count of summaries are added",
                pushes: &[(PATH, SUM), (PATH, SUM)],
                page: "# HELP time_ms A summary\n# TYPE time_ms summary\ntime_ms_sum{a=\"a\",b=\"b\",job=\"test\"} 24.5\n\
                       time_ms_count{a=\"a\",b=\"b\",job=\"test\"} 2\n",
            },
            Case {
                what: "R1: labels of the path",
                pushes: &[("/metrics/label1/value1/label2/value2", "some_counter 1\n")],
                page: "# TYPE some_counter untyped\nsome_counter{label1=\"value1\",label2=\"value2\"} 1\n",
            },
            Case {
                what: "R2: a job",
                pushes: &[("/metrics/job/someJob", "some_counter 1\n")],
                page: "# TYPE some_counter untyped\nsome_counter{job=\"someJob\"} 1\n",
            },
            Case {
                what: "R3 and R4: no labels",
                pushes: &[("/metrics", "some_counter 1\n"), ("/metrics/", " some_counter 1\n")],
                page: "# TYPE some_counter untyped\nsome_counter 2\n",
            },
            Case {
                what: "on purpose different: a label of the path wins over the body's, which was refused",
                pushes: &[(PATH, "a{job=\"body\"} 1\n")],
                page: "# TYPE a untyped\na{job=\"test\"} 1\n",
            },
        ],
    );
    // Z2: the label is on every line, before le.
    let server = Server::start(FLAGS);
    for body in [IN1, IN2] {
        assert_eq!(server.put(PATH, body), (202, String::new()));
    }
    let with_job = |line: &str| match line.split_once(' ') {
        Some(("#", _)) | None => line.to_owned(),
        Some((series, value)) => match series.split_once('{') {
            Some((name, labels)) => format!("{name}{{job=\"test\",{labels} {value}"),
            None => format!("{series}{{job=\"test\"}} {value}"),
        },
    };
    let want: String = WANT.lines().map(|line| with_job(line) + "\n").collect();
    assert_eq!(server.page(), want);
    // Z8
    let series = "ui_external_lib_loaded{job=\"test\",loaded=\"true\",name=\"Munchkin\"}";
    check_that_a_duplicate_is_refused(FLAGS, 202, PATH, series);
    // R5, on purpose different: a label that stands twice in the path would be on the page twice.
    let server = Server::start(FLAGS);
    let answer = server.put("/metrics/testing/one/testing/two/testing/three", " some_counter 1\n");
    assert_refused(answer, 400, "expected each label once, got testing twice in the path", "R5");
    assert_eq!(server.push("/metrics/testing", "some_counter 1\n").0, 400);
    assert_eq!(server.page(), "");
}

/// Labels to be ignored could be set in the code of the original alone; here a rule says it.
#[test]
fn zapier_with_ignored_labels() {
    let file = ConfigFile::new("[[rule]]\nmatch = \"*\"\ndrop_labels = [\"ignore_label\", \"ignore_me\"]\n");
    let with_file = ["--preset", "zapier", "--config", file.path()];
    check(
        &with_file,
        202,
        &[
            Case {
                what: "Z3: one label",
                pushes: &[
                    (
                        "/metrics/job/test",
                        "# TYPE counter counter\ncounter{a=\"a\",b=\"b\", ignore_label=\"ignore_value\"} 1\n",
                    ),
                    (
                        "/metrics/job/test",
                        "# TYPE counter counter\ncounter{a=\"a\",b=\"b\", ignore_label=\"ignore_value\"} 2\n",
                    ),
                ],
                page: "# TYPE counter counter\ncounter{a=\"a\",b=\"b\",job=\"test\"} 3\n",
            },
            Case {
                what: "Z6: in any order",
                pushes: &[
                    ("/metrics/job/test", "# TYPE counter counter\ncounter{a=\"a\",b=\"b\",ignore_me=\"1\"} 1\n"),
                    ("/metrics/job/test", "# TYPE counter counter\ncounter{ignore_me=\"2\",b=\"b\",a=\"a\"} 2\n"),
                ],
                page: "# TYPE counter counter\ncounter{a=\"a\",b=\"b\",job=\"test\"} 3\n",
            },
            Case {
                what: "labels are in order; the path's are among them",
                pushes: &[("/metrics/job/test/thing3/value3", "c{thing2=\"2\",ignore_me=\"x\",thing1=\"1\"} 1\n")],
                page: "# TYPE c untyped\nc{job=\"test\",thing1=\"1\",thing2=\"2\",thing3=\"value3\"} 1\n",
            },
            Case {
                what: "on purpose different: series that differ in an ignored label alone are added, not refused",
                pushes: &[("/metrics", "c{ignore_me=\"1\"} 1\nc{ignore_me=\"2\"} 2\n")],
                page: "# TYPE c untyped\nc 3\n",
            },
        ],
    );
}

#[test]
fn zapier_with_users() {
    const RIGHT: (&str, &str) = ("Authorization", "Basic dXNlcjpwYXNzd29yZA==");
    const WRONG: (&str, &str) = ("Authorization", "Basic dXNlcjp3cm9uZw==");
    let flags = ["--preset", "zapier", "--AuthUsers", "user=password,other=secret"];
    let cases = [
        ("A1: the right password", &[RIGHT][..], 202, "# TYPE some_counter untyped\nsome_counter 1\n"),
        ("A2: the wrong password", &[WRONG], 401, ""),
        (
            "another user",
            &[("Authorization", "Basic b3RoZXI6c2VjcmV0")],
            202,
            "# TYPE some_counter untyped\nsome_counter 1\n",
        ),
        ("nobody", &[], 401, ""),
    ];
    for (what, headers, status, page) in cases {
        let server = Server::start(&flags);
        assert_eq!(server.push_with("/metrics", headers, b"some_counter 1\n").status, status, "{what}");
        assert_eq!(server.page(), page, "{what}: who reads needs no password");
    }
    let server = Server::start(&flags);
    for door in ["aggregate", "source", "replace"] {
        let path = format!("/{door}/metrics/job/a");
        assert_eq!(server.push(&path, "x 1\n").0, 401, "{door}");
        assert_eq!(server.put(&path, "x 1\n").0, 401, "{door}");
        assert_eq!(server.delete(&path).0, 401, "{door}");
    }
}

/// A request from a page of `origin`.
fn from_origin(server: &Server, method: &str, origin: &str) -> Answer {
    let request = format!(
        "{method} /metrics HTTP/1.1\r\nHost: test\r\nOrigin: {origin}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
    Answer::read(&wire::exchange(server.address, request.as_bytes()))
}

#[test]
fn zapier_with_browsers() {
    const ALLOWED: &str = "Access-Control-Allow-Origin";
    let server = Server::start(&["--preset", "zapier", "--cors", "*"]);
    for (method, status) in [("GET", 200), ("PUT", 202)] {
        let answer = from_origin(&server, method, "http://a.example");
        assert_eq!((answer.status, answer.header(ALLOWED)), (status, Some("*")), "C1 and C2: {method}");
    }
    let server = Server::start(&["--preset", "zapier", "--cors", "https://b.example"]);
    for method in ["GET", "PUT"] {
        // C3 and C4: no page of another origin gets to see the answer. On purpose different: that is the browser's to enforce,
        // and who is no browser is answered.
        assert_eq!(from_origin(&server, method, "http://a.example").header(ALLOWED), None, "{method}");
        assert_eq!(
            from_origin(&server, method, "https://b.example").header(ALLOWED),
            Some("https://b.example"),
            "{method}"
        );
    }
}

#[test]
fn zapier_tells_its_health_on_a_second_address() {
    let server = Server::start_with_telemetry(&["--preset", "zapier"]);
    let ask = |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        Answer::read(&wire::exchange(server.telemetry.expect("its address"), request.as_bytes()))
    };
    // H1
    let health = ask("/healthy");
    assert_eq!((health.status, health.header("Content-Type")), (200, Some("application/json")));
    assert!(health.body.contains("\"alive\":true"), "{}", health.body);
    assert_eq!(ask("/ready").status, 200);
    assert!(ask("/metrics").body.contains("catchment_pushes_total"));
    assert_eq!(ask("/nothing").status, 404);
}

#[test]
fn gravel() {
    const FLAGS: &[&str] = &["--preset", "gravel"];
    const PATH: &str = "/metrics";
    check(
        FLAGS,
        200,
        &[
            Case {
                what: "without a mode: counters are added, gauges replaced",
                pushes: &[
                    (PATH, "# TYPE a_total counter\na_total 1\n# TYPE g gauge\ng 1\nu 1\n"),
                    (PATH, "# TYPE a_total counter\na_total 3\n# TYPE g gauge\ng 3\nu 2\n"),
                ],
                page: "# TYPE a_total counter\na_total 4\n# TYPE g gauge\ng 3\n# TYPE u untyped\nu 3\n",
            },
            Case {
                what: "sum and aggregate add, gauges too",
                pushes: &[
                    (
                        PATH,
                        "# TYPE g gauge\ng{clearmode=\"sum\",a=\"1\"} 1\ng{clearmode=\"aggregate\",a=\"2\"} 1\n# TYPE c_total counter\nc_total{clearmode=\"aggregate\"} 1\n",
                    ),
                    (
                        PATH,
                        "# TYPE g gauge\ng{a=\"1\",clearmode=\"sum\"} 2\ng{a=\"2\",clearmode=\"aggregate\"} 2\n# TYPE c_total counter\nc_total{clearmode=\"sum\"} 3\n",
                    ),
                ],
                page: "# TYPE c_total counter\nc_total 4\n# TYPE g gauge\ng{a=\"1\"} 3\ng{a=\"2\"} 3\n",
            },
            Case {
                what: "replace keeps the last, of counters too",
                pushes: &[
                    (
                        PATH,
                        "# TYPE c_total counter\nc_total{clearmode=\"replace\"} 5\nu{clearmode=\"replace\"} 5\n# TYPE g gauge\ng{clearmode=\"replace\"} 5\n",
                    ),
                    (
                        PATH,
                        "# TYPE c_total counter\nc_total{clearmode=\"replace\"} 2\nu{clearmode=\"replace\"} 2\n# TYPE g gauge\ng{clearmode=\"replace\"} 2\n",
                    ),
                ],
                page: "# TYPE c_total counter\nc_total 2\n# TYPE g gauge\ng 2\n# TYPE u untyped\nu 2\n",
            },
            Case {
                what: "family replaces the whole family, and leaves others",
                pushes: &[
                    (
                        PATH,
                        "# TYPE version gauge\nversion{version=\"1\",clearmode=\"family\"} 1\n# TYPE g gauge\ng{a=\"1\"} 1\n",
                    ),
                    (
                        PATH,
                        "# TYPE version gauge\nversion{version=\"2\",clearmode=\"family\"} 1\n# TYPE g gauge\ng{a=\"2\"} 1\n",
                    ),
                ],
                page: "# TYPE g gauge\ng{a=\"1\"} 1\ng{a=\"2\"} 1\n# TYPE version gauge\nversion{version=\"2\"} 1\n",
            },
            Case {
                what: "info, its other name, with several series",
                pushes: &[
                    (
                        PATH,
                        "# TYPE build gauge\nbuild{v=\"1\",clearmode=\"info\"} 1\nbuild{v=\"2\",clearmode=\"info\"} 1\n",
                    ),
                    (
                        PATH,
                        "# TYPE build gauge\nbuild{v=\"2\",clearmode=\"info\"} 7\nbuild{v=\"3\",clearmode=\"info\"} 1\n",
                    ),
                ],
                page: "# TYPE build gauge\nbuild{v=\"2\"} 7\nbuild{v=\"3\"} 1\n",
            },
            Case {
                what: "windows: mean, sum, min and max of what came within",
                pushes: &[
                    (
                        PATH,
                        "# TYPE g gauge\ng{m=\"mean\",clearmode=\"mean5m\"} 2\ng{m=\"sum\",clearmode=\"sum5m\"} 2\ng{m=\"min\",clearmode=\"min5m\"} 2\ng{m=\"max\",clearmode=\"max1h\"} 2\n",
                    ),
                    (
                        PATH,
                        "# TYPE g gauge\ng{m=\"mean\",clearmode=\"mean5m\"} 4\ng{m=\"sum\",clearmode=\"sum5m\"} 4\ng{m=\"min\",clearmode=\"min5m\"} 4\ng{m=\"max\",clearmode=\"max1h\"} 4\n",
                    ),
                    (
                        PATH,
                        "# TYPE g gauge\ng{m=\"mean\",clearmode=\"mean5m\"} 3\ng{m=\"sum\",clearmode=\"sum5m\"} 3\ng{m=\"min\",clearmode=\"min5m\"} 3\ng{m=\"max\",clearmode=\"max1h\"} 3\n",
                    ),
                ],
                page: "# TYPE g gauge\ng{m=\"max\"} 4\ng{m=\"mean\"} 3\ng{m=\"min\"} 2\ng{m=\"sum\"} 9\n",
            },
            Case {
                what: "min and max with the window that is set; what gravel does not have",
                pushes: &[
                    (PATH, "# TYPE g gauge\ng{m=\"min\",clearmode=\"min\"} 2\ng{m=\"max\",clearmode=\"max\"} 2\n"),
                    (PATH, "# TYPE g gauge\ng{m=\"min\",clearmode=\"min\"} 4\ng{m=\"max\",clearmode=\"max\"} 1\n"),
                ],
                page: "# TYPE g gauge\ng{m=\"max\"} 2\ng{m=\"min\"} 2\n",
            },
            Case {
                what: "a mean after a plain gauge, which ended the original",
                pushes: &[
                    (PATH, "# TYPE g gauge\ng 5\n"),
                    (PATH, "# TYPE g gauge\ng{clearmode=\"mean5m\"} 2\n"),
                    (PATH, "# TYPE g gauge\ng{clearmode=\"mean5m\"} 4\n"),
                ],
                page: "# TYPE g gauge\ng 3\n",
            },
            Case {
                what: "a series that joins a family of means later, pushed twice, which ended the original",
                pushes: &[
                    (PATH, "# TYPE g gauge\ng{a=\"1\",clearmode=\"mean5m\"} 2\n"),
                    (PATH, "# TYPE g gauge\ng{a=\"2\",clearmode=\"mean5m\"} 2\n"),
                    (PATH, "# TYPE g gauge\ng{a=\"2\",clearmode=\"mean5m\"} 6\n"),
                ],
                page: "# TYPE g gauge\ng{a=\"1\"} 2\ng{a=\"2\"} 4\n",
            },
            Case {
                what: "whole numbers and others",
                pushes: &[
                    (PATH, "# TYPE a_total counter\na_total 0\n"),
                    (PATH, "# TYPE a_total counter\na_total 0.01\n"),
                ],
                page: "# TYPE a_total counter\na_total 0.01\n",
            },
            Case {
                what: "labels of the path are decoded, and win",
                pushes: &[("/metrics/job/a%20b%2Fc", "# TYPE g gauge\ng{job=\"body\"} 1\n")],
                page: "# TYPE g gauge\ng{job=\"a b/c\"} 1\n",
            },
            Case {
                what: "TYPE and HELP without samples",
                pushes: &[(PATH, "# HELP a_total A.\n# TYPE a_total counter\n")],
                page: "",
            },
            Case {
                what: "histograms are added; on purpose different: they stay cumulative when their bounds differ",
                pushes: &[
                    (
                        PATH,
                        "# TYPE h histogram\nh_bucket{le=\"1\"} 10\nh_bucket{le=\"+Inf\"} 10\nh_sum 1\nh_count 10\n",
                    ),
                    (PATH, "# TYPE h histogram\nh_bucket{le=\"2\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n"),
                ],
                page: "# TYPE h histogram\nh_bucket{le=\"1\"} 10\nh_bucket{le=\"2\"} 11\nh_bucket{le=\"+Inf\"} 11\nh_sum 2\nh_count 11\n",
            },
            Case {
                what: "on purpose different, what the original refused: summaries twice, other label names, an empty body, no _total",
                pushes: &[
                    (PATH, SUM),
                    (PATH, SUM),
                    (PATH, ""),
                    (PATH, "# TYPE c counter\nc{a=\"1\"} 1\nc{b=\"1\"} 1\n"),
                ],
                page: "# TYPE c counter\nc{a=\"1\"} 1\nc{b=\"1\"} 1\n# HELP time_ms A summary\n# TYPE time_ms summary\n\
                       time_ms_sum{a=\"a\",b=\"b\"} 24.5\ntime_ms_count{a=\"a\",b=\"b\"} 2\n",
            },
        ],
    );
}

#[test]
fn gravel_refuses_what_makes_no_sense() {
    let server = Server::start(&["--preset", "gravel"]);
    assert_eq!(server.push("/metrics", "# TYPE g gauge\ng 1\n# TYPE a_total counter\na_total 1\n").0, 200);
    let page = server.page();
    let cases = [
        // On purpose different: the original took such a mode for none.
        ("g{clearmode=\"average\"} 2\n", "clearmode"),
        ("g{clearmode=\"\"} 2\ng 2\n", "expected each series once in a push"),
        ("g{clearmode=\"mean5x\"} 2\n", "clearmode"),
        ("g{clearmode=\"mean0s\"} 2\n", "clearmode"),
        ("g 2\ng{clearmode=\"sum\"} 2\n", "expected each series once in a push"),
        ("g{clearmode=\"sum\"} 2\ng{clearmode=\"replace\"} 2\n", "expected each series once in a push"),
        ("# TYPE g counter\ng 1\n", "expected TYPE gauge for g, got counter"),
        ("# TYPE a_total counter\na_total NaN\n", "expected a counter increment of at least 0, got NaN"),
        ("# TYPE a_total counter\na_total -1\n", "expected a counter increment of at least 0, got -1"),
    ];
    for (body, line) in cases {
        assert_refused(server.push("/metrics", format!("b_total 1\n{body}")), 400, line, body);
        assert_eq!(server.page(), page, "{body}");
    }
    // Which ended the original.
    let body = "g{job=\"a\"} 1\ng{job=\"b\"} 1\n";
    assert_refused(server.push("/metrics/job/x", body), 400, "expected each series once in a push", body);
    assert_eq!(server.page(), page);
}

/// A family is replaced as far as everyone shares it.
#[test]
fn gravels_families_leave_other_doors_alone() {
    let server = Server::start(&["--preset", "gravel"]);
    assert_eq!(server.push("/source/metrics/job/s", "# TYPE v gauge\nv{of=\"source\"} 1\n").0, 200);
    assert_eq!(server.push("/replace/metrics/job/r", "# TYPE v gauge\nv{of=\"group\"} 1\n").0, 200);
    assert_eq!(server.push("/metrics", "# TYPE v gauge\nv{of=\"all\"} 1\n").0, 200);
    assert_eq!(server.push("/metrics", "# TYPE v gauge\nv{of=\"now\",clearmode=\"family\"} 1\n").0, 200);
    let samples = server.samples();
    let shown: Vec<&str> = samples.keys().map(String::as_str).filter(|series| series.starts_with("v{")).collect();
    assert_eq!(shown, ["v{instance=\"\",job=\"r\",of=\"group\"}", "v{of=\"now\"}", "v{of=\"source\"}"]);
}

#[test]
fn gravels_windows_end() {
    let server = Server::start(&["--preset", "gravel"]);
    let push = |value: u32| {
        let body = format!("# TYPE g gauge\ng{{clearmode=\"sum1s\"}} {value}\n");
        assert_eq!(server.push("/metrics", body), (200, String::new()));
    };
    push(5);
    eventually("the window ends", || !server.page().contains('g'));
    push(3);
    assert_eq!(server.page(), "# TYPE g gauge\ng 3\n");
}

#[test]
fn torch() {
    let server = Server::start(&["--preset", "torch"]);
    assert_eq!(server.push("/metrics", "# TYPE c counter\nc 1\n"), (200, String::new()));
    // The lifetime of a day is not waited for: a shorter one that is given wins over the preset's.
    let server = Server::start(&["--preset", "torch", "--series-ttl", "200ms"]);
    assert_eq!(server.push("/metrics", "# TYPE c counter\nc 1\n"), (200, String::new()));
    eventually("it leaves", || server.page().is_empty());
}

#[test]
fn pushgateway() {
    let server = Server::start(&["--preset", "pushgateway", "--persistence.interval=5m", "--log.level", "info"]);
    let path = "/metrics/job/some_job/instance/some_instance";
    assert_eq!(server.push("/metrics/job/some_job", "some_metric 3.14\n"), (200, String::new()));
    let body = "# TYPE some_metric counter\nsome_metric{label=\"val1\"} 42\n# TYPE another_metric gauge\n# HELP another_metric Just an example.\nanother_metric 2398.283\n";
    // The document's two examples contradict each other in the type.
    assert_refused(
        server.push(path, body),
        400,
        "pushed metrics are invalid or inconsistent with existing metrics: ",
        body,
    );
    assert_eq!(server.delete("/metrics/job/some_job"), (202, String::new()));
    assert_eq!(server.put(path, body), (200, String::new()));
    let page = "# HELP another_metric Just an example.\n# TYPE another_metric gauge\n\
                another_metric{instance=\"some_instance\",job=\"some_job\"} 2398.283\n# TYPE some_metric counter\n\
                some_metric{instance=\"some_instance\",job=\"some_job\",label=\"val1\"} 42\n";
    assert_eq!(server.page_without_times(), page);
    assert_eq!(server.delete("/metrics/job/some_job"), (202, String::new()), "not the group that has more labels");
    assert_eq!(server.page_without_times(), page);
    assert_eq!(server.delete(path), (202, String::new()));
    assert_eq!(server.page(), "");
    assert_eq!(server.put("/metrics", "x 1\n").0, 405, "a group has a job");
    assert_eq!(server.put("/api/v1/admin/wipe", "").0, 404);
}

#[test]
fn what_is_given_wins_over_the_preset() {
    let server = Server::start(&["--preset", "weaveworks", "--gauges", "last", "--accepted-status", "202"]);
    for value in [1, 2] {
        server.push_ok("/metrics/job/x", format!("# TYPE g gauge\ng {value}\n"));
    }
    assert_eq!(server.page(), "# TYPE g gauge\ng 2\n");
}
