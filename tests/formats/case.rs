//! One row of the tables: pushes that mean the same, and what every format must show of them.

use std::collections::BTreeSet;

use catchment_test_schema::{MetricFamily, family, print};

use crate::common::Server;
use crate::common::exchange::{Format, Push};

/// Pushes in different formats that say the same, and the pages after any one of them.
pub struct Case {
    pub what: &'static str,
    pub pushes: &'static [Push],
    /// Text 0.0.4, and 1.0.0 where all names are legacy ones.
    pub text: &'static str,
    /// Without the `# EOF`, which every page ends with.
    pub openmetrics: &'static str,
    /// Each family in protobuf's text form.
    pub protobuf: &'static [&'static str],
}

#[track_caller]
pub fn check(cases: &[Case]) {
    for case in cases {
        for push in case.pushes {
            let server = Server::start(&[]);
            server.take(*push);
            check_pages(&server, case, push.format());
        }
        check_that_all_are_one_family(case);
    }
}

#[track_caller]
fn check_pages(server: &Server, case: &Case, pushed: Format) {
    let what = case.what;
    assert_eq!(server.scrape_text(Format::Text), case.text, "{what}: {pushed:?} as text 0.0.4");
    assert_eq!(server.scrape_text(Format::Utf8Text), case.text, "{what}: {pushed:?} as text 1.0.0");
    let openmetrics = format!("{}# EOF\n", case.openmetrics);
    assert_eq!(server.scrape_text(Format::OpenMetrics), openmetrics, "{what}: {pushed:?} as OpenMetrics");
    check_families(&server.scrape_families(), case.protobuf, &format!("{what}: {pushed:?} as protobuf"));
}

/// Whatever brought them, they are the same families with the same series.
#[track_caller]
fn check_that_all_are_one_family(case: &Case) {
    let server = Server::start(&[]);
    for push in case.pushes.iter().chain(case.pushes.iter().rev()) {
        server.take(*push);
    }
    for format in [Format::Text, Format::OpenMetrics] {
        let expected =
            if format == Format::Text { case.text.to_owned() } else { format!("{}# EOF\n", case.openmetrics) };
        let page = server.scrape_text(format);
        assert_eq!(series(&page), series(&expected), "{}: all pushed to one server, as {format:?}", case.what);
    }
}

/// The lines of a page without their values.
fn series(page: &str) -> BTreeSet<&str> {
    let without_value = |line| match line {
        _ if str::starts_with(line, "#") => line,
        _ => line.split(" # ").next().and_then(|sample| sample.rsplit_once(' ')).map_or(line, |(series, _)| series),
    };
    page.lines().map(without_value).collect()
}

/// Compares what was scraped with families in text form. Series stand shard by shard, so their order is not compared.
#[track_caller]
pub fn check_families(scraped: &[MetricFamily], expected: &[&str], what: &str) {
    let in_order = |mut family: MetricFamily| {
        family.metric.sort_by_key(|metric| metric.to_string());
        print(&family)
    };
    let scraped: Vec<_> = scraped.iter().cloned().map(in_order).collect();
    let expected: Vec<_> = expected.iter().map(|text| in_order(family(text))).collect();
    assert_eq!(scraped, expected, "{what}");
}
