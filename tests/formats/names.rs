//! Names beyond the legacy ones under the four escapings, units, and texts with escapes.

use catchment_test_schema::read_delimited;

use crate::case::{Case, check, check_families};
use crate::common::Server;
use crate::common::exchange::Format;
use crate::common::exchange::Push::{OpenMetrics, Protobuf, Text};

const PROTOBUF: &str = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// What a scheme makes of the names that are pushed below.
struct Shown {
    escaping: &'static str,
    gauge: &'static str,
    /// A label's name, in quotes where it is shown in quotes.
    label: &'static str,
    /// A legacy name and a legacy label's.
    legacy: &'static str,
    legacy_label: &'static str,
}

const SCHEMES: [Shown; 4] = [
    Shown {
        escaping: "allow-utf-8",
        gauge: "my.gä uge_1",
        label: "\"lab.el-2\"",
        legacy: "plain_name",
        legacy_label: "x_y",
    },
    Shown {
        escaping: "underscores",
        gauge: "my_g__uge_1",
        label: "lab_el_2",
        legacy: "plain_name",
        legacy_label: "x_y",
    },
    Shown {
        escaping: "dots",
        gauge: "my_dot_g____uge__1",
        label: "lab_dot_el__2",
        legacy: "plain__name",
        legacy_label: "x__y",
    },
    Shown {
        escaping: "values",
        gauge: "U__my_2e_g_e4__20_uge__1",
        label: "U__lab_2e_el_2d_2",
        legacy: "plain_name",
        legacy_label: "x_y",
    },
];

impl Shown {
    fn is_quoted(&self) -> bool {
        self.escaping == "allow-utf-8"
    }

    /// `my.gä uge_1` with its label, and the legacy gauge, as lines of text.
    fn lines(&self) -> String {
        let Self { gauge, label, legacy, legacy_label, .. } = self;
        let (head, sample) = match self.is_quoted() {
            true => (format!("\"{gauge}\""), format!("{{\"{gauge}\",{label}=\"é\"}}")),
            false => ((*gauge).to_owned(), format!("{gauge}{{{label}=\"é\"}}")),
        };
        let mut families = [
            (*gauge, format!("# HELP {head} Mine.\n# TYPE {head} gauge\n{sample} 1\n")),
            (*legacy, format!("# TYPE {legacy} gauge\n{legacy}{{{legacy_label}=\"1\"}} 2\n")),
        ];
        families.sort();
        families.map(|(_, lines)| lines).concat()
    }

    fn families(&self) -> [String; 2] {
        let Self { gauge, label, legacy, legacy_label, .. } = self;
        let label = label.trim_matches('"');
        let metric = |label, value, number| {
            format!("metric {{ label {{ name: '{label}' value: '{value}' }} gauge {{ value: {number} }} }}")
        };
        let mut families = [
            (*gauge, format!("name: '{gauge}' help: 'Mine.' type: GAUGE {}", metric(label, "é", 1))),
            (*legacy, format!("name: '{legacy}' type: GAUGE {}", metric(legacy_label, "1", 2))),
        ];
        families.sort();
        families.map(|(_, family)| family)
    }
}

#[test]
fn names_of_any_letters_come_in_by_every_format_and_leave_by_every_escaping() {
    let lines = "# TYPE \"my.gä uge_1\" gauge\n# HELP \"my.gä uge_1\" Mine.\n{\"my.gä uge_1\",\"lab.el-2\"=\"é\"} 1\n\
                 # TYPE plain_name gauge\nplain_name{x_y=\"1\"} 2\n";
    const FAMILIES: &[&str] = &[
        "name: 'my.gä uge_1' help: 'Mine.' type: GAUGE
         metric { label { name: 'lab.el-2' value: 'é' } gauge { value: 1 } }",
        "name: 'plain_name' type: GAUGE metric { label { name: 'x_y' value: '1' } gauge { value: 2 } }",
    ];
    for push in [Text(lines), OpenMetrics(lines), Protobuf(FAMILIES)] {
        let server = Server::start(&[]);
        server.take(push);
        for shown in &SCHEMES {
            check_scheme(&server, shown);
        }
    }
}

#[track_caller]
fn check_scheme(server: &Server, shown: &Shown) {
    let escaping = shown.escaping;
    let or_none = |content_type: &str| match escaping {
        "underscores" => content_type.to_owned(),
        _ => format!("{content_type}; escaping={escaping}"),
    };
    let always = |content_type: &str| format!("{content_type}; escaping={escaping}");
    let openmetrics = shown.lines() + "# EOF\n";
    let cases = [
        ("text/plain;version=0.0.4", or_none("text/plain; version=0.0.4; charset=utf-8"), shown.lines()),
        ("text/plain;version=1.0.0", always("text/plain; version=1.0.0; charset=utf-8"), shown.lines()),
        (
            "application/openmetrics-text;version=1.0.0",
            always("application/openmetrics-text; version=1.0.0; charset=utf-8"),
            openmetrics.clone(),
        ),
        (
            "application/openmetrics-text;version=0.0.1",
            or_none("application/openmetrics-text; version=0.0.1; charset=utf-8"),
            openmetrics,
        ),
    ];
    for (accept, content_type, page) in cases {
        let accept = format!("{accept};escaping={escaping}");
        let reply = server.scrape_with(&[("Accept", &accept)]);
        assert_eq!((reply.status, reply.header("Content-Type")), (200, content_type.as_str()), "{accept}");
        assert_eq!(reply.text(), page, "{accept}");
    }
    let reply = server.scrape_with(&[("Accept", &format!("{PROTOBUF}; escaping={escaping}"))]);
    assert_eq!((reply.status, reply.header("Content-Type")), (200, or_none(PROTOBUF).as_str()));
    let expected = shown.families();
    let scraped = read_delimited(&reply.body).expect("whole families");
    check_families(&scraped, &expected.each_ref().map(String::as_str), escaping);
}

/// The page is in the order of the names it shows, and a name that becomes another's is refused at the door.
#[test]
fn suffixes_are_part_of_quoted_names() {
    let server = Server::start(&[]);
    server.take(Text("# TYPE \"a.total\" counter\n{\"a.total\"} 1\n"));
    server.take(Text(
        "# TYPE \"h.x\" histogram\n{\"h.x_bucket\",le=\"1\"} 1\n{\"h.x_bucket\",le=\"+Inf\"} 2\n{\"h.x_sum\"} 3\n{\"h.x_count\"} 2\n",
    ));
    server.take(OpenMetrics(
        "# TYPE \"c.x\" counter\n{\"c.x_total\",\"l.l\"=\"1\"} 4\n{\"c.x_created\",\"l.l\"=\"1\"} 5\n",
    ));
    let openmetrics = "# TYPE \"a.total\" counter\n{\"a.total_total\"} 1\n\
        # TYPE \"c.x\" counter\n{\"c.x_total\",\"l.l\"=\"1\"} 4\n{\"c.x_created\",\"l.l\"=\"1\"} 5\n\
        # TYPE \"h.x\" histogram\n{\"h.x_bucket\",le=\"1.0\"} 1\n{\"h.x_bucket\",le=\"+Inf\"} 2\n{\"h.x_sum\"} 3\n{\"h.x_count\"} 2\n# EOF\n";
    assert_eq!(server.scrape_text(Format::OpenMetrics), openmetrics);
    let text = "# TYPE \"a.total\" counter\n{\"a.total\"} 1\n\
        # TYPE \"c.x_total\" counter\n{\"c.x_total\",\"l.l\"=\"1\"} 4\n\
        # TYPE \"h.x\" histogram\n{\"h.x_bucket\",le=\"1\"} 1\n{\"h.x_bucket\",le=\"+Inf\"} 2\n{\"h.x_sum\"} 3\n{\"h.x_count\"} 2\n";
    assert_eq!(server.scrape_text(Format::Utf8Text), text);
    assert_eq!(
        server.scrape_text(Format::Text),
        text.replace("{\"a.total\"}", "a_total")
            .replace("\"a.total\"", "a_total")
            .replace("{\"c.x_total\",\"l.l\"", "c_x_total{l_l")
            .replace("\"c.x_total\"", "c_x_total")
            .replace("{\"h.x_bucket\",", "h_x_bucket{")
            .replace("{\"h.x_sum\"}", "h_x_sum")
            .replace("{\"h.x_count\"}", "h_x_count")
            .replace("\"h.x\"", "h_x")
    );
}

#[test]
fn names_with_quotes_backslashes_and_line_feeds_are_escaped_in_quotes() {
    check(&[Case {
        what: "a label value and a help of everything",
        pushes: &[
            Text("# HELP g a \"b\" \\\\ c\\nd\n# TYPE g gauge\ng{l=\"a \\\"b\\\" \\\\ c\\nd\"} 1\n"),
            OpenMetrics("# HELP g a \\\"b\\\" \\\\ c\\nd\n# TYPE g gauge\ng{l=\"a \\\"b\\\" \\\\ c\\nd\"} 1\n"),
            Protobuf(&["name: 'g' help: 'a \"b\" \\\\ c\\nd' type: GAUGE
                 metric { label { name: 'l' value: 'a \"b\" \\\\ c\\nd' } gauge { value: 1 } }"]),
        ],
        text: "# HELP g a \"b\" \\\\ c\\nd\n# TYPE g gauge\ng{l=\"a \\\"b\\\" \\\\ c\\nd\"} 1\n",
        openmetrics: "# HELP g a \\\"b\\\" \\\\ c\\nd\n# TYPE g gauge\ng{l=\"a \\\"b\\\" \\\\ c\\nd\"} 1\n",
        protobuf: &["name: 'g' help: 'a \"b\" \\\\ c\\nd' type: GAUGE
             metric { label { name: 'l' value: 'a \"b\" \\\\ c\\nd' } gauge { value: 1 } }"],
    }]);
    let server = Server::start(&[]);
    server.take(Protobuf(&["name: 'a\"b\\\\c\\nd' type: GAUGE
        metric { label { name: 'x\"y\\\\z\\n' value: '1' } gauge { value: 1 } }"]));
    let name = "\"a\\\"b\\\\c\\nd\"";
    let page = format!("# TYPE {name} gauge\n{{{name},\"x\\\"y\\\\z\\n\"=\"1\"}} 1\n");
    assert_eq!(server.scrape_text(Format::Utf8Text), page);
    assert_eq!(server.scrape_text(Format::OpenMetrics), format!("{page}# EOF\n"));
    assert_eq!(server.page(), "# TYPE a_b_c_d gauge\na_b_c_d{x_y_z_=\"1\"} 1\n");
}

/// Labels of the path may be escaped by values, as some clients can send nothing else.
#[test]
fn path_labels_are_unescaped() {
    let cases = [
        ("U__a_2e_b", "\"a.b\""),
        ("U__a__b", "a_b"),
        ("U___e9_t", "\"ét\""),
        ("U__plain", "plain"),
        ("U__a_2e", "U__a_2e"),
        ("U__a_zz_b", "U__a_zz_b"),
        ("U__a_d800_b", "U__a_d800_b"),
        ("a_2e_b", "a_2e_b"),
    ];
    for (segment, label) in cases {
        let server = Server::start(&[]);
        server.push_ok(&format!("/metrics/job/x/{segment}/v"), "m 1\n");
        let page = server.scrape_text(Format::Utf8Text);
        let mut labels = [format!("{label}=\"v\""), "job=\"x\"".to_owned()];
        labels.sort();
        assert_eq!(page, format!("# TYPE m untyped\nm{{{}}} 1\n", labels.join(",")), "{segment}");
    }
}
