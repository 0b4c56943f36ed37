//! Observations over HTTP, as the clients of Torch and browsers send them.

#![allow(clippy::expect_used, clippy::panic, reason = "a test stops at its first fault")]

mod common;

use common::Server;

const ROUTES: [(&str, &str); 6] = [
    ("/metrics/counter", "counter"),
    ("/metrics/gauge/inc", "gauge"),
    ("/metrics/gauge/dec", "gauge"),
    ("/metrics/gauge/set", "gauge"),
    ("/metrics/summary", "summary"),
    ("/metrics/histogram", "histogram"),
];

/// The two examples of Torch's document, letter by letter.
const BLOB: &str = "\
    {
    \tname: \"The name of the metric\",
    \tdescription: \"The description of the metric\",
    \tlabels: {label1: \"value1\", label2: \"value2\"},
    \tvalue: 1.2
    }
";
const HISTOGRAM_BLOB: &str = "\
    {
    \tname: \"The name of the metric\",
    \tdescription: \"The description of the metric\",
    \tlabels: {label1: \"value1\", label2: \"value2\"},
    \tvalue: 1.2,
    \tbuckets: [1, 2, 3, 5, 8, 13, +Inf]
    }
";

#[track_caller]
fn observe(server: &Server, path: &str, body: &str) {
    assert_eq!(server.push(path, body), (202, String::new()), "{path} {body}");
}

#[test]
fn torchs_example_is_taken_on_every_route() {
    for (path, kind) in ROUTES {
        let server = Server::start(&["--preset", "torch"]);
        for blob in [BLOB, HISTOGRAM_BLOB] {
            assert_eq!(server.push(path, blob), (200, String::new()), "{path}");
        }
        let page = server.page_of("/metrics/");
        assert!(page.starts_with("# HELP The_name_of_the_metric The description of the metric\n"), "{page}");
        assert!(page.contains(&format!("# TYPE The_name_of_the_metric {kind}\n")), "{page}");
        let labels = "label1=\"value1\",label2=\"value2\"";
        let expected = match path {
            "/metrics/counter" | "/metrics/gauge/inc" => format!("The_name_of_the_metric{{{labels}}} 2.4\n"),
            "/metrics/gauge/dec" => format!("The_name_of_the_metric{{{labels}}} -2.4\n"),
            "/metrics/gauge/set" => format!("The_name_of_the_metric{{{labels}}} 1.2\n"),
            _ => format!("The_name_of_the_metric_sum{{{labels}}} 2.4\nThe_name_of_the_metric_count{{{labels}}} 2\n"),
        };
        assert!(page.ends_with(&expected), "{page}");
    }
}

#[test]
fn a_blobs_buckets_are_those_of_its_series() {
    let server = Server::start(&[]);
    observe(&server, "/metrics/histogram", HISTOGRAM_BLOB);
    observe(&server, "/metrics/histogram", BLOB);
    let buckets: Vec<(String, f64)> = server
        .samples()
        .iter()
        .filter_map(|(series, value)| {
            let le = series.split("le=\"").nth(1)?.split('"').next()?;
            Some((le.to_owned(), *value))
        })
        .collect();
    let expected = [("1", 0.0), ("13", 2.0), ("2", 2.0), ("3", 2.0), ("5", 2.0), ("8", 2.0), ("+Inf", 2.0)];
    let mut buckets: Vec<_> = buckets.iter().map(|(le, count)| (le.as_str(), *count)).collect();
    let mut expected = expected.to_vec();
    buckets.sort_by(|one, other| one.0.cmp(other.0));
    expected.sort_by(|one, other| one.0.cmp(other.0));
    assert_eq!(buckets, expected);
}

#[test]
fn observations_and_pushes_meet_in_one_series() {
    let server = Server::start(&[]);
    server.push_ok("/metrics", "# TYPE c counter\nc{a=\"1\"} 2\n# TYPE g gauge\ng 5\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n");
    observe(
        &server,
        "/metrics/counter",
        r#"[{"name":"c","labels":{"a":"1"}},{"name":"c","labels":{"a":"1"},"value":3}]"#,
    );
    observe(&server, "/metrics/gauge/inc", r#"{"name":"g"}"#);
    observe(&server, "/aggregate/metrics/gauge/dec", r#"{"name":"g","value":.5}"#);
    observe(&server, "/metrics/histogram", r#"{"name":"h","value":.5}"#);
    let page = server.page();
    for line in ["c{a=\"1\"} 6", "g 5.5", "h_bucket{le=\"1\"} 2", "h_bucket{le=\"+Inf\"} 3", "h_sum 3.5", "h_count 3"] {
        assert!(page.lines().any(|shown| shown == line), "{line}\n{page}");
    }
}

#[test]
fn a_description_may_come_late() {
    let server = Server::start(&[]);
    // Names that are stored as they came are found again, unless there were many in between; others are not.
    let many: String = (0..20).map(|number| format!(r#"{{"name":"n{number}"}},"#)).collect();
    observe(
        &server,
        "/metrics/counter",
        &format!(
            r#"[{{"name":"a"}},{{"name":"b.c"}},{many}{{"name":"a","description":"A"}},{{"name":"b.c","description":"B"}}]"#
        ),
    );
    for help in ["A", "B"] {
        let page = server.page();
        assert!(page.lines().any(|line| line.starts_with("# HELP ") && line.ends_with(&format!(" {help}"))), "{page}");
    }
}

#[test]
fn an_array_is_one_push() {
    let server = Server::start(&[]);
    observe(&server, "/metrics/counter", r#"{"name":"c"}"#);
    let before = server.page();
    for (path, body, status) in [
        ("/metrics/counter", r#"[{"name":"c"},{"name":"new"},{"name":"c","value":-1}]"#, 400),
        ("/metrics/counter", r#"[{"name":"c"},{"name":"c","value":NaN}]"#, 400),
        ("/metrics/counter", r#"[{"name":"c"},{"labels":{}}]"#, 400),
        ("/metrics/counter", r#"[{"name":"new"},{"name":"c","labels":{"__a":"b"}}]"#, 400),
        ("/metrics/gauge/set", r#"[{"name":"new","value":1},{"name":"c","value":1}]"#, 400),
        ("/metrics/gauge/set", r#"{"name":"new"}"#, 400),
        ("/metrics/histogram", r#"{"name":"new","value":1,"buckets":[2,1]}"#, 400),
        ("/metrics/histogram", r#"{"name":"new","value":1,"labels":{"le":"1"}}"#, 400),
        ("/metrics/summary", r#"{"name":"new","value":1"#, 400),
        ("/metrics/counter", "", 400),
    ] {
        let (got, line) = server.push(path, body);
        assert_eq!((got, line.lines().count()), (status, 1), "{body}: {line}");
        assert!(line.starts_with("observation "), "{line}");
        assert_eq!(server.page(), before, "{body}");
    }
}

#[test]
fn gauges_are_changed_in_the_order_of_the_array() {
    let server = Server::start(&[]);
    observe(&server, "/metrics/gauge/inc", r#"{"name":"g"}"#);
    observe(&server, "/metrics/gauge/set", r#"[{"name":"g","value":10},{"name":"g","value":7}]"#);
    observe(&server, "/metrics/gauge/dec", r#"[{"name":"g"},{"name":"g","value":2},{"name":"new"}]"#);
    assert_eq!(server.page(), "# TYPE g gauge\ng 4\n# TYPE new gauge\nnew -1\n");
}

#[test]
fn rules_hold_for_observations() {
    let rules = "
        [[rule]]
        match = \"latency\"
        quantiles = [0.5, 0.99]
        window = \"1h\"
        [[rule]]
        match = \"peak\"
        gauge = \"max\"
        [[rule]]
        match = \"by_user\"
        drop_labels = [\"user\"]
        [[rule]]
        match = \"secret\"
        drop = true
    ";
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), rules).expect("written");
    let server = Server::start(&["--config", file.path().to_str().expect("UTF-8")]);
    let values: Vec<String> = (1..=100).map(|value| format!("{{\"name\":\"latency\",\"value\":{value}}}")).collect();
    observe(&server, "/metrics/summary", &format!("[{}]", values.join(",")));
    observe(&server, "/metrics/gauge/set", r#"[{"name":"peak","value":9},{"name":"peak","value":3}]"#);
    observe(&server, "/metrics/counter", r#"[{"name":"secret"},{"name":"secret"}]"#);
    for kind in ["counter", "histogram"] {
        let name = if kind == "counter" { "by_user" } else { "by_user_seconds" };
        let observation =
            |user: &str| format!("{{\"name\":\"{name}\",\"value\":1,\"labels\":{{\"user\":\"{user}\",\"a\":\"b\"}}}}");
        observe(
            &server,
            &format!("/metrics/{kind}"),
            &format!("[{},{},{}]", observation("x"), observation("y"), observation("x")),
        );
    }
    let (status, line) = server.push("/metrics/gauge/inc", r#"{"name":"peak"}"#);
    assert_eq!(
        (status, line.as_str()),
        (
            400,
            "observation 1: expected a value for peak, which shows what was set and is not added up, got an increment\n"
        )
    );
    let samples = server.samples();
    let about = |series: &str, expected: f64| {
        let shown = samples[series];
        assert!((shown / expected - 1.0).abs() <= 0.011, "{series} {shown}");
    };
    about("latency{quantile=\"0.5\"}", 50.0);
    about("latency{quantile=\"0.99\"}", 99.0);
    assert_eq!((samples["latency_sum"], samples["latency_count"]), (5050.0, 100.0));
    assert_eq!((samples["peak"], samples["by_user{a=\"b\"}"]), (9.0, 3.0));
    assert!(samples.keys().all(|series| !series.starts_with("secret")));
}

#[test]
fn heads_are_heeded_but_not_the_content_type() {
    let server = Server::start(&["--max-body", "64", "--push-user", "u=p"]);
    let post = |path: &str, head: &str, body: &str| {
        let length = body.len();
        server.raw(
            format!(
                "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{head}\r\n{body}"
            )
            .as_bytes(),
        )
    };
    const USER: &str = "Authorization: Basic dTpw\r\n";
    let observation = r#"{"name":"c"}"#;
    for content_type in [
        "text/plain;charset=UTF-8",
        "application/json",
        "application/x-www-form-urlencoded",
        "image/png",
        "application/vnd.google.protobuf",
    ] {
        let answer = post("/metrics/counter", &format!("{USER}Content-Type: {content_type}\r\n"), observation);
        assert!(answer.starts_with("HTTP/1.1 202 "), "{content_type}: {answer}");
    }
    for (head, body, expected) in [
        ("", observation, "HTTP/1.1 401 "),
        (&format!("{USER}Content-Encoding: br\r\n"), observation, "HTTP/1.1 415 "),
        (&format!("{USER}Catchment-TTL: soon\r\n"), observation, "HTTP/1.1 400 "),
        (USER, &format!("{observation}{}", " ".repeat(64)), "HTTP/1.1 413 "),
    ] {
        let answer = post("/metrics/counter", head, body);
        assert!(answer.starts_with(expected), "{answer}");
    }
    assert_eq!(server.page(), "# TYPE c counter\nc 5\n");
    let (status, _) = server.get("/metrics/counter");
    assert_eq!(status, 405);
}

#[test]
fn observations_are_merged_whatever_the_default_door() {
    for door in ["source", "replace"] {
        let server = Server::start(&["--door", door]);
        observe(&server, "/metrics/counter", r#"[{"name":"c"},{"name":"c"}]"#);
        observe(&server, "/metrics/counter", r#"{"name":"c"}"#);
        assert!(server.page().ends_with("# TYPE c counter\nc 3\n"), "{door}");
    }
}

#[test]
fn limits_hold_for_observations() {
    let server = Server::start(&["--max-series", "3"]);
    let many: Vec<String> = (0..1000).map(|_| r#"{"name":"c"}"#.to_owned()).collect();
    // A thousand observations of one series are one series.
    observe(&server, "/metrics/counter", &format!("[{}]", many.join(",")));
    observe(&server, "/metrics/histogram", r#"[{"name":"h","value":1},{"name":"h","value":2}]"#);
    observe(&server, "/metrics/gauge/set", r#"{"name":"g","value":1}"#);
    let (status, line) = server.push("/metrics/counter", r#"{"name":"d"}"#);
    assert_eq!((status, line.as_str()), (429, "expected at most 3 series, got 1 more\n"));
    observe(&server, "/metrics/counter", r#"{"name":"c"}"#);
    assert_eq!(server.samples()["c"], 1001.0);
}

#[test]
fn what_is_long_is_refused_before_it_takes_room() {
    let server = Server::start(&[]);
    let labels = "a:1,".repeat(1_000_000);
    for (body, expected) in [
        (format!("{{name: 'c', labels: {{{labels}}}}}"), "expected at most 64 labels"),
        (
            format!("{{name: 'c', description: '{}'}}", "d".repeat(100_000)),
            "expected a description of at most 65536 bytes",
        ),
        (format!("{{name: '{}'}}", "n".repeat(1000)), "expected a metric name of at most 256 bytes"),
        (format!("{{name: 'c', other: {}}}", "[".repeat(1_000_000)), "expected values not as deep within others"),
    ] {
        let (status, line) = server.push("/metrics/counter", body);
        assert_eq!((status, line.len() < 200), (400, true), "{line}");
        assert!(line.contains(expected), "{line}");
    }
}

#[test]
fn what_is_set_is_set_under_every_policy_but_windows() {
    let server = Server::start(&["--gauges", "sum"]);
    server.push_ok("/metrics", "# TYPE g gauge\ng 1\n");
    server.push_ok("/metrics", "g 1\n");
    observe(&server, "/metrics/gauge/inc", r#"{"name":"g"}"#);
    assert_eq!(server.samples()["g"], 3.0);
    observe(&server, "/metrics/gauge/set", r#"{"name":"g","value":7}"#);
    assert_eq!(server.samples()["g"], 7.0);
}
