//! Observations in JSON over HTTP, of every kind, under arbitrary bytes: see [`catchment_fuzz::observe_and_scrape`].

#![no_main]

use catchment_fuzz::observe_and_scrape;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| observe_and_scrape(input));
