//! What is read of a request's head: `Accept`, `Accept-Encoding`, `Content-Type`, `Content-Encoding` and the path. What is
//! answered can be asked for, and sent back.

#![no_main]

use catchment::exposition::error::Limits;
use catchment::exposition::format::{PushFormat, negotiate};
use catchment::http::coding::Coding;
// What the private module below names as its crate's.
use catchment::{exposition, model};
use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "a module of the server's")]
#[path = "../../src/http/path.rs"]
mod path;

fuzz_target!(|head: &str| {
    let format = negotiate(head);
    let content_type = format.content_type();
    assert_eq!(negotiate(&content_type), format, "{content_type}");
    PushFormat::of_content_type(&content_type).expect("what is sent may be pushed");
    // Refusals say what they refuse.
    if let Err(error) = PushFormat::of_content_type(head) {
        assert!(!error.to_string().is_empty());
    }
    let coding = Coding::accepted(head);
    assert_eq!(Coding::of_header(coding.name()), Ok(coding));
    if let Err(error) = Coding::of_header(head) {
        assert!(!error.to_string().is_empty());
    }
    if let Err(error) = path::group_labels(head, &Limits::default()) {
        assert!(!error.to_string().is_empty());
    }
});
