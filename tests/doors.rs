//! The three doors beside each other: one page for all, each series of one owner, and no push by one door that harms what came
//! by another.

#![allow(clippy::expect_used, clippy::panic, reason = "a test stops at its first fault")]

mod common;

use catchment_test_schema::{family, write_delimited};
use common::exchange::Format;
use common::story::Step::{Delete, Post, Put, Refused};
use common::story::{Story, assert_refused, check};
use common::{Server, page};

#[test]
fn doors_share_families() {
    const CPU: &str = "# HELP process_cpu_seconds_total CPU time.\n# TYPE process_cpu_seconds_total counter\n";
    check(
        &[],
        &[
            Story {
                what: "a counter by all three, twice each: added, last of the source, last",
                steps: &[
                    Post(
                        "/aggregate/metrics/job/a",
                        "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 1.5\n",
                    ),
                    Post(
                        "/source/metrics/job/b",
                        "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 2\n",
                    ),
                    Put(
                        "/replace/metrics/job/c",
                        "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 3\n",
                    ),
                    Post(
                        "/aggregate/metrics/job/a",
                        "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 1.5\n",
                    ),
                    Post(
                        "/source/metrics/job/b",
                        "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 2\n",
                    ),
                    Put(
                        "/replace/metrics/job/c",
                        "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 3\n",
                    ),
                ],
                page: "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 2\n\
                       process_cpu_seconds_total{job=\"a\"} 3\nprocess_cpu_seconds_total{instance=\"\",job=\"c\"} 3\n",
            },
            Story {
                what: "histograms by all three",
                steps: &[
                    Post(
                        "/aggregate/metrics/job/a",
                        "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n",
                    ),
                    Post(
                        "/source/metrics/job/b",
                        "# TYPE h histogram\nh_bucket{le=\"2\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n",
                    ),
                    Put(
                        "/replace/metrics/job/c",
                        "# TYPE h histogram\nh_bucket{le=\"3\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n",
                    ),
                ],
                page: "# TYPE h histogram\nh_bucket{le=\"2\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n\
                       h_bucket{job=\"a\",le=\"1\"} 1\nh_bucket{job=\"a\",le=\"+Inf\"} 2\nh_sum{job=\"a\"} 3\nh_count{job=\"a\"} 2\n\
                       h_bucket{instance=\"\",job=\"c\",le=\"3\"} 1\nh_bucket{instance=\"\",job=\"c\",le=\"+Inf\"} 2\n\
                       h_sum{instance=\"\",job=\"c\"} 3\nh_count{instance=\"\",job=\"c\"} 2\n",
            },
        ],
    );
    let server = Server::start(&[]);
    let push =
        |path: &str, body: &str| assert!(matches!(server.push(path, body), (200 | 202, line) if line.is_empty()));
    push("/aggregate/metrics/job/a", &format!("{CPU}process_cpu_seconds_total 1\n"));
    push("/source/metrics/job/b", &format!("{CPU}process_cpu_seconds_total 2\n"));
    push("/replace/metrics/job/c", &format!("{CPU}process_cpu_seconds_total 3\n"));
    for format in Format::ALL {
        assert!(!server.scrape(format).is_empty());
    }
    let families = server.scrape_families();
    let cpu = families.iter().find(|family| family.name() == "process_cpu_seconds_total").expect("on the page");
    assert_eq!(cpu.metric.len(), 3);
    assert_eq!(page::families(&server.scrape_text(Format::Text)).len(), 3, "one family, and the times of pushes");
}

/// A door, a push of the series `x{job="j"}` by it, and whose it then is.
struct Way {
    door: &'static str,
    path: &'static str,
    body: &'static str,
    owner: &'static str,
}

const WAYS: [Way; 3] = [
    Way { door: "aggregate", path: "/aggregate/metrics/job/j", body: "x 1\n", owner: "the door aggregate" },
    Way { door: "source", path: "/source/metrics/job/s", body: "x{job=\"j\"} 1\n", owner: "the door source" },
    Way { door: "replace", path: "/replace/metrics/job/j", body: "x 1\n", owner: "the group {job=\"j\"}" },
];

#[test]
fn a_series_has_one_owner() {
    for first in &WAYS {
        for second in WAYS.iter().filter(|second| second.door != first.door) {
            let what = format!("{} after {}", second.door, first.door);
            let server = Server::start(&[]);
            assert!(matches!(server.push(first.path, first.body).0, 200 | 202));
            let page = server.page_without_times();
            let line = format!("got x{{job=\"j\"}}, which belongs to {}", first.owner);
            // What comes with it is refused with it, be it before or behind.
            for body in [second.body.to_owned(), format!("before 1\n{}behind 1\n", second.body)] {
                assert_refused(server.push(second.path, &body), 400, &line, &what);
                assert_refused(server.put(second.path, &body), 400, &line, &what);
                assert_eq!(server.page_without_times(), page, "{what}");
            }
            assert_eq!(server.refused("owned"), 4.0, "{what}");
            assert!(matches!(server.push(first.path, first.body).0, 200 | 202), "{what}: the owner goes on");
        }
    }
}

#[test]
fn what_an_owner_gives_up_may_become_anothers() {
    for first in &WAYS {
        for second in WAYS.iter().filter(|second| second.door != first.door) {
            let what = format!("{} after {}", second.door, first.door);
            let server = Server::start(&[]);
            // A gauge, as a counter of sources stays.
            let gauge = |body: &str| format!("# TYPE x gauge\n{body}");
            assert!(matches!(server.push(first.path, gauge(first.body)).0, 200 | 202), "{what}");
            assert_eq!(server.delete(first.path).0, 202, "{what}");
            assert!(matches!(server.push(second.path, gauge(second.body)).0, 200 | 202), "{what}");
            assert_eq!(server.samples().iter().filter(|(series, _)| series.starts_with("x{")).count(), 1, "{what}");
        }
    }
}

#[test]
fn counters_of_sources_that_have_gone_are_still_the_sources() {
    check(
        &[],
        &[Story {
            what: "a retired counter",
            steps: &[
                Post("/source/metrics/job/s", "# TYPE x counter\nx 1\n"),
                Delete("/source/metrics/job/s"),
                Refused("/aggregate/metrics", "x 1\n", 400, "x, which belongs to the door source"),
            ],
            page: "# TYPE x counter\nx 1\n",
        }],
    );
}

/// Pushes by two doors that race for a series: it has one owner, and who is refused leaves nothing.
#[test]
fn of_doors_that_race_for_a_series_one_wins() {
    const ROUNDS: usize = 30;
    for (first, second) in [(0, 1), (0, 2), (1, 2)] {
        let server = Server::start(&["--workers", "4"]);
        let barrier = std::sync::Barrier::new(2);
        let race = |way: &Way| -> Vec<bool> {
            let push = |round: usize| {
                let body = way.body.replace('x', &format!("x{round}"));
                barrier.wait();
                let own = format!("{body}own_{}_{round} 1\n", way.door);
                matches!(server.push(way.path, own).0, 200 | 202)
            };
            (0..ROUNDS).map(push).collect()
        };
        let [by_first, by_second] = std::thread::scope(|scope| {
            let racers = [&WAYS[first], &WAYS[second]].map(|way| {
                scope.spawn({
                    let race = &race;
                    move || race(way)
                })
            });
            racers.map(|racer| racer.join().expect("no panic"))
        });
        let samples = server.samples();
        for (round, (one, other)) in by_first.into_iter().zip(by_second).enumerate() {
            let is_shown = |way: &Way| {
                let own = format!("own_{}_{round}", way.door);
                samples.keys().any(|series| series.split('{').next() == Some(&own))
            };
            assert!(one != other, "round {round} of {first} and {second}: {one} and {other}");
            assert_eq!([is_shown(&WAYS[first]), is_shown(&WAYS[second])], [one, other], "round {round}");
        }
    }
}

/// A request that has broken a gateway for everybody.
struct Breaker {
    what: &'static str,
    /// Behind the door's `/metrics`, each with a body.
    pushes: Vec<(&'static str, Vec<u8>)>,
    is_protobuf: bool,
}

fn text(what: &'static str, pushes: &[(&'static str, &[u8])]) -> Breaker {
    let pushes = pushes.iter().map(|(path, body)| (*path, body.to_vec())).collect();
    Breaker { what, pushes, is_protobuf: false }
}

fn protobuf(what: &'static str, families: &[&str]) -> Breaker {
    let families: Vec<_> = families.iter().map(|text| family(text)).collect();
    Breaker { what, pushes: vec![("/job/x", write_delimited(&families))], is_protobuf: true }
}

fn breakers() -> Vec<Breaker> {
    vec![
        text("1: a value in base64 that is not UTF-8", &[("/job/x/y@base64/_w", b"z 1\n")]),
        text("1: a value that is not UTF-8", &[("/job/x/y/%FF", b"z 1\n")]),
        text("2: a label that is there, but empty", &[("/job/x", b"z 1\n"), ("/job/x/instance@base64/=", b"z 2\n")]),
        text("2: the other way round", &[("/job/x/instance@base64/=", b"z 1\n"), ("/job/x", b"z 2\n")]),
        text("3: a HELP that is not UTF-8", &[("/job/x", b"# HELP z \xff\n# TYPE z gauge\nz 1\n")]),
        protobuf("4: an empty name", &["name: '' type: GAUGE metric { gauge { value: 1 } }"]),
        protobuf(
            "5: an own le of a histogram",
            &["name: 'z' type: HISTOGRAM metric { label { name: 'le' value: '1' } histogram { sample_count: 1 \
               sample_sum: 1 bucket { upper_bound: 1 cumulative_count: 1 } } }"],
        ),
        text("6: a gauge histogram in text", &[("/job/x", b"# TYPE z gauge_histogram\nz 1\n")]),
        protobuf(
            "6: a gauge histogram in protobuf",
            &["name: 'z' type: GAUGE_HISTOGRAM metric { histogram { sample_count: 1 sample_sum: 1 } }"],
        ),
        text("7: base64 that is none, twice", &[("/job@base64/a.b", b"z 1\n"), ("/job@base64/a.b", b"z 1\n")]),
        protobuf("8: a name that is none", &["name: 'bad-name x' type: GAUGE metric { gauge { value: 1 } }"]),
        protobuf(
            "9: labels that are one when escaped",
            &["name: 'z' type: GAUGE metric { label { name: 'a-b' value: '1' } label { name: 'a_b' value: '2' } \
               gauge { value: 1 } }"],
        ),
        protobuf(
            "10: families that are one when escaped",
            &[
                "name: 'z-z' type: GAUGE metric { gauge { value: 1 } }",
                "name: 'z_z' type: GAUGE metric { gauge { value: 2 } }",
            ],
        ),
        text(
            "11: one bucket in two spellings",
            &[("/job/x", b"# TYPE z histogram\nz_bucket{le=\"1\"} 1\nz_bucket{le=\"1.0\"} 1\nz_sum 1\nz_count 1\n")],
        ),
    ]
}

fn push_breaker(server: &Server, door: &str, breaker: &Breaker) {
    for (path, body) in &breaker.pushes {
        let content_type = if breaker.is_protobuf { Format::Protobuf } else { Format::Text }.content_type();
        let reply = server.push_with(&format!("/{door}/metrics{path}"), &[("Content-Type", content_type)], body);
        let status = reply.status;
        assert!(matches!(status, 200 | 202 | 400), "{}: {status} {}", breaker.what, reply.text());
    }
}

/// Pushes by every door whose series must then be on every page.
#[track_caller]
fn check_that_others_go_on(server: &Server, what: &str) {
    for door in ["aggregate", "source", "replace"] {
        let body =
            format!("# HELP innocent_{door} Good.\n# TYPE innocent_{door} gauge\ninnocent_{door}{{a=\"1\"}} 1\n");
        let answer = server.push(&format!("/{door}/metrics/job/innocent"), body);
        assert!(matches!(answer.0, 200 | 202), "{what}, then by {door}: {answer:?}");
    }
    let samples = server.samples();
    for series in [
        "innocent_aggregate{a=\"1\",job=\"innocent\"}",
        "innocent_source{a=\"1\"}",
        "innocent_replace{a=\"1\",instance=\"\",job=\"innocent\"}",
    ] {
        assert_eq!(samples.get(series), Some(&1.0), "{what}: {samples:?}");
    }
    let names: Vec<String> = server.scrape_families().iter().map(|family| family.name().to_owned()).collect();
    assert_eq!(names.iter().filter(|name| name.starts_with("innocent_")).count(), 3, "{what}: {names:?}");
    for format in [Format::Utf8Text, Format::OpenMetrics] {
        assert!(server.scrape_text(format).contains("innocent_replace"), "{what} in {format:?}");
    }
    assert_eq!(server.get("/-/ready").0, 200, "{what}");
}

#[test]
fn no_single_request_breaks_the_page_for_others() {
    for door in ["aggregate", "source", "replace"] {
        // Each on a server of its own, and all upon another.
        let all = Server::start(&[]);
        for breaker in breakers() {
            let server = Server::start(&[]);
            for server in [&server, &all] {
                push_breaker(server, door, &breaker);
                check_that_others_go_on(server, &format!("{} by {door}", breaker.what));
            }
        }
    }
}

/// What is beyond repair must be refused, by whatever door.
#[test]
fn what_cannot_be_shown_is_refused_by_every_door() {
    let is_refused = ["1:", "3:", "4:", "5:", "6: a gauge histogram in text", "7:", "9:", "10:", "11:"];
    for door in ["aggregate", "source", "replace"] {
        let server = Server::start(&[]);
        for breaker in
            breakers().iter().filter(|breaker| is_refused.iter().any(|start| breaker.what.starts_with(start)))
        {
            for (path, body) in &breaker.pushes {
                let content_type = if breaker.is_protobuf { Format::Protobuf } else { Format::Text }.content_type();
                let reply =
                    server.push_with(&format!("/{door}/metrics{path}"), &[("Content-Type", content_type)], body);
                let status = reply.status;
                assert_refused((status, reply.text()), 400, "", &format!("{} by {door}", breaker.what));
                assert_eq!(server.page_without_times(), "", "{} by {door}", breaker.what);
            }
        }
    }
}

/// Of two groups of which one only says that it has no instance, the second is refused, and its times do not stand twice.
#[test]
fn groups_that_differ_in_an_empty_label_do_not_both_show() {
    let server = Server::start(&[]);
    assert_eq!(server.put("/replace/metrics/job/x", "z 1\n").0, 200);
    assert_eq!(server.put("/replace/metrics/job/x/instance@base64/=", "y 1\n").0, 400);
    let samples = server.samples();
    assert_eq!(samples["push_failure_time_seconds{instance=\"\",job=\"x\"}"], 0.0, "the first one's is left alone");
    assert_eq!(samples.len(), 3, "{samples:?}");
}

#[test]
fn the_default_door_is_the_one_that_is_set() {
    let cases = [("aggregate", "x{job=\"a\"} 7\n"), ("source", "x 4\n"), ("replace", "x{instance=\"\",job=\"a\"} 4\n")];
    for (door, sample) in cases {
        let server = Server::start(&["--door", door]);
        for body in ["x 3\n", "x 4\n"] {
            let (status, _) = server.push("/metrics/job/a", body);
            assert_eq!(status, if door == "replace" { 200 } else { 202 });
        }
        assert_eq!(server.page_without_times(), format!("# TYPE x untyped\n{sample}"), "{door}");
    }
}

#[test]
fn a_door_whose_series_have_gone_leaves_the_family_to_the_other() {
    let server = Server::start(&[]);
    assert_eq!(server.push("/metrics", "x{a=\"1\"} 1\n").0, 202);
    assert_eq!(server.put("/replace/metrics/job/a", "x 1\n").0, 200);
    assert_eq!(server.delete("/replace/metrics/job/a").0, 202);
    // Whatever was noted of the group is forgotten by now or soon; pushes go on all the while.
    for _ in 0..20 {
        assert_eq!(server.push("/metrics", "x{a=\"1\"} 1\nx{job=\"a\"} 1\n").0, 202);
    }
    assert_eq!(server.page_without_times(), "# TYPE x untyped\nx{a=\"1\"} 21\nx{job=\"a\"} 20\n");
}
