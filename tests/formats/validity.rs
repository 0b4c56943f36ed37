//! Every page can be read by strict readers, and by Catchment itself, whatever was pushed.

use catchment_test_schema::{family, write_delimited};

use crate::common::Server;
use crate::common::exchange::Format;
use crate::common::exchange::Push::{self, OpenMetrics, Protobuf, Text};
use crate::native_wire::scraped_histogram;

fn openmetrics(server: &Server, escaping: &str) -> String {
    let accept = format!("application/openmetrics-text;version=1.0.0;escaping={escaping}");
    server.scrape_with(&[("Accept", accept.as_str())]).text()
}

#[track_caller]
fn openmetrics_after(flags: &[&str], pushes: &[Push]) -> String {
    let server = Server::start(flags);
    pushes.iter().for_each(|push| server.take(*push));
    server.scrape_text(Format::OpenMetrics)
}

/// The standard server demands of whole counts that they are the sum of the buckets.
#[test]
fn float_histograms_that_contradict_themselves_stay_floats() {
    for count in [1.0, 10.0] {
        let server = Server::start(&[]);
        let pushed = format!(
            "name: 'h' type: HISTOGRAM metric {{ histogram {{ sample_count_float: {count} sample_sum: 1 schema: 0
             positive_span {{ offset: 1 length: 2 }} positive_count: 1 positive_count: 2 }} }}"
        );
        server.take_as(Format::Protobuf, &write_delimited(&[family(&pushed)]));
        let scraped = scraped_histogram(&server);
        assert_eq!((scraped.sample_count, scraped.sample_count_float), (None, Some(count)));
        Server::start(&[]).take_as(Format::Protobuf, &server.scrape(Format::Protobuf));
    }
}

#[test]
fn an_info_does_not_leave_the_page_with_old_gauges() {
    let pushes = [Text("# TYPE a gauge\na 1\n"), OpenMetrics("# TYPE a info\na_info{v=\"1\"} 1\n")];
    let page = openmetrics_after(&["--gauges", "max"], &pushes);
    assert!(page.contains("a_info{v=\"1\"} 1\n"), "{page}");
}

#[test]
fn a_state_tells_which_whatever_the_format() {
    let server = Server::start(&[]);
    server.take(OpenMetrics("# TYPE s stateset\ns{s=\"on\"} 1\n"));
    let refused = (400, "line 2: expected a label s that tells the state, got {other=\"on\"}\n".to_owned());
    assert_eq!(server.push("/metrics", "# TYPE s gauge\ns{other=\"on\"} 1\n"), refused);
    server.take(Text("# TYPE s gauge\ns{s=\"off\"} 0\n"));
    let page = server.scrape_text(Format::OpenMetrics);
    assert_eq!(page, "# TYPE s stateset\ns{s=\"off\"} 0\ns{s=\"on\"} 1\n# EOF\n");
    // As a label the name may be another.
    let server = Server::start(&[]);
    server.take(OpenMetrics("# TYPE a:b stateset\na:b{\"a:b\"=\"on\"} 1\n"));
    assert_eq!(openmetrics(&server, "allow-utf-8"), "# TYPE a:b stateset\na:b{\"a:b\"=\"on\"} 1\n# EOF\n");
    assert_eq!(openmetrics(&server, "underscores"), "# TYPE a:b gauge\na:b{a_b=\"on\"} 1\n# EOF\n");
}

#[test]
fn zero_is_one_bound_whatever_its_sign() {
    let bucket = |le: &str, count: u8, id: &str| {
        format!("h_bucket{{le=\"{le}\"}} {count} # {{id=\"{id}\"}} 0\nh_bucket{{le=\"+Inf\"}} {count}\n")
    };
    let body = |le, id| format!("# TYPE h histogram\n{}# EOF\n", bucket(le, 1, id));
    let server = Server::start(&[]);
    server.take_as(Format::OpenMetrics, body("0.0", "plus").as_bytes());
    server.take_as(Format::OpenMetrics, body("-0.0", "minus").as_bytes());
    let expected = format!("# TYPE h histogram\n{}# EOF\n", bucket("0.0", 2, "minus"));
    assert_eq!(server.scrape_text(Format::OpenMetrics), expected);
}

#[test]
fn an_exemplar_that_escaping_makes_too_long_is_left_out() {
    let server = Server::start(&[]);
    let name = format!("a{}", "é".repeat(60));
    let exemplar = format!("exemplar {{ label {{ name: '{name}' value: '1' }} value: 1 }}");
    let pushed = format!("name: 'c_total' type: COUNTER metric {{ counter {{ value: 1 {exemplar} }} }}");
    server.take_as(Format::Protobuf, &write_delimited(&[family(&pushed)]));
    assert_eq!(
        openmetrics(&server, "allow-utf-8"),
        format!("# TYPE c counter\nc_total 1 # {{\"{name}\"=\"1\"}} 1\n# EOF\n")
    );
    assert_eq!(openmetrics(&server, "values"), "# TYPE c counter\nc_total 1\n# EOF\n");
    let protobuf = Format::Protobuf.content_type();
    let page = server.scrape_with(&[("Accept", format!("{protobuf};escaping=values").as_str())]);
    Server::start(&[]).take_as(Format::Protobuf, &page.body);
}

/// Under `dots` the name would be that of the metric.
#[test]
fn no_label_is_shown_as_the_name_of_the_metric() {
    let server = Server::start(&[]);
    server.take(Text("x{_name_=\"foo\",a_b=\"1\"} 1\n"));
    let page = server.scrape_with(&[("Accept", "text/plain;escaping=dots")]).text();
    assert_eq!(page, "# TYPE x untyped\nx{_name_=\"foo\",a__b=\"1\"} 1\n");
}

#[test]
fn families_without_series_take_no_room() {
    let server = Server::start(&["--max-families", "2"]);
    let empty: Vec<_> = (0..10).map(|number| family(&format!("name: 'f{number}' type: GAUGE"))).collect();
    server.take_as(Format::Protobuf, &write_delimited(&empty));
    server.take(Protobuf(&["name: 'a' type: GAUGE metric { gauge { value: 1 } }"]));
    assert_eq!(server.page(), "# TYPE a gauge\na 1\n");
}
