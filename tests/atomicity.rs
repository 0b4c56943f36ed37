//! Whole or nothing, with many at once: what is on the page is exactly what was acknowledged.

#![allow(clippy::expect_used, clippy::panic, reason = "a test stops at its first fault")]

mod common;

use std::fmt::Write as _;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use common::{Server, page, while_working};

const THREADS: usize = 8;

/// Runs `work` with each thread's number, all at once, and returns what they return.
fn on_threads<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|thread| {
                scope.spawn({
                    let work = &work;
                    move || work(thread)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}

/// A push of every kind of family to series that all threads share, and what it adds to the page.
fn good_push(thread: usize, round: usize) -> (String, page::Samples) {
    let (mut body, mut added) = (String::new(), page::Samples::new());
    let mut line = |series: String, value: usize| {
        let _ = writeln!(body, "{series} {value}");
        added.insert(series, value as f64);
    };
    line(format!("# TYPE last_total counter\nfirst_total{{slot=\"{}\"}}", round % 7), 1 + thread);
    for family in 0..3 {
        line(format!("many_{family}{{slot=\"{}\",thread=\"{}\"}}", round % 11, thread % 3), round);
    }
    let slot = (thread + round) % 5;
    let histogram = [
        (format!("# TYPE h histogram\nh_bucket{{slot=\"{slot}\",le=\"1\"}}"), round),
        (format!("h_bucket{{slot=\"{slot}\",le=\"+Inf\"}}"), 2 * round),
        (format!("h_sum{{slot=\"{slot}\"}}"), 3 * round),
        (format!("h_count{{slot=\"{slot}\"}}"), 2 * round),
        (format!("# TYPE s summary\ns_sum{{slot=\"{slot}\"}}"), round),
        (format!("s_count{{slot=\"{slot}\"}}"), 1),
        (format!("last_total{{slot=\"{slot}\"}}"), 1),
    ];
    for (series, value) in histogram {
        line(series, value);
    }
    // Metadata was written with the sample behind it; the page has the sample alone.
    let sample = |(series, value): (String, f64)| (series.lines().last().unwrap_or_default().to_owned(), value);
    (body, added.into_iter().map(sample).collect())
}

/// What spoils a push when it stands at its end.
const SPOILERS: [&str; 6] = [
    "# TYPE settled gauge\nsettled 1\n",
    "last_total NaN\n",
    "spoiled 1\nspoiled 2\n",
    "# TYPE h_count counter\nh_count 1\n",
    "h_bucket{le=\"1\"} 1\nh_bucket{le=\"1.0\"} 1\n",
    "no value\n",
];

#[test]
fn the_page_is_the_sum_of_the_acknowledged_pushes() {
    const ROUNDS: usize = 120;
    let server = Server::start(&["--shards", "5"]);
    server.push_ok("/metrics", "# TYPE settled counter\nsettled 1\n");
    let scrape = |_, _| drop(page::families(&server.page()));
    let sums = while_working(1, scrape, || on_threads(THREADS, |thread| push_good_and_bad(&server, thread, ROUNDS)));
    let mut expected = page::Samples::from([("settled".to_owned(), 1.0)]);
    for (series, value) in sums.into_iter().flatten() {
        *expected.entry(series).or_default() += value;
    }
    assert_eq!(page::samples(&server.page()), expected);
    assert_eq!(server.accepted(), (1 + THREADS * ROUNDS / 2) as f64);
    assert_eq!(server.own_metric("catchment_samples_total"), (1 + THREADS * ROUNDS / 2 * 11) as f64);
}

/// Every second push is spoiled at its end. Returns the sum of the acknowledged ones.
fn push_good_and_bad(server: &Server, thread: usize, rounds: usize) -> page::Samples {
    let mut sum = page::Samples::new();
    for round in 0..rounds {
        let (mut body, added) = good_push(thread, round);
        let is_spoiled = (thread + round).is_multiple_of(2);
        if is_spoiled {
            body.push_str(SPOILERS[(round / 2 + thread) % SPOILERS.len()]);
        }
        let (status, line) = server.push("/metrics", &body);
        assert_eq!(status, if is_spoiled { 400 } else { 202 }, "{line}{body}");
        for (series, value) in added.into_iter().filter(|_| !is_spoiled) {
            *sum.entry(series).or_default() += value;
        }
    }
    sum
}

/// Lines that make `name` a family of each kind; an untyped one would be settled by a counter's or a gauge's.
fn line_of_kind(kind: &str, name: &str) -> String {
    let suffix = match kind {
        "histogram" | "summary" => "_sum",
        _ => "",
    };
    format!("# TYPE {name} {kind}\n{name}{suffix} 1\n")
}

#[test]
fn of_pushes_that_race_for_a_name_one_kind_wins_and_the_others_leave_nothing() {
    const ROUNDS: usize = 60;
    const KINDS: [&str; 4] = ["counter", "gauge", "histogram", "summary"];
    let server = Server::start(&["--workers", "4"]);
    let barrier = Barrier::new(KINDS.len());
    let statuses = on_threads(KINDS.len(), |thread| {
        let race = |round| {
            let (kind, name) = (KINDS[thread], format!("disputed_{round}"));
            let own = format!("own_{kind}_{round} 1\nshared{{round=\"{round}\"}} 1\n");
            barrier.wait();
            server.push("/metrics", own + &line_of_kind(kind, &name)).0
        };
        (0..ROUNDS).map(race).collect::<Vec<u16>>()
    });
    let page = server.page();
    let families = page::families(&page);
    let kind_of = |name: &str| families.iter().find(|family| family.name == name).map(|family| family.kind);
    for round in 0..ROUNDS {
        let winner = kind_of(&format!("disputed_{round}")).expect("somebody won");
        for (kind, statuses) in KINDS.iter().zip(&statuses) {
            let has_won = *kind == winner;
            assert_eq!(statuses[round], if has_won { 202 } else { 400 }, "{kind} in round {round}");
            assert_eq!(kind_of(&format!("own_{kind}_{round}")).is_some(), has_won, "{kind} in round {round}");
        }
    }
    assert!(page::samples(&page).values().all(|value| *value == 1.0));
}

#[test]
fn of_families_that_race_for_a_sample_name_one_wins() {
    const ROUNDS: usize = 60;
    let server = Server::start(&[]);
    let barrier = Barrier::new(2);
    let statuses = on_threads(2, |thread| {
        let race = |round| {
            let body = match thread {
                0 => format!("# TYPE r{round} summary\nr{round}_sum 1\nr{round}_count 5\n"),
                _ => format!("# TYPE r{round}_count counter\nr{round}_count 7\n"),
            };
            barrier.wait();
            server.push("/metrics", body).0
        };
        (0..ROUNDS).map(race).collect::<Vec<u16>>()
    });
    let samples = page::samples(&server.page());
    for round in 0..ROUNDS {
        let shown = samples[&format!("r{round}_count")];
        let expected = if shown == 5.0 { (202, 400) } else { (400, 202) };
        assert_eq!((statuses[0][round], statuses[1][round]), expected, "round {round} shows {shown}");
    }
}

#[test]
fn of_series_that_race_and_that_escaping_would_make_one_only_one_is_shown() {
    const ROUNDS: usize = 60;
    const SPELLINGS: [&str; 3] = ["\"a.b\"", "\"a-b\"", "a_b"];
    let server = Server::start(&["--workers", "3"]);
    let barrier = Barrier::new(SPELLINGS.len());
    let statuses = on_threads(SPELLINGS.len(), |thread| {
        let race = |round| {
            let body = format!("own_{thread}_{round} 1\nx{{{}=\"{round}\"}} 1\n", SPELLINGS[thread]);
            barrier.wait();
            server.push("/metrics", body).0
        };
        (0..ROUNDS).map(race).collect::<Vec<u16>>()
    });
    let samples = page::samples(&server.page());
    let mut taken_in = vec![0.0; ROUNDS];
    for (thread, statuses) in statuses.iter().enumerate() {
        for (round, status) in statuses.iter().enumerate() {
            let is_taken_in = *status == 202;
            taken_in[round] += f64::from(u8::from(is_taken_in));
            let has_own = samples.contains_key(&format!("own_{thread}_{round}"));
            assert_eq!(has_own, is_taken_in, "{} in round {round}", SPELLINGS[thread]);
        }
    }
    for (round, taken_in) in taken_in.iter().enumerate() {
        assert_eq!(samples.get(&format!("x{{a_b=\"{round}\"}}")), Some(taken_in), "round {round}");
    }
}

#[test]
fn pushes_that_all_bring_new_families_are_all_taken_in() {
    const ROUNDS: usize = 100;
    let server = Server::start(&["--workers", "4"]);
    on_threads(THREADS, |thread| {
        for round in 0..ROUNDS {
            let body = format!(
                "# TYPE own_{thread}_{round} gauge\nown_{thread}_{round} 1\n# TYPE h_{thread}_{round} histogram\n\
                 h_{thread}_{round}_count 1\n# HELP shared_{round} Shared.\nshared_{round} 1\n"
            );
            server.push_ok("/metrics", body);
        }
    });
    let samples = page::samples(&server.page());
    assert_eq!(server.own_metric("catchment_families"), (THREADS * ROUNDS * 2 + ROUNDS) as f64);
    let is_complete = |round| samples[&format!("shared_{round}")] == THREADS as f64;
    assert!((0..ROUNDS).all(is_complete));
}

/// What is planned on an older register is planned again; a large push, which takes long to plan, must still get its turn.
#[test]
fn a_large_push_gets_its_turn_though_new_families_come_all_the_time() {
    const MOST: Duration = Duration::from_secs(4);
    let server = Server::start(&["--workers", "4"]);
    let large: String = (0..200_000).map(|series| format!("large{{series=\"{series}\"}} 1\n")).collect();
    server.push_ok("/metrics", &large);
    let create = |thread, round| server.push_ok("/metrics", format!("new_{thread}_{round} 1\n"));
    let took = while_working(3, create, || {
        let start = Instant::now();
        (0..3).for_each(|_| server.push_ok("/metrics", &large));
        start.elapsed()
    });
    assert!(took < MOST, "three large pushes took {took:?}");
    assert_eq!(page::samples(&server.page())["large{series=\"7\"}"], 4.0);
}

/// A gauge settles what was untyped: each acknowledged value is then either added before or set after, never lost between.
#[test]
fn a_family_settled_in_a_race_shows_a_pushed_value() {
    const ROUNDS: usize = 60;
    let server = Server::start(&["--gauges", "max"]);
    let barrier = Barrier::new(2);
    let statuses = on_threads(2, |thread| {
        let race = |round| {
            let kind = ["untyped", "gauge"][thread];
            barrier.wait();
            let body = format!("# TYPE g{round} {kind}\ng{round} {}\n", thread + 1);
            server.push("/metrics", body).0
        };
        (0..ROUNDS).map(race).collect::<Vec<u16>>()
    });
    // An untyped TYPE behind the gauge's contradicts it.
    assert!(statuses[0].iter().all(|status| matches!(status, 202 | 400)));
    assert!(statuses[1].iter().all(|status| *status == 202));
    let samples = page::samples(&server.page());
    assert_eq!(samples.len(), ROUNDS);
    for (series, value) in samples {
        assert!((1.0..=3.0).contains(&value), "{series} is {value}");
    }
}
