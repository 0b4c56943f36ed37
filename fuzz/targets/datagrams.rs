//! Datagrams of observations, together and one by one: see [`catchment_fuzz::datagrams`].

#![no_main]

use catchment_fuzz::datagrams::observe_together_and_alone;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| observe_together_and_alone(input));
