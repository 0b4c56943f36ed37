//! The decoder of OpenMetrics under arbitrary bytes: see [`catchment_fuzz::push_and_scrape`].

#![no_main]

use catchment::exposition::format::PushFormat;
use catchment_fuzz::push_and_scrape;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| push_and_scrape(PushFormat::OpenMetrics, input));
