//! Bodies in every content coding: the first byte picks it. Whatever the body, no more is inflated than the limit, and no
//! more memory is taken than was permitted.

#![no_main]

use bytes::Bytes;
use catchment::http::coding::{Coding, CodingError, decompress};
use catchment::shard::gate::Budget;
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 1 << 20;

const CODINGS: [Coding; 5] = [Coding::Identity, Coding::Gzip, Coding::Deflate, Coding::Snappy, Coding::Zstd];

thread_local! {
    static RUNTIME: tokio::runtime::Runtime =
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime without sockets and clocks");
}

fuzz_target!(|input: &[u8]| {
    let Some((&choice, body)) = input.split_first() else { return };
    let coding = CODINGS[usize::from(choice) % CODINGS.len()];
    let budget = Budget::new(body.len() + LIMIT);
    let mut permit = budget.take(body.len()).expect("the budget is as large");
    let body = Bytes::copy_from_slice(body);
    let inflated = RUNTIME.with(|runtime| runtime.block_on(decompress(coding, body.clone(), LIMIT, &mut permit)));
    match inflated {
        Ok(text) if coding == Coding::Identity => assert_eq!(text, body),
        Ok(text) => {
            assert!(text.len() <= LIMIT, "{} bytes", text.len());
            assert_eq!(budget.taken(), body.len() + text.len(), "all that was inflated is permitted");
        }
        Err(CodingError::Busy) => panic!("the limit is to refuse a body before the budget does"),
        Err(_) => {}
    }
    drop(permit);
    assert_eq!(budget.taken(), 0);
});
