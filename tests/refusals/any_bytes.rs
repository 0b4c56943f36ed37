//! A body may be anything.

use catchment_test_schema::{read_delimited, write_delimited};
use proptest::prelude::*;

use crate::common::exchange::Format;
use crate::common::{Server, page};
use crate::{BASE, full_families};

/// Where a body is changed, to what, and how.
type Change = (prop::sample::Index, u8, u8);

/// Pushes of any bytes: the answer is one of those known, and every page stays whole.
#[test]
fn no_bytes_break_the_server_or_its_pages() {
    let server = Server::start(&[]);
    let protobuf = write_delimited(&full_families());
    let openmetrics =
        b"# TYPE c_s counter\n# UNIT c_s s\nc_s_total{l=\"v\"} 1 2 # {t=\"1\"} 1 2\nc_s_created{l=\"v\"} 1\n# EOF\n"
            .to_vec();
    let seeds = prop_oneof![
        Just((Format::Protobuf, protobuf)),
        Just((Format::OpenMetrics, openmetrics)),
        Just((Format::Text, BASE.as_bytes().to_vec())),
    ];
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..6);
    let config = ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() };
    let push = |((format, mut body), changes): ((Format, Vec<u8>), Vec<Change>)| {
        for (at, byte, how) in changes {
            let at = at.index(body.len());
            match how {
                0 => body[at] = byte,
                1 => body.insert(at, byte),
                _ => body.truncate(at.max(1)),
            }
        }
        let (status, line) = server.push_as(format, &body);
        prop_assert!(matches!(status, 202 | 400), "{status} {line}");
        prop_assert_eq!(line.lines().count(), usize::from(status != 202));
        Ok(())
    };
    if let Err(error) = proptest::test_runner::TestRunner::new(config).run(&(seeds, changes), push) {
        panic!("{error}");
    }
    assert!(server.accepted() > 10.0 && server.refused("malformed") > 100.0, "some are good, most are not");
    page::families(&server.page());
    read_delimited(&server.scrape(Format::Protobuf)).expect("whole families");
    assert!(server.scrape_text(Format::OpenMetrics).ends_with("# EOF\n"));
}
