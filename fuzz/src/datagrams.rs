//! Datagrams that are taken together, as a receiver takes what has come, and one by one: what is kept of them is the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use catchment::declarations::Declarations;
use catchment::exposition::datagram_decode::{self, KnownFamilies, text_of};
use catchment::exposition::decoded::{DeclaredFamily, Decoded, NameOwner, SeriesText};
use catchment::exposition::error::Limits;
use catchment::model::family::MetricKind;
use catchment::model::labels::LabelHasher;
use catchment::model::value::Millis;
use catchment::push::{PushRules, SummaryPolicy};
use catchment::rules::RuleSet;

use crate::Settings;
use crate::gateway::Gateway;

/// Stands between two datagrams; UTF-8 has no such byte.
const SEPARATOR: u8 = 0xff;

const NOW: Millis = 20;

const DECLARATIONS: &str = r#"{
    "service_name": "fuzzed",
    "counters": [{"metric_name": "c", "labels": ["a"]}, {"metric_name": "bare", "metric_description": "\"\\\n"}],
    "gauges": [{"metric_name": "g", "labels": ["b", "a"]}, {"metric_name": "a.b", "labels": ["é"]}],
    "histograms": [{"metric_name": "h", "buckets": [1, 2]}, {"metric_name": "i", "labels": ["a"]}],
    "summaries": [{"metric_name": "s"}, {"metric_name": "q", "quantiles": [0.5, 0.9]}]
}"#;

/// Takes an input apart: its first byte picks the settings, its highest bit the declarations; the rest are datagrams.
///
/// # Panics
/// If a property does not hold.
pub fn observe_together_and_alone(input: &[u8]) {
    let Some((&choice, datagrams)) = input.split_first() else { return };
    let datagrams: Vec<&[u8]> = datagrams.split(|byte| *byte == SEPARATOR).collect();
    let declarations = (choice >= 128).then(|| Declarations::parse("fuzzed", DECLARATIONS).expect("valid"));
    // Else the kind of a metric is told by those before.
    if declarations.is_some() {
        compare_decoded(&datagrams, declarations.as_ref());
    }
    compare_pages(&datagrams, choice, declarations.map(Arc::new));
}

/// What is read of datagrams.
#[derive(Debug, Default, PartialEq)]
struct Kept {
    samples: Vec<KeptValue>,
    observations: Vec<KeptValue>,
    /// The first help of each family that has one.
    helps: BTreeMap<KeptFamily, String>,
    refused: BTreeSet<usize>,
}

/// Kind, name as written, whether that is in quotes, and what becomes of its numbers.
type KeptFamily = (&'static str, String, bool, u8);

#[derive(Debug, PartialEq)]
struct KeptValue {
    family: KeptFamily,
    labels: String,
    bits: u64,
    bounds: Option<Vec<u64>>,
}

fn compare_decoded(datagrams: &[&[u8]], declarations: Option<&Declarations>) {
    let mut alone = Kept::default();
    for (index, datagram) in datagrams.iter().enumerate() {
        let Kept { samples, observations, helps, refused } = read(&[*datagram], declarations);
        alone.samples.extend(samples);
        alone.observations.extend(observations);
        helps.into_iter().for_each(|(family, help)| _ = alone.helps.entry(family).or_insert(help));
        alone.refused.extend(refused.into_iter().map(|_| index));
    }
    assert_eq!(read(datagrams, declarations), alone, "what is kept of a datagram does not depend on its neighbours");
}

fn read(datagrams: &[&[u8]], declarations: Option<&Declarations>) -> Kept {
    let kind_of = |name: &str| match name {
        "known_counter" => Some(MetricKind::Counter),
        "known_summary" => Some(MetricKind::Summary),
        _ => None,
    };
    let known = KnownFamilies { declarations, kind_of: &kind_of };
    let (mut arena, mut decoded, mut kept) = (Vec::new(), Decoded::default(), Kept::default());
    let (limits, hasher) = (Limits::default(), LabelHasher::new());
    let bytes = datagrams.iter().copied();
    datagram_decode::decode(bytes, known, &limits, &hasher, &mut arena, &mut decoded, |index, fault| {
        assert!(!fault.to_string().is_empty());
        assert!(kept.refused.insert(index), "a datagram is refused once");
    });
    kept.take(&decoded, text_of(&arena).expect("text"));
    kept
}

impl Kept {
    fn take(&mut self, decoded: &Decoded, text: &str) {
        let family = |DeclaredFamily { name, kind, change, .. }: &DeclaredFamily| {
            (kind.name(), name.text.of(text).to_owned(), name.is_quoted, *change as u8)
        };
        let value = |series: &SeriesText, value: f64, bounds: Option<u32>| {
            let NameOwner::Declared(index, _) = decoded.names[series.name as usize].owner else {
                panic!("every family of observations is declared")
            };
            let bounds = bounds.map(|bounds| decoded.bounds[bounds as usize].iter().map(|bound| bound.to_bits()));
            KeptValue {
                family: family(&decoded.families[index as usize]),
                labels: series.labels.of(text).to_owned(),
                bits: value.to_bits(),
                bounds: bounds.map(Iterator::collect),
            }
        };
        self.samples = decoded.samples.iter().map(|sample| value(&sample.series, sample.value, None)).collect();
        self.observations = decoded.observations.iter().map(|of| value(&of.series, of.value, of.bounds)).collect();
        for declared in &decoded.families {
            if let Some(help) = declared.help.filter(|help| !help.of(text).is_empty()) {
                self.helps.entry(family(declared)).or_insert_with(|| help.of(text).to_owned());
            }
        }
    }
}

/// Where datagrams can be taken together, the page shows what it shows if each comes alone.
fn compare_pages(datagrams: &[&[u8]], choice: u8, declarations: Option<Arc<Declarations>>) {
    let settings = Settings::new(choice & 63);
    let rules = PushRules {
        gauges: settings.gauges,
        summaries: SummaryPolicy::SumCount,
        series_lifetime: None,
        rules: RuleSet::default(),
        mode_label: settings.mode_label.clone(),
        declarations,
        limits: Limits::default(),
    };
    let [mut together, mut alone] = [rules.clone(), rules].map(Gateway::with_rules);
    let mut unread = BTreeSet::new();
    let is_taken = together.observe(datagrams, NOW, |index| _ = unread.insert(index)).is_ok();
    for (index, datagram) in datagrams.iter().enumerate() {
        let mut is_read = true;
        let outcome = alone.observe(&[*datagram], NOW, |_| is_read = false);
        if is_taken {
            outcome.expect("what is taken with others is taken alone");
            assert_eq!(is_read, !unread.contains(&index), "what is read with others is read alone");
        }
    }
    alone.check_pages(settings.escaping, NOW);
    if is_taken {
        // Which of several descriptions is shown may differ.
        let [together_shown, alone_shown] = [&mut together, &mut alone].map(|gateway| {
            let page = gateway.text_page(NOW);
            page.lines().filter(|line| !line.starts_with("# HELP ")).map(str::to_owned).collect::<Vec<_>>()
        });
        assert_eq!(together_shown, alone_shown, "together and alone");
        together.observe(datagrams, NOW + 1, |_| {}).expect("what is taken once is taken again");
        together.check_pages(settings.escaping, NOW + 1);
    }
}
