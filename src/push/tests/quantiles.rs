//! Quantiles: kept where a push says what is shown, checked and dropped where summaries are merged.

use super::*;
use crate::exposition::proto;
use prost::Message;

fn whole(quantiles: &[(f64, f64)]) -> Vec<u8> {
    let quantile = quantiles
        .iter()
        .map(|&(quantile, value)| proto::Quantile { quantile: Some(quantile), value: Some(value) })
        .collect();
    let summary = proto::Summary { sample_count: Some(2), quantile, ..proto::Summary::default() };
    let family = proto::MetricFamily {
        name: Some("s".to_owned()),
        r#type: Some(proto::MetricType::Summary as i32),
        metric: vec![proto::Metric { summary: Some(summary), ..proto::Metric::default() }],
        ..proto::MetricFamily::default()
    };
    family.encode_length_delimited_to_vec()
}

#[test]
fn quantiles_are_kept_in_order_where_values_are_replaced() {
    let text = "# TYPE s summary\ns{quantile=\"0.9\"} NaN\ns{quantile=\"0.50\"} 1\ns_count 2\n";
    let openmetrics = format!("{text}# EOF\n");
    let whole = whole(&[(0.9, f64::NAN), (0.5, 1.0)]);
    let pushes = [
        (PushFormat::Text, text.as_bytes()),
        (PushFormat::OpenMetrics, openmetrics.as_bytes()),
        (PushFormat::Protobuf, &whole),
    ];
    for (format, body) in pushes {
        for door in Door::ALL {
            for summaries in [SummaryPolicy::SumCount, SummaryPolicy::Discard] {
                let mut fixture = Fixture::new(1).by(door);
                fixture.rules.summaries = summaries;
                let push = fixture.assemble_as(format, body, &GroupLabels::default()).expect("valid");
                let expected = match (door, summaries) {
                    (Door::Replace, _) => vec!["0.5:1 0.9:NaN sum None count Some(2.0)"],
                    (_, SummaryPolicy::SumCount) => vec!["sum None count Some(2.0)"],
                    (_, SummaryPolicy::Discard) => vec![],
                };
                assert_eq!(contents(&push).into_values().collect::<Vec<_>>(), expected, "{format:?} {door:?}");
            }
        }
    }
}

#[test]
fn quantiles_are_checked_at_every_door() {
    let line = |quantile: &str| format!("s{{quantile=\"{quantile}\"}} 1\n");
    let text = |lines: String| format!("# TYPE s summary\n{lines}").into_bytes();
    let many = || (0..1001).map(|quantile| line(&quantile.to_string())).collect::<String>();
    let values: Vec<(f64, f64)> = (0..1001).map(|quantile| (f64::from(quantile), 1.0)).collect();
    let twice = "each series once in a push, got s{quantile=\"0.5\"} again";
    let cases = [
        (PushFormat::Text, text(line("0.5") + &line(".50")), format!("line 3: expected {twice}"), true),
        (
            PushFormat::Protobuf,
            whole(&[(0.0, 1.0), (0.5, 1.0), (-0.0, 2.0)]),
            "metric 1: expected each quantile once in a summary, got 0 twice".to_owned(),
            true,
        ),
        (
            PushFormat::Protobuf,
            whole(&[(f64::NAN, 1.0)]),
            "metric 1: expected a number as quantile, got NaN".to_owned(),
            true,
        ),
        (
            PushFormat::Text,
            text(many()),
            "line 1002: expected at most 1000 quantiles in a summary, got more".into(),
            false,
        ),
        (
            PushFormat::Protobuf,
            whole(&values),
            "metric 1: expected at most 1000 quantiles in a summary, got more".into(),
            false,
        ),
    ];
    for (format, body, expected, is_for_all) in cases {
        for door in Door::ALL {
            let fixture = Fixture::new(1).by(door);
            let refused = fixture.assemble_as(format, &body, &GroupLabels::default()).map(|_| ());
            let is_refused = is_for_all || door == Door::Replace;
            let expected = if is_refused { Err(expected.clone()) } else { Ok(()) };
            assert_eq!(refused.map_err(|error| error.to_string()), expected, "{door:?}");
        }
    }
}

proptest! {
    /// Whatever is kept is read again from every format's page as it was.
    #[test]
    fn quantiles_come_back_from_every_page(
        quantiles in proptest::collection::btree_map(0u8..=100, 0.0f64..1e9, 0..6),
        labels in prop_oneof![Just(""), Just("z=\"1\""), Just("\"a.b\"=\"x\",z=\"1\"")],
    ) {
        use crate::exposition::shown::ShownFamily;
        use crate::exposition::format::{Format, FormatKind};
        use crate::exposition::proto_encode::begin_family;
        use crate::exposition::{SeriesLabels, end_mark, write_header, write_series};
        use crate::model::name::Escaping;
        use crate::model::value::{Quantile, Value};

        let quantiles =
            quantiles.into_iter().map(|(percent, value)| Quantile { quantile: f64::from(percent) / 100.0, value }).collect();
        let summary = Summary { quantiles, sum: Some(4.0), count: Some(2.0), ..Summary::default() };
        let value = Value::Summary(Box::new(summary.clone()));
        let family = Arc::new(Family::new(0, "s", MetricKind::Summary));
        let shown = ShownFamily::new(&family, MetricKind::Summary, Escaping::AllowUtf8);
        let pages = [
            (PushFormat::Text, FormatKind::Text1_0_0),
            (PushFormat::OpenMetrics, FormatKind::OpenMetrics1_0_0),
            (PushFormat::Protobuf, FormatKind::Protobuf),
        ];
        for (format, kind) in pages {
            let shown_as = Format { kind, escaping: Escaping::AllowUtf8 };
            let (mut page, mut series) = (Vec::new(), Vec::new());
            write_series(&mut series, shown_as, &shown, SeriesLabels { text: labels, shape: None }, &value, 0);
            match format {
                PushFormat::Protobuf => begin_family(&mut page, &shown, series.len()),
                _ => write_header(&mut page, shown_as, &shown),
            }
            page.append(&mut series);
            page.extend_from_slice(end_mark(shown_as));
            let push = Fixture::new(1).by(Door::Replace).assemble_as(format, &page, &GroupLabels::default());
            let push = push.expect("what is shown can be read");
            prop_assert_eq!(&push.batches[0].summaries[0].summary, &summary);
            prop_assert_eq!(push.batches[0].key(push.batches[0].summaries[0].series), labels);
        }
    }
}
