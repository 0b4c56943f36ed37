//! Series selectors as they come in queries, and single matchers as they stand in the file. What is read can be written, and
//! read again as the same.

#![no_main]

use catchment::selector::{LabelMatcher, Selector};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match LabelMatcher::parse(text) {
        Ok(matcher) => {
            let written = matcher.to_string();
            assert_eq!(LabelMatcher::parse(&written), Ok(matcher), "{written}");
        }
        Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
    }
    match text.parse::<Selector>() {
        Ok(selector) => {
            let written = written(&selector);
            assert_eq!(written.parse(), Ok(selector.clone()), "{written}");
            assert!(!selector.matches_series("", ""), "it would select series for what they lack");
            selector.matches_series("up", "instance=\"a\\\"b\",job=\"\"");
        }
        Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
    }
});

/// All conditions between braces, the metric name among them.
fn written(selector: &Selector) -> String {
    let matchers: Vec<String> = selector.matchers().iter().map(LabelMatcher::to_string).collect();
    format!("{{{}}}", matchers.join(","))
}
