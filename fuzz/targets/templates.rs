//! Templates of pushes that come again, against the way that takes every push apart: see [`catchment_fuzz::templates`].

#![no_main]

use catchment_fuzz::templates::push_by_templates;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| push_by_templates(input));
