//! Native histograms: how they merge. The numbered cases were worked with the code of the standard server.

use catchment_test_schema::Histogram;

use crate::common::Server;
use crate::common::exchange::Push::{Protobuf, Text};
use crate::native_wire::{Native, push_histogram, scraped_histogram, scraped_native, take_histograms};

struct Merge {
    what: &'static str,
    one: Native,
    other: Native,
    merged: Native,
}

fn worked_cases() -> Vec<Merge> {
    // The first histogram of cases 3 to 5.
    let narrow = |fourth| Native::run(0, (0.001, 2.0), -3, &[1.0, 2.0, fourth, 4.0, 3.0], 0.0);
    let wide = |threshold| Native::run(0, (threshold, 5.0), 0, &[1.0, 2.0], 0.0);
    vec![
        Merge {
            what: "1: schemas 2 and 0",
            one: Native::run(2, (0.001, 1.0), 1, &[1.0, 2.0, 3.0, 4.0, 3.0, 0.0, 0.0, 1.0], 20.0),
            other: Native::run(0, (0.001, 2.0), 0, &[1.0, 4.0, 2.0], 12.0),
            merged: Native::run(0, (0.001, 3.0), 0, &[1.0, 14.0, 6.0], 32.0),
        },
        Merge {
            what: "2: schemas 3 and 1, indexes below zero",
            one: Native::run(3, (0.0, 0.0), -3, &[1.0, 2.0, 3.0, 2.0, 2.0], 1.0),
            other: Native::run(1, (0.0, 0.0), -1, &[1.0, 2.0], 1.0),
            merged: Native::run(1, (0.0, 0.0), -1, &[1.0, 10.0, 2.0], 2.0),
        },
        Merge {
            what: "3: the wider zero bucket takes in what lies within it",
            one: narrow(3.0),
            other: wide(0.25),
            merged: Native::run(0, (0.25, 10.0), -1, &[3.0, 5.0, 5.0], 0.0),
        },
        Merge {
            what: "4: a threshold within a bucket that counts something grows to the bucket's bound",
            one: narrow(3.0),
            other: wide(0.3),
            merged: Native::run(0, (0.5, 13.0), 0, &[5.0, 5.0], 0.0),
        },
        Merge {
            what: "5: a threshold within an empty bucket stays",
            one: narrow(0.0),
            other: wide(0.3),
            merged: Native::run(0, (0.3, 10.0), 0, &[5.0, 5.0], 0.0),
        },
        Merge {
            what: "7: what the zero bucket takes in is not counted again (the standard server counts it twice)",
            one: Native::run(0, (2f64.powf(0.25), 5.0), 2, &[3.0], 0.0),
            other: Native::run(2, (0.0, 1.0), 1, &[10.0, 20.0], 0.0),
            merged: Native::run(0, (2f64.powf(0.25), 16.0), 1, &[20.0, 3.0], 0.0),
        },
        Merge {
            what: "buckets on both sides, with gaps",
            one: Native {
                negative: vec![(-4, 1.0), (2, 2.0)],
                positive: vec![(7, 3.0)],
                sum: -1.5,
                ..Native::default()
            },
            other: Native { negative: vec![(-5, 4.0), (2, 8.0)], positive: vec![(8, 16.0)], ..Native::default() },
            merged: Native {
                negative: vec![(-5, 4.0), (-4, 1.0), (2, 10.0)],
                positive: vec![(7, 3.0), (8, 16.0)],
                sum: -1.5,
                ..Native::default()
            },
        },
        Merge {
            what: "the coarsest and the finest",
            one: Native::run(8, (0.0, 0.0), 1, &[1.0; 5000], 1.0),
            other: Native::run(-4, (0.0, 0.0), 0, &[1.0, 1.0], 1.0),
            // 2^(5000/256) is above 2^16.
            merged: Native::run(-4, (0.0, 0.0), 0, &[1.0, 4097.0, 904.0], 2.0),
        },
        Merge {
            what: "the bucket above the greatest float stays that",
            one: Native::run(8, (0.0, 0.0), 262_145, &[1.0], f64::INFINITY),
            other: Native::run(0, (0.0, 0.0), 1025, &[2.0], f64::INFINITY),
            merged: Native::run(0, (0.0, 0.0), 1025, &[3.0], f64::INFINITY),
        },
        Merge {
            what: "schemas 0 and 8",
            one: Native::run(8, (0.0, 0.0), 256, &[1.0, 2.0], 4.0),
            other: Native::run(0, (0.0, 0.0), 1, &[4.0, 8.0], 16.0),
            merged: Native::run(0, (0.0, 0.0), 1, &[5.0, 10.0], 20.0),
        },
        Merge {
            what: "with one that has seen nothing yet",
            one: Native::run(3, (0.001, 2.0), -3, &[1.0, 2.0, 3.0], 4.0),
            other: Native::run(3, (0.001, 0.0), 0, &[], 0.0),
            merged: Native::run(3, (0.001, 2.0), -3, &[1.0, 2.0, 3.0], 4.0),
        },
    ]
}

#[test]
fn they_merge_as_the_standard_server_does_it_in_either_order_and_either_form() {
    for case in worked_cases() {
        let what = case.what;
        for (first, second) in [(&case.one, &case.other), (&case.other, &case.one)] {
            let forms = [first.to_integers(), first.to_floats()];
            for (form, first) in forms.into_iter().enumerate() {
                let server = Server::start(&[]);
                take_histograms(&server, [first, second.to_wire()]);
                let scraped = scraped_histogram(&server);
                assert_eq!(Native::from_wire(&scraped).as_ref(), Some(&case.merged), "{what}, form {form}");
                assert_eq!(scraped.sample_count_float, None, "{what}: whole counts are integers on the wire");
            }
        }
    }
}

#[test]
fn one_push_comes_back_as_it_was() {
    let histograms = [
        Native::run(8, (1e-128, 3.0), 1, &[2.0; 1000], 5.5),
        Native::run(8, (0.0, 0.0), -20_000, &[1.0; 1000], 0.25),
        Native::run(-4, (0.0, 0.0), -60, &[1.0, 0.0, 2.0], 1.0),
        Native { negative: (-500..500).map(|index| (index * 3, 1.0)).collect(), schema: 5, ..Native::default() },
        Native { zero_count: 7.0, zero_threshold: f64::MAX, ..Native::default() },
        Native { zero_threshold: 5e-324, sum: -0.0, ..Native::default() },
        Native::run(0, (0.0, 0.5), 0, &[0.25, 1e300, 5e-324], 1.0),
        // 2^53: the greatest whole count before floats get gaps.
        Native::run(0, (0.0, 0.0), 0, &[9_007_199_254_740_992.0], 1.0),
    ];
    for histogram in histograms {
        let server = Server::start(&[]);
        take_histograms(&server, [histogram.to_wire()]);
        let scraped = scraped_histogram(&server);
        assert_eq!((scraped.schema(), scraped.zero_threshold()), (histogram.schema, histogram.zero_threshold));
        assert!(scraped == histogram.to_wire(), "schema {}: other buckets", histogram.schema);
        assert_eq!(scraped.sample_sum().to_bits(), histogram.sum.to_bits(), "-0 is not 0");
    }
}

#[test]
fn schemas_finer_than_the_finest_are_lowered() {
    // Schema 9 has two buckets for each of schema 8, schema 52 has 2^44.
    let cases = [
        (9, vec![(1, 1.0), (2, 2.0), (3, 4.0)], vec![(1, 3.0), (2, 4.0)]),
        (52, vec![(1, 1.0), (1_000_000_000, 2.0)], vec![(1, 3.0)]),
    ];
    for (schema, pushed, shown) in cases {
        let server = Server::start(&[]);
        take_histograms(&server, [Native { schema, positive: pushed, ..Native::default() }.to_wire()]);
        assert_eq!(scraped_native(&server), Native { schema: 8, positive: shown, ..Native::default() });
    }
}

/// Buckets beyond the limit make the resolution lower; nothing is lost, nothing is refused.
#[test]
fn the_bucket_limit_lowers_the_resolution() {
    let pushed = Native::run(8, (0.0, 1.0), 1, &[1.0; 10_000], 5.0);
    // Of schema 4, one bucket holds 16 of schema 8.
    let lowered = Native::run(4, (0.0, 1.0), 1, &[16.0; 625], 5.0);
    let twice = Native { sum: 10.0, ..Native::run(4, (0.0, 2.0), 1, &[32.0; 625], 10.0) };
    let server = Server::start(&[]);
    take_histograms(&server, [pushed.to_wire()]);
    assert_eq!(scraped_native(&server), lowered);
    take_histograms(&server, [pushed.to_wire()]);
    assert_eq!(scraped_native(&server), twice, "a finer one fits what is stored");
    let below_zero = Native { schema: 4, negative: twice.positive.clone(), ..Native::default() };
    take_histograms(&server, [below_zero.to_wire()]);
    let merged = scraped_native(&server);
    assert_eq!(
        (merged.schema, merged.negative.len(), merged.positive.len()),
        (3, 313, 313),
        "1250 buckets are too many"
    );
}

#[test]
fn whole_counts_are_integers_and_others_floats_whatever_was_pushed() {
    let half = Native::run(0, (0.0, 0.5), 0, &[1.5], 1.0);
    let whole = Native::run(0, (0.0, 1.0), 0, &[2.0], 1.0);
    // Pushes, and whether the page has integers after them.
    let cases: [(&[Histogram], bool); 5] = [
        (&[whole.to_integers()], true),
        (&[whole.to_floats()], true),
        (&[half.to_floats()], false),
        (&[half.to_floats(), whole.to_integers()], false),
        (&[half.to_floats(), whole.to_integers(), half.to_floats()], true),
    ];
    for (pushes, are_integers) in cases {
        let server = Server::start(&[]);
        take_histograms(&server, pushes.iter().cloned());
        let scraped = scraped_histogram(&server);
        let has_integers = scraped.sample_count.is_some() && !scraped.positive_delta.is_empty();
        let has_floats = scraped.sample_count_float.is_some() && !scraped.positive_count.is_empty();
        assert_eq!((has_integers, has_floats), (are_integers, !are_integers), "{scraped:?}");
        let counts = pushes.iter().map(|push| Native::from_wire(push).expect("native").count());
        assert_eq!(scraped_native(&server).count(), counts.sum::<f64>());
    }
}

/// NaN is observed, but in no bucket.
#[test]
fn observations_of_nan_are_counted() {
    let mut pushed = Native::run(0, (0.0, 1.0), 0, &[2.0], f64::NAN).to_wire();
    pushed.set_sample_count(5);
    let server = Server::start(&[]);
    take_histograms(&server, [pushed.clone(), pushed]);
    let scraped = scraped_histogram(&server);
    assert_eq!(scraped.sample_count(), 10);
    assert!(scraped.sample_sum().is_nan());
    assert_eq!(scraped_native(&server).count(), 6.0);
}

#[test]
fn classic_and_native_parts_merge_each_by_its_rule() {
    const BOTH: &str = "name: 'h' type: HISTOGRAM metric { histogram { sample_count: 2 sample_sum: 3
        bucket { cumulative_count: 1 upper_bound: 1 } bucket { cumulative_count: 2 upper_bound: inf }
        schema: 0 positive_span { offset: 0 length: 2 } positive_delta: 1 positive_delta: 0 } }";
    let server = Server::start(&[]);
    server.take(Protobuf(&[BOTH]));
    server.take(Protobuf(&[BOTH]));
    assert_eq!(scraped_native(&server), Native::run(0, (0.0, 0.0), 0, &[2.0, 2.0], 6.0));
    let text = "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 4\nh_sum 6\nh_count 4\n";
    assert_eq!(server.page(), text);

    // What brings one part only leaves the other as it is.
    server.take(Text("# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 0.5\nh_count 1\n"));
    let text = "# TYPE h histogram\nh_bucket{le=\"1\"} 3\nh_bucket{le=\"+Inf\"} 5\nh_sum 6.5\nh_count 5\n";
    assert_eq!(server.page(), text);
    let native: Vec<_> = scraped_histogram(&server).positive_delta;
    assert_eq!(native, [2, 0]);
}

/// The exemplars of native buckets: the ten newest are kept.
#[test]
fn the_newest_exemplars_are_kept() {
    let server = Server::start(&[]);
    for push in 0..3 {
        let mut pushed = Native::run(0, (0.0, 0.0), 0, &[6.0], 6.0).to_wire();
        for exemplar in 0..6 {
            let number = push * 6 + exemplar;
            let text = format!("value: {number} timestamp {{ seconds: {} }}", 100 + number);
            pushed.exemplars.push(catchment_test_schema::text_format::parse_from_str(&text).expect("an exemplar"));
        }
        assert_eq!(push_histogram(&server, pushed), (202, String::new()));
    }
    let mut kept: Vec<f64> = scraped_histogram(&server).exemplars.iter().map(|exemplar| exemplar.value()).collect();
    kept.sort_by(f64::total_cmp);
    assert_eq!(kept, (8..18).map(f64::from).collect::<Vec<_>>());
}
