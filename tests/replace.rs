//! The door `replace`: what a group pushes is what is shown, at once and whole. Its behaviour as the Pushgateway's is tested
//! beside a real one; here is what that cannot show.

#![allow(clippy::expect_used, clippy::panic, reason = "a test stops at its first fault")]

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};

use common::exchange::Push::{OpenMetrics, Protobuf};
use common::story::Step::{Delete, Post, PostAs, Put, Refused, RefusedPut};
use common::story::{Story, assert_refused, check};
use common::{Server, eventually, page, while_working, wire};

const A: &str = "/replace/metrics/job/a";
const B: &str = "/replace/metrics/job/b";

const FAMILIES: usize = 5;

/// How many series a group has of each family when it shows `number`: they come and go, so that they are found in other places.
fn series_of_family(number: usize) -> usize {
    400 - number % 3 * 100
}

/// Families whose series are all `number`.
fn uniform_body(number: usize) -> String {
    let mut body = String::new();
    for family in 0..FAMILIES {
        let _ = writeln!(body, "# TYPE f{family} gauge");
        for series in 0..series_of_family(number) {
            let _ = writeln!(body, "f{family}{{s=\"{}\"}} {number}", (series * 7 + number) % 1000);
        }
    }
    body
}

/// Each group on the page must show one number, in as many series as belong to it. Returns the number of each group.
#[track_caller]
fn numbers_of_groups(page: &str) -> BTreeMap<String, usize> {
    let mut groups: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let families = page::families(page);
    for family in families.iter().filter(|family| family.name.starts_with('f')) {
        for (series, value) in &family.samples {
            let job =
                series.split_once("job=\"").and_then(|(_, rest)| rest.split('"').next()).expect("a group's label");
            let number = *value as usize;
            let (shown, count) = groups.entry(job.to_owned()).or_insert((number, 0));
            assert_eq!(*shown, number, "{series} beside the {count} series before");
            *count += 1;
        }
    }
    for (job, (number, count)) in &groups {
        assert_eq!(*count, FAMILIES * series_of_family(*number), "series of {job} at {number}");
    }
    groups.into_iter().map(|(job, (number, _))| (job, number)).collect()
}

/// Writers replace two groups as fast as they can while scrapers look.
fn check_that_groups_change_at_once(shards: &str) {
    const SCRAPERS: usize = 2;
    const SCRAPES: usize = 12;
    let server = Server::start(&["--shards", shards, "--workers", "4"]);
    let written = [AtomicUsize::new(0), AtomicUsize::new(0)];
    let path = |writer: usize| format!("/replace/metrics/job/{writer}");
    let write = |writer: usize, round: usize| {
        let number = round + 1;
        assert_eq!(server.put(&path(writer), uniform_body(number)), (200, String::new()));
        written[writer].store(number, Ordering::SeqCst);
    };
    let scrape = |_| {
        for _ in 0..SCRAPES {
            let before = written.each_ref().map(|number| number.load(Ordering::SeqCst));
            let shown = numbers_of_groups(&server.page());
            for (writer, before) in before.iter().enumerate().filter(|(_, before)| **before > 0) {
                let shown = shown.get(&writer.to_string()).copied();
                assert!(shown >= Some(*before), "group {writer} shows {shown:?}, {before} was acknowledged before");
            }
        }
    };
    while_working(2, write, || {
        std::thread::scope(|scope| {
            for scraper in 0..SCRAPERS {
                scope.spawn({
                    let scrape = &scrape;
                    move || scrape(scraper)
                });
            }
        });
    });
    let last = written.map(|number| number.into_inner());
    assert!(last.iter().all(|number| *number > 2), "the groups were replaced {last:?} times only");
    let shown: Vec<usize> = numbers_of_groups(&server.page()).into_values().collect();
    assert_eq!(shown, last);
}

#[test]
fn a_group_changes_at_once_on_one_shard() {
    check_that_groups_change_at_once("1");
}

#[test]
fn a_group_changes_at_once_on_two_shards() {
    check_that_groups_change_at_once("2");
}

#[test]
fn a_group_changes_at_once_on_four_shards() {
    check_that_groups_change_at_once("4");
}

/// A reader that is slow sees the page as it was when it asked, however often the group changes meanwhile.
#[test]
fn a_slow_reader_sees_one_state_of_a_group() {
    const SERIES: usize = 40_000;
    let server = Server::start_on(wire::listener_with_small_buffers(), &[]);
    let body = |number: usize| -> String {
        let line = |series| format!("f{{job_of=\"a series with a long name\",s=\"{series}\"}} {number}\n");
        (0..SERIES).map(line).collect()
    };
    assert_eq!(server.put(A, body(1)), (200, String::new()));
    let mut reader = wire::slow_reader(server.address, "/metrics");
    let mut first = [0; 1024];
    reader.read_exact(&mut first).expect("the page begins");
    for number in [2, 3] {
        assert_eq!(server.put(A, body(number)), (200, String::new()));
    }
    assert_eq!(server.put(A, "f 4\n"), (200, String::new()));
    assert_eq!(server.delete(A).0, 202);
    let mut answer = String::from_utf8_lossy(&first).into_owned();
    reader.flush().expect("an open connection");
    answer.push_str(&wire::read_to_close(&mut reader));
    let values = answer.lines().filter(|line| line.starts_with("f{")).map(|line| line.rsplit(' ').next().unwrap_or(""));
    let count = values.inspect(|value| assert_eq!(*value, "1")).count();
    assert_eq!(count, SERIES);
    assert_eq!(server.page(), "");
}

#[test]
fn puts_replace_the_group_and_posts_its_families() {
    check(
        &[],
        &[
            Story {
                what: "a PUT leaves nothing of what was",
                steps: &[Put(A, "x{n=\"1\"} 1\nx{n=\"2\"} 1\ny 1\n"), Put(A, "x{n=\"2\"} 2\nz 2\n")],
                page: "# TYPE x untyped\nx{instance=\"\",job=\"a\",n=\"2\"} 2\n# TYPE z untyped\nz{instance=\"\",job=\"a\"} 2\n",
            },
            Story {
                what: "a POST leaves other families, and nothing of its own",
                steps: &[Put(A, "x{n=\"1\"} 1\nx{n=\"2\"} 1\ny 1\n"), Post(A, "x{n=\"2\"} 2\n")],
                page: "# TYPE x untyped\nx{instance=\"\",job=\"a\",n=\"2\"} 2\n# TYPE y untyped\ny{instance=\"\",job=\"a\"} 1\n",
            },
            Story {
                what: "a series that goes and comes again",
                steps: &[Put(A, "x 1\n"), Put(A, ""), Put(A, "x 2\n"), Delete(A), Put(A, "x 3\n")],
                page: "# TYPE x untyped\nx{instance=\"\",job=\"a\"} 3\n",
            },
            Story {
                what: "values are shown as they come: counters fall, quantiles stay",
                steps: &[
                    Put(
                        A,
                        "# TYPE c counter\nc 5\n# TYPE s summary\ns{quantile=\"0.9\"} 3\ns{quantile=\"0.5\"} 1\ns_sum 4\ns_count 2\n",
                    ),
                    Put(
                        A,
                        "# TYPE c counter\nc -1\n# TYPE s summary\ns{quantile=\"0.9\"} 2\ns{quantile=\"0.5\"} 1\ns_sum 3\ns_count 2\n",
                    ),
                ],
                page: "# TYPE c counter\nc{instance=\"\",job=\"a\"} -1\n# TYPE s summary\n\
                       s{instance=\"\",job=\"a\",quantile=\"0.5\"} 1\ns{instance=\"\",job=\"a\",quantile=\"0.9\"} 2\n\
                       s_sum{instance=\"\",job=\"a\"} 3\ns_count{instance=\"\",job=\"a\"} 2\n",
            },
            Story {
                what: "gauges are set",
                steps: &[Put(A, "# TYPE g gauge\ng 5\n"), Put(A, "# TYPE g gauge\ng 2\n")],
                page: "# TYPE g gauge\ng{instance=\"\",job=\"a\"} 2\n",
            },
        ],
    );
    check(
        &["--gauges", "sum", "--summaries", "discard", "--path-labels", "ignore"],
        &[Story {
            what: "settings of the other doors",
            steps: &[
                Put(A, "# TYPE g gauge\ng 5\n# TYPE s summary\ns_sum 1\ns_count 1\n"),
                Put(A, "# TYPE g gauge\ng 2\n# TYPE s summary\ns_sum 2\ns_count 2\n"),
            ],
            page: "# TYPE g gauge\ng{instance=\"\",job=\"a\"} 2\n# TYPE s summary\ns_sum{instance=\"\",job=\"a\"} 2\n\
                   s_count{instance=\"\",job=\"a\"} 2\n",
        }],
    );
}

/// What the Pushgateway begins its refusals with.
const INCONSISTENT: &str = "pushed metrics are invalid or inconsistent with existing metrics: ";

#[test]
fn kinds_change_within_a_group_and_clash_with_others() {
    check(
        &[],
        &[
            Story {
                what: "within the group, by PUT and by POST",
                steps: &[
                    Put(A, "# TYPE x counter\nx 1\n"),
                    Put(A, "# TYPE x gauge\nx 2\n"),
                    Post(A, "# TYPE x histogram\nx_bucket{le=\"+Inf\"} 3\nx_sum 3\nx_count 3\n"),
                    Post(A, "x 4\n"),
                ],
                page: "# TYPE x untyped\nx{instance=\"\",job=\"a\"} 4\n",
            },
            Story {
                what: "against another group's",
                steps: &[
                    Put(A, "# TYPE x counter\nx 1\n"),
                    RefusedPut(B, "y 1\n# TYPE x gauge\nx 2\n", 400, "counter"),
                    Refused(B, "y 1\n# TYPE x gauge\nx 2\n", 400, "gauge"),
                    RefusedPut(B, "y 1\n# TYPE x gauge\nx 2\n", 400, INCONSISTENT),
                    RefusedPut(B, "y 1\nx 2\n", 400, INCONSISTENT),
                    Put(B, "# TYPE x counter\nx 2\n"),
                    RefusedPut(A, "# TYPE x gauge\nx 2\n", 400, INCONSISTENT),
                ],
                page: "# TYPE x counter\nx{instance=\"\",job=\"a\"} 1\nx{instance=\"\",job=\"b\"} 2\n",
            },
            Story {
                what: "untyped is a kind as others are",
                steps: &[
                    Put(A, "x 1\n"),
                    RefusedPut(B, "# TYPE x gauge\nx 2\n", 400, INCONSISTENT),
                    Put(A, "# TYPE x gauge\nx 1\n"),
                    Put(B, "# TYPE x gauge\nx 2\n"),
                    RefusedPut(A, "x 1\n", 400, INCONSISTENT),
                ],
                page: "# TYPE x gauge\nx{instance=\"\",job=\"a\"} 1\nx{instance=\"\",job=\"b\"} 2\n",
            },
            Story {
                what: "against what everyone pushes",
                steps: &[
                    Post("/aggregate/metrics", "# TYPE x counter\nx 1\n"),
                    RefusedPut(A, "# TYPE x gauge\nx 2\n", 400, INCONSISTENT),
                    Refused(
                        "/aggregate/metrics",
                        "# TYPE y gauge\ny 2\n# TYPE x gauge\nx 2\n",
                        400,
                        "expected TYPE counter for x",
                    ),
                    Put(A, "# TYPE x counter\nx 2\n"),
                ],
                page: "# TYPE x counter\nx 1\nx{instance=\"\",job=\"a\"} 2\n",
            },
        ],
    );
}

#[test]
fn names_that_a_group_gives_up_are_free() {
    const HISTOGRAM: &str = "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n";
    check(
        &[],
        &[
            Story {
                what: "after a DELETE, for another kind and for other families' samples",
                steps: &[
                    Put(A, HISTOGRAM),
                    Delete(A),
                    Put(B, "# TYPE h gauge\nh 1\n# TYPE h_count counter\nh_count 2\n"),
                ],
                page: "# TYPE h gauge\nh{instance=\"\",job=\"b\"} 1\n# TYPE h_count counter\nh_count{instance=\"\",job=\"b\"} 2\n",
            },
            Story {
                what: "after a DELETE, for the other doors",
                steps: &[
                    Put(A, HISTOGRAM),
                    Delete(A),
                    Post("/aggregate/metrics", "# TYPE h gauge\nh 1\n"),
                    Post("/source/metrics", "h_count 2\n"),
                ],
                page: "# TYPE h gauge\nh 1\n# TYPE h_count untyped\nh_count 2\n",
            },
            Story {
                what: "by the very PUT that gives them up",
                steps: &[Put(A, HISTOGRAM), Put(A, "# TYPE h_count counter\nh_count 2\n")],
                page: "# TYPE h_count counter\nh_count{instance=\"\",job=\"a\"} 2\n",
            },
            Story {
                what: "and back again",
                steps: &[Put(A, "h_count 2\nh 1\n"), Put(A, HISTOGRAM)],
                page: "# TYPE h histogram\nh_bucket{instance=\"\",job=\"a\",le=\"+Inf\"} 1\nh_sum{instance=\"\",job=\"a\"} 1\n\
                       h_count{instance=\"\",job=\"a\"} 1\n",
            },
            Story {
                what: "not those that another group has",
                steps: &[
                    Put(A, HISTOGRAM),
                    Put(B, HISTOGRAM),
                    RefusedPut(A, "# TYPE h_count counter\nh_count 2\n", 400, INCONSISTENT),
                    Delete(B),
                    Put(A, "# TYPE h_count counter\nh_count 2\n"),
                ],
                page: "# TYPE h_count counter\nh_count{instance=\"\",job=\"a\"} 2\n",
            },
            Story {
                what: "not those that a POST leaves in the group",
                steps: &[Put(A, HISTOGRAM), Refused(A, "# TYPE h_count counter\nh_count 2\n", 400, INCONSISTENT)],
                page: "# TYPE h histogram\nh_bucket{instance=\"\",job=\"a\",le=\"+Inf\"} 1\nh_sum{instance=\"\",job=\"a\"} 1\n\
                       h_count{instance=\"\",job=\"a\"} 1\n",
            },
            Story {
                what: "nor within one push",
                steps: &[RefusedPut(
                    A,
                    "# TYPE h histogram\nh_sum 1\nh_count 1\n# TYPE h_count counter\n",
                    400,
                    "h_count",
                )],
                page: "",
            },
        ],
    );
}

#[test]
fn a_push_that_contradicts_is_refused_whole() {
    const BEFORE: &str = "x{n=\"1\"} 1\ny 1\n";
    const PAGE: &str =
        "# TYPE x untyped\nx{instance=\"\",job=\"a\",n=\"1\"} 1\n# TYPE y untyped\ny{instance=\"\",job=\"a\"} 1\n";
    let bodies = [
        ("x 2\nz 1 1395066363000\n", "pushed metrics must not have timestamps"),
        ("x 2\nz 1\nz 1\n", INCONSISTENT),
        ("x 2\nz{job=\"1\"} 1\nz{job=\"2\"} 1\n", INCONSISTENT),
        ("x 2\n# TYPE z histogram\nz_bucket{le=\"1\"} 1\nz_bucket{le=\"1.0\"} 1\n", INCONSISTENT),
        ("x 2\n# TYPE z summary\nz{quantile=\"0.5\"} 1\nz{quantile=\"0.50\"} 1\nz_count 1\n", INCONSISTENT),
        ("x 2\nz one\n", "line 2"),
        ("x 2\nz{__a=\"1\"} 1\n", "line 2"),
    ];
    let server = Server::start(&[]);
    assert_eq!(server.put(A, BEFORE), (200, String::new()));
    for (body, line) in bodies {
        for path in [A, B] {
            assert_refused(server.put(path, body), 400, line, body);
            assert_refused(server.push(path, body), 400, line, body);
            assert_eq!(server.page_without_times(), PAGE, "{body}");
        }
    }
}

#[test]
fn formats_with_timestamps_are_refused_too() {
    let server = Server::start(&[]);
    for push in [
        OpenMetrics("# TYPE x gauge\nx 1 1395066363\n"),
        Protobuf(&["name: 'x' type: GAUGE metric { gauge { value: 1 } timestamp_ms: 1395066363000 }"]),
    ] {
        let reply = server.push_with(A, &[("Content-Type", push.format().content_type())], &push.body());
        let status = reply.status;
        assert_refused((status, reply.text()), 400, "pushed metrics must not have timestamps", "a timestamp");
        assert_eq!(server.page_without_times(), "");
    }
    let created = PostAs(A, OpenMetrics("# TYPE x counter\nx_total 1\nx_created 1395066363\n"));
    common::story::take(&server, created, "a created timestamp is none of a sample");
}

#[test]
fn a_series_of_another_group_is_refused() {
    check(
        &[],
        &[
            Story {
                what: "a body label that makes it the other group's",
                steps: &[
                    Put("/replace/metrics/job/a/instance/i", "x 1\n"),
                    RefusedPut(A, "x{instance=\"i\"} 2\n", 400, "x{instance=\"i\",job=\"a\"}"),
                    RefusedPut(A, "x{instance=\"i\"} 2\n", 400, INCONSISTENT),
                    Put(A, "x{instance=\"other\"} 2\n"),
                    Delete("/replace/metrics/job/a/instance/i"),
                    Put(A, "x{instance=\"i\"} 3\n"),
                ],
                page: "# TYPE x untyped\nx{instance=\"i\",job=\"a\"} 3\n",
            },
            Story {
                what: "an empty label of the path: the group's own times would stand twice",
                steps: &[
                    Put(A, "x 1\n"),
                    RefusedPut("/replace/metrics/job/a/instance@base64/=", "x 2\n", 400, INCONSISTENT),
                    RefusedPut("/replace/metrics/job/a/instance@base64/=", "", 400, "time_seconds{job=\"a\"}"),
                ],
                page: "# TYPE x untyped\nx{instance=\"\",job=\"a\"} 1\n",
            },
        ],
    );
}

/// The times of pushes to a group: of the last good one, and of the last refused one.
fn times(server: &Server, labels: &str) -> (Option<f64>, Option<f64>) {
    let samples = server.samples();
    let time = |name: &str| samples.get(&format!("{name}{{{labels}}}")).copied();
    (time("push_time_seconds"), time("push_failure_time_seconds"))
}

#[test]
fn groups_tell_when_pushes_succeeded_and_failed() {
    const LABELS: &str = "instance=\"\",job=\"a\"";
    const CONTRADICTION: &str = "x 1\nx 2\n";
    let server = Server::start(&[]);
    let is_recent = |time: Option<f64>| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs_f64();
        time.is_some_and(|time| (now - 60.0..=now).contains(&time))
    };
    assert_eq!(server.put(A, "x one\n").0, 400);
    assert_eq!(times(&server, LABELS), (None, None), "what cannot be read touches nothing");

    assert_eq!(server.put(A, CONTRADICTION).0, 400);
    let (push, failure) = times(&server, LABELS);
    assert_eq!(push, Some(0.0), "a refused push makes the group");
    assert!(is_recent(failure), "{failure:?}");

    assert_eq!(server.put(A, "x 1\n").0, 200);
    let (push, failure_after) = times(&server, LABELS);
    assert!(is_recent(push) && failure_after == failure, "a PUT keeps the failure: {push:?} {failure_after:?}");

    assert_eq!(server.push(A, CONTRADICTION).0, 400);
    let (push_after, failure_after) = times(&server, LABELS);
    assert!(
        push_after == push && failure_after > failure,
        "a failure keeps the success: {push_after:?} {failure_after:?}"
    );
    assert_eq!(server.page_without_times(), "# TYPE x untyped\nx{instance=\"\",job=\"a\"} 1\n");

    assert_eq!(server.put(A, "").0, 200);
    let (push_after, failure_later) = times(&server, LABELS);
    assert!(push_after > push && failure_later == failure_after);
    assert_eq!(server.page_without_times(), "");

    let own = "# TYPE push_time_seconds counter\npush_time_seconds 1\n# TYPE push_failure_time_seconds histogram\n\
               push_failure_time_seconds_sum 2\ny 1\n";
    assert_eq!(server.put(A, own).0, 200, "a group's own times are not taken from it");
    let (push_later, failure_later) = times(&server, LABELS);
    assert!(push_later > push_after && failure_later == failure_after);
    assert_eq!(server.page_without_times(), "# TYPE y untyped\ny{instance=\"\",job=\"a\"} 1\n");

    assert_eq!(server.delete(A).0, 202);
    assert_eq!(server.page(), "");
}

#[test]
fn a_first_good_push_says_that_none_has_failed() {
    let server = Server::start(&[]);
    assert_eq!(server.push("/replace/metrics/job/a/instance/i", "").0, 200);
    let (push, failure) = times(&server, "instance=\"i\",job=\"a\"");
    assert!(push > Some(0.0) && failure == Some(0.0), "{push:?} {failure:?}");
}

#[test]
fn times_of_pushes_are_for_groups_alone() {
    for path in ["/aggregate/metrics/job/a", "/source/metrics/job/a"] {
        for name in ["push_time_seconds", "push_failure_time_seconds"] {
            let server = Server::start(&[]);
            assert_eq!(server.put(A, "x 1\n").0, 200);
            let page = server.page();
            for body in [format!("y 1\n{name} 1\n"), format!("y 1\n# TYPE {name} gauge\n{name} 1\n")] {
                assert_refused(server.push(path, &body), 400, name, &body);
                assert_eq!(server.page(), page);
            }
        }
    }
}

#[test]
fn limits_leave_a_group_as_it_was() {
    let many: String = (0..50).map(|series| format!("x{{s=\"{series}\"}} 2\n")).collect();
    let cases: [(&[&str], &str, &str); 3] = [
        (&["--max-series", "10"], &many, "expected at most 10 series, got"),
        (&["--max-series-per-family", "5"], &many, "expected at most 5 series of x, got"),
        (&["--max-families", "2"], "x 2\na 1\nb 1\nc 1\n", "expected at most 2 families, got 3 more"),
    ];
    for (flags, body, line) in cases {
        let server = Server::start(flags);
        assert_eq!(server.put(A, "x{s=\"1\"} 1\nx{s=\"a\"} 1\n"), (200, String::new()));
        let page = server.page();
        for path in [A, B] {
            assert_refused(server.put(path, body), 429, line, line);
            assert_refused(server.push(path, body), 429, line, line);
        }
        assert_eq!(server.page(), page, "{flags:?}");
        assert_eq!(server.put(A, "x{s=\"1\"} 3\nx{s=\"a\"} 3\n"), (200, String::new()), "known series go on");
        assert_eq!(server.samples()["x{instance=\"\",job=\"a\",s=\"1\"}"], 3.0, "{flags:?}");
    }
}

#[test]
fn groups_that_come_and_go_leave_nothing() {
    let server = Server::start(&[]);
    for round in 0..20 {
        let path = format!("/replace/metrics/job/{round}");
        assert_eq!(server.put(&path, format!("own_{round} 1\nshared{{n=\"1\"}} 1\n")).0, 200);
        assert_eq!(server.put(&path, format!("other_{round} 1\nshared{{n=\"2\"}} 1\n")).0, 200);
        assert_eq!(server.delete(&path).0, 202);
    }
    assert_eq!(server.page(), "");
    common::eventually("nothing is stored", || server.own_metric("catchment_series") == 0.0);
    common::eventually("no family is known", || server.own_metric("catchment_families") == 0.0);
    assert_eq!(server.own_metric("catchment_groups"), 0.0);
}

/// Pushes to groups that race for the same series: one has it, the others leave nothing.
#[test]
fn of_groups_that_race_for_a_series_one_wins() {
    const ROUNDS: usize = 30;
    let server = Server::start(&["--workers", "4"]);
    let barrier = std::sync::Barrier::new(2);
    let race = |path: &'static str| -> Vec<u16> {
        let push = |round| {
            barrier.wait();
            server.push(path, format!("x{round}{{instance=\"i\"}} 1\nown{round}{{of=\"{}\"}} 1\n", path.len())).0
        };
        (0..ROUNDS).map(push).collect()
    };
    let [by_first, by_second] = std::thread::scope(|scope| {
        let paths = ["/replace/metrics/job/a", "/replace/metrics/job/a/instance/i"];
        let racers = paths.map(|path| {
            scope.spawn({
                let race = &race;
                move || race(path)
            })
        });
        racers.map(|racer| racer.join().expect("no panic"))
    });
    let samples = server.samples();
    for (round, (one, other)) in by_first.into_iter().zip(by_second).enumerate() {
        let both = [one, other];
        assert!(both == [200, 400] || both == [400, 200], "round {round}: {both:?}");
        let own = samples.keys().filter(|series| series.starts_with(&format!("own{round}{{"))).count();
        assert_eq!(own, 1, "round {round}");
    }
}

#[test]
fn a_group_at_the_limit_may_be_replaced_by_other_series() {
    let server = Server::start(&["--max-series", "6"]);
    let gauges = |from: usize| (from..from + 4).map(|at| format!("g{at} 1\n")).collect::<String>();
    assert_eq!(server.put("/replace/metrics/job/a", gauges(0)).0, 200);
    assert_eq!(server.put("/replace/metrics/job/a", gauges(4)).0, 200, "what goes makes room");
    assert_eq!(server.put("/replace/metrics/job/a", gauges(0) + "more 1\n").0, 429);
    assert_eq!(server.own_metric("catchment_series"), 6.0);
}

#[test]
fn the_gateways_own_families_are_not_full_after_a_wipe() {
    let server = Server::start(&["--max-series-per-family", "3", "--web.enable-admin-api"]);
    for round in 0..3 {
        for job in ["a", "b", "c"] {
            assert_eq!(server.put(&format!("/replace/metrics/job/{job}"), "x 1\n").0, 200, "round {round}");
        }
        assert_eq!(server.put("/api/v1/admin/wipe", "").0, 202);
        eventually("everything is gone", || server.own_metric("catchment_series") == 0.0);
    }
}

#[test]
fn two_writers_of_one_group_may_disagree_on_a_kind() {
    let server = Server::start(&["--shards", "4"]);
    std::thread::scope(|scope| {
        for kind in ["counter", "gauge"] {
            let server = &server;
            scope.spawn(move || {
                for round in 0..150 {
                    let body = format!("# TYPE x {kind}\nx {round}\n");
                    assert_eq!(server.put("/replace/metrics/job/a", body), (200, String::new()), "{kind} {round}");
                }
            });
        }
    });
    assert_eq!(server.samples().into_keys().filter(|series| series.starts_with("x{")).count(), 1);
}
