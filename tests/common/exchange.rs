//! Pushes and scrapes in every format.

use catchment_test_schema::{MetricFamily, family, read_delimited, write_delimited};
use ureq::http::Response;

use super::Server;

/// A format a page can be asked for, with names as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text 0.0.4, which has legacy names only.
    Text,
    /// Text 1.0.0.
    Utf8Text,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
    /// Delimited protobuf.
    Protobuf,
}

impl Format {
    pub const ALL: [Self; 4] = [Self::Text, Self::Utf8Text, Self::OpenMetrics, Self::Protobuf];

    /// The type of its pages. They are pushed under it, too, and asked for by it.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::Utf8Text => "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; \
                 escaping=allow-utf-8"
            }
        }
    }
}

/// A body as a table writes it.
#[derive(Clone, Copy, Debug)]
pub enum Push {
    Text(&'static str),
    /// Without the `# EOF`, which is added.
    OpenMetrics(&'static str),
    /// Each family in protobuf's text form.
    Protobuf(&'static [&'static str]),
}

impl Push {
    pub fn format(self) -> Format {
        match self {
            Self::Text(_) => Format::Text,
            Self::OpenMetrics(_) => Format::OpenMetrics,
            Self::Protobuf(_) => Format::Protobuf,
        }
    }

    pub fn body(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.as_bytes().to_vec(),
            Self::OpenMetrics(text) => format!("{text}# EOF\n").into_bytes(),
            Self::Protobuf(families) => {
                let families: Vec<_> = families.iter().map(|text| family(text)).collect();
                write_delimited(&families)
            }
        }
    }
}

/// An answer whose body may be any bytes.
pub struct Reply {
    pub status: u16,
    head: ureq::http::HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    fn read(mut answer: Response<ureq::Body>) -> Self {
        const LARGEST_PAGE: u64 = 1 << 30;
        let (status, head) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.body_mut().with_config().limit(LARGEST_PAGE).read_to_vec().expect("a whole body");
        Self { status, head, body }
    }

    /// The value of a header; empty if it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.head.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    #[track_caller]
    pub fn text(self) -> String {
        String::from_utf8(self.body).expect("UTF-8")
    }
}

impl Server {
    /// A push with these header lines.
    pub fn push_with(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let request = headers
            .iter()
            .fold(self.client.post(self.url(path)), |request, (name, value)| request.header(*name, *value));
        Reply::read(request.send(body).expect("an answer"))
    }

    /// Status and line of the answer to a push in this format.
    pub fn push_as(&self, format: Format, body: &[u8]) -> (u16, String) {
        let reply = self.push_with("/metrics", &[("Content-Type", format.content_type())], body);
        (reply.status, reply.text())
    }

    /// A push that must be taken in.
    #[track_caller]
    pub fn take(&self, push: Push) {
        self.take_as(push.format(), &push.body());
    }

    /// As [`Self::take`], for a body that no table holds.
    #[track_caller]
    pub fn take_as(&self, format: Format, body: &[u8]) {
        assert_eq!(self.push_as(format, body), (202, String::new()), "{}", String::from_utf8_lossy(body));
    }

    /// A scrape with these header lines.
    pub fn scrape_with(&self, headers: &[(&str, &str)]) -> Reply {
        let request = headers
            .iter()
            .fold(self.client.get(self.url("/metrics")), |request, (name, value)| request.header(*name, *value));
        Reply::read(request.call().expect("an answer"))
    }

    /// The page in this format.
    #[track_caller]
    pub fn scrape(&self, format: Format) -> Vec<u8> {
        let reply = self.scrape_with(&[("Accept", format.content_type())]);
        assert_eq!((reply.status, reply.header("Content-Type")), (200, format.content_type()));
        reply.body
    }

    /// The page in a format that is text.
    #[track_caller]
    pub fn scrape_text(&self, format: Format) -> String {
        String::from_utf8(self.scrape(format)).expect("UTF-8")
    }

    /// The families of the page, read by the other implementation.
    #[track_caller]
    pub fn scrape_families(&self) -> Vec<MetricFamily> {
        read_delimited(&self.scrape(Format::Protobuf)).expect("whole families")
    }
}
