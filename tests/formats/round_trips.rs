//! Properties: what comes in by one format leaves by another with every value that both can say, bit for bit.

use catchment_test_schema::write_delimited;
use proptest::prelude::*;

use crate::common::Server;
use crate::common::exchange::Format;
use crate::projection::{difference, through_openmetrics, through_text};
use crate::random::{Families, Range, families};

fn few_cases() -> ProptestConfig {
    // Each case starts servers.
    ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(few_cases())]

    #[test]
    fn protobuf_comes_back_bit_for_bit(Families(families) in families(Range::Everything)) {
        let server = Server::start(&[]);
        server.take_as(Format::Protobuf, &write_delimited(&families));
        prop_assert_eq!(difference(&server.scrape_families(), &families), None);
        // Whatever was pushed, every page can be read.
        crate::common::page::families(&server.page());
    }

    #[test]
    fn text_keeps_every_value_that_it_can_say(Families(families) in families(Range::Textual)) {
        let (first, second) = (Server::start(&[]), Server::start(&[]));
        first.take_as(Format::Protobuf, &write_delimited(&families));
        second.take_as(Format::Utf8Text, &first.scrape(Format::Utf8Text));
        prop_assert_eq!(difference(&second.scrape_families(), &through_text(&families)), None);
    }

    #[test]
    fn openmetrics_keeps_every_value_that_it_can_say(Families(families) in families(Range::Textual)) {
        let (first, second) = (Server::start(&[]), Server::start(&[]));
        first.take_as(Format::Protobuf, &write_delimited(&families));
        second.take_as(Format::OpenMetrics, &first.scrape(Format::OpenMetrics));
        prop_assert_eq!(difference(&second.scrape_families(), &through_openmetrics(&families)), None);
    }

    #[test]
    fn a_page_pushed_to_another_server_is_that_servers_page(Families(families) in families(Range::Textual)) {
        let first = Server::start(&[]);
        first.take_as(Format::Protobuf, &write_delimited(&families));
        for format in Format::ALL {
            let page = first.scrape(format);
            let second = Server::start(&[]);
            second.take_as(format, &page);
            if format == Format::Protobuf {
                // Series are in the order of no other page: shard by shard.
                prop_assert_eq!(difference(&second.scrape_families(), &first.scrape_families()), None);
                continue;
            }
            let shown = second.scrape(format);
            let [mut shown, mut page] = [shown, page].map(|page| lines(&page));
            if format == Format::Text {
                // Series are in the order of the names they were pushed with, which this format may change.
                shown.sort();
                page.sort();
            }
            prop_assert_eq!(shown, page, "{:?}", format);
        }
    }
}

fn lines(page: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(page).lines().map(str::to_owned).collect()
}
