//! Reads a page as strictly as its most exacting reader would: whatever was pushed, the page must pass.

use std::collections::{BTreeMap, HashSet};

/// Samples by name and labels as they stand on the page.
pub type Samples = BTreeMap<String, f64>;

/// One family of a page.
pub struct PageFamily<'p> {
    pub name: &'p str,
    pub help: Option<&'p str>,
    pub kind: &'p str,
    /// Name and labels as written, and the value, in the page's order.
    pub samples: Vec<(&'p str, f64)>,
}

/// The families of a page: each once, in the order of their names, each with one TYPE, no sample twice, and every sample
/// under the family it belongs to.
#[track_caller]
pub fn families(page: &str) -> Vec<PageFamily<'_>> {
    assert!(page.is_empty() || page.ends_with('\n'), "the last line has no end");
    let mut families: Vec<PageFamily> = Vec::new();
    let mut help = None;
    for line in page.lines() {
        if let Some(text) = line.strip_prefix("# HELP ") {
            assert_eq!(help, None, "two HELP lines before a TYPE");
            help = Some(text.split_once(' ').unwrap_or((text, "")));
        } else if let Some(text) = line.strip_prefix("# TYPE ") {
            families.push(family(text, help.take()));
        } else {
            let family = families.last_mut().unwrap_or_else(|| panic!("no TYPE before {line}"));
            family.samples.push(sample(line, family.name, family.kind));
        }
    }
    assert_eq!(help, None, "a HELP without a TYPE");
    check_order(&families);
    families
}

fn family<'p>(text: &'p str, help: Option<(&'p str, &'p str)>) -> PageFamily<'p> {
    let (name, kind) = text.split_once(' ').expect("a name and a type");
    assert!(help.is_none_or(|(of, _)| of == name), "HELP and TYPE differ: {name}");
    PageFamily { name, help: help.map(|(_, help)| help), kind, samples: Vec::new() }
}

fn sample<'p>(line: &'p str, family: &str, kind: &str) -> (&'p str, f64) {
    let (series, value) = line.rsplit_once(' ').expect("a name and a value");
    let name = series.split('{').next().unwrap_or_default();
    let suffixes: &[&str] = match kind {
        "histogram" => &["_bucket", "_sum", "_count"],
        "summary" => &["", "_sum", "_count"],
        _ => &[""],
    };
    let suffix = name.strip_prefix(family).unwrap_or("another family");
    assert!(suffixes.contains(&suffix), "{line} is no sample of {kind} {family}");
    (series, value.parse().expect("a number"))
}

fn check_order(families: &[PageFamily]) {
    assert!(families.is_sorted_by(|one, next| one.name < next.name), "families are not in order, or twice");
    let mut seen = HashSet::new();
    for (series, _) in families.iter().flat_map(|family| &family.samples) {
        assert!(seen.insert(*series), "{series} is on the page twice");
    }
    assert!(families.iter().all(|family| !family.samples.is_empty()), "a family without a sample");
}

/// All samples of a page.
#[track_caller]
pub fn samples(page: &str) -> Samples {
    let families = families(page);
    let all = families.iter().flat_map(|family| &family.samples);
    all.map(|(series, value)| ((*series).to_owned(), *value)).collect()
}
