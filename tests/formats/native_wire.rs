//! Native histograms as tests think of them, buckets by index, to and from the wire's spans and deltas.

use catchment_test_schema::{
    BucketSpan, EnumOrUnknown, Histogram, MessageField, Metric, MetricFamily, MetricType, write_delimited,
};

use crate::common::Server;
use crate::common::exchange::Format;

/// One native histogram. The count is that of all buckets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Native {
    pub schema: i32,
    pub zero_threshold: f64,
    pub zero_count: f64,
    /// Index and count, by ascending index, none empty.
    pub negative: Vec<(i32, f64)>,
    pub positive: Vec<(i32, f64)>,
    pub sum: f64,
}

impl Native {
    /// Buckets above zero only, from index `first` on without a gap.
    pub fn run(schema: i32, zero: (f64, f64), first: i32, counts: &[f64], sum: f64) -> Self {
        let (zero_threshold, zero_count) = zero;
        let positive = (first..).zip(counts.iter().copied()).filter(|(_, count)| *count > 0.0).collect();
        Self { schema, zero_threshold, zero_count, negative: Vec::new(), positive, sum }
    }

    pub fn count(&self) -> f64 {
        self.zero_count + self.negative.iter().chain(&self.positive).map(|(_, count)| count).sum::<f64>()
    }

    fn is_whole(&self) -> bool {
        let counts = self.negative.iter().chain(&self.positive).map(|(_, count)| *count);
        counts.chain([self.zero_count]).all(|count| count.fract() == 0.0)
    }

    /// In integers if all counts are whole, else in floats.
    pub fn to_wire(&self) -> Histogram {
        if self.is_whole() { self.to_integers() } else { self.to_floats() }
    }

    pub fn to_integers(&self) -> Histogram {
        let mut wire = self.to_floats();
        wire.sample_count_float = None;
        wire.zero_count_float = None;
        wire.set_sample_count(self.count() as u64);
        wire.set_zero_count(self.zero_count as u64);
        wire.negative_delta = deltas(&std::mem::take(&mut wire.negative_count));
        wire.positive_delta = deltas(&std::mem::take(&mut wire.positive_count));
        wire
    }

    pub fn to_floats(&self) -> Histogram {
        let mut wire = Histogram::new();
        wire.set_sample_count_float(self.count());
        wire.set_sample_sum(self.sum);
        wire.set_schema(self.schema);
        wire.set_zero_threshold(self.zero_threshold);
        wire.set_zero_count_float(self.zero_count);
        wire.negative_span = spans(&self.negative);
        wire.negative_count = self.negative.iter().map(|(_, count)| *count).collect();
        wire.positive_span = spans(&self.positive);
        wire.positive_count = self.positive.iter().map(|(_, count)| *count).collect();
        if wire.negative_span.is_empty() && wire.positive_span.is_empty() {
            wire.positive_span.push(span(0, 0));
        }
        wire
    }

    /// Reads either form; `None` if there is no native part. The wire's count must be that of its buckets.
    #[track_caller]
    pub fn from_wire(wire: &Histogram) -> Option<Self> {
        wire.schema?;
        let read = Self {
            schema: wire.schema(),
            zero_threshold: wire.zero_threshold(),
            zero_count: either(wire.zero_count_float, wire.zero_count),
            negative: buckets(&wire.negative_span, &wire.negative_delta, &wire.negative_count),
            positive: buckets(&wire.positive_span, &wire.positive_delta, &wire.positive_count),
            sum: wire.sample_sum(),
        };
        let count = either(wire.sample_count_float, wire.sample_count);
        assert!(count == read.count() || read.sum.is_nan() && count > read.count(), "{count} of {read:?}");
        Some(read)
    }
}

/// The float form counts where it is above zero.
pub fn either(float: Option<f64>, integer: Option<u64>) -> f64 {
    float.filter(|float| *float > 0.0).unwrap_or_else(|| integer.unwrap_or(0) as f64)
}

fn span(offset: i32, length: u32) -> BucketSpan {
    let mut span = BucketSpan::new();
    span.set_offset(offset);
    span.set_length(length);
    span
}

fn spans(buckets: &[(i32, f64)]) -> Vec<BucketSpan> {
    let mut spans: Vec<BucketSpan> = Vec::new();
    let mut next = 0;
    for (index, _) in buckets {
        match spans.last_mut() {
            Some(last) if *index == next => last.set_length(last.length() + 1),
            _ => spans.push(span(index - next, 1)),
        }
        next = index.saturating_add(1);
    }
    spans
}

fn deltas(counts: &[f64]) -> Vec<i64> {
    let mut before = 0;
    let mut delta = |count: &f64| {
        let delta = *count as i64 - before;
        before = *count as i64;
        delta
    };
    counts.iter().map(&mut delta).collect()
}

#[track_caller]
fn buckets(spans: &[BucketSpan], deltas: &[i64], counts: &[f64]) -> Vec<(i32, f64)> {
    let mut indexes = Vec::new();
    let mut next = 0;
    for span in spans {
        next += span.offset();
        indexes.extend(next..next + span.length() as i32);
        next += span.length() as i32;
    }
    let mut running = 0;
    let from_deltas = deltas.iter().map(|delta| {
        running += delta;
        running as f64
    });
    let counts: Vec<f64> = if counts.is_empty() { from_deltas.collect() } else { counts.to_vec() };
    assert_eq!(indexes.len(), counts.len(), "spans {spans:?}, counts {counts:?}");
    indexes.into_iter().zip(counts).filter(|(_, count)| *count != 0.0).collect()
}

/// A family of one series without labels.
pub fn family_of(name: &str, kind: MetricType, histogram: Histogram) -> MetricFamily {
    let mut metric = Metric::new();
    metric.histogram = MessageField::some(histogram);
    let mut family = MetricFamily::new();
    family.set_name(name.to_owned());
    family.type_ = Some(EnumOrUnknown::new(kind));
    family.metric.push(metric);
    family
}

/// Status and line of a push of this histogram as `h`.
pub fn push_histogram(server: &Server, histogram: Histogram) -> (u16, String) {
    server.push_as(Format::Protobuf, &write_delimited(&[family_of("h", MetricType::HISTOGRAM, histogram)]))
}

/// Pushes histograms as `h`, one after the other, all of which must be taken in.
#[track_caller]
pub fn take_histograms(server: &Server, histograms: impl IntoIterator<Item = Histogram>) {
    for histogram in histograms {
        assert_eq!(push_histogram(server, histogram), (202, String::new()));
    }
}

/// The only series of the only family of the page.
#[track_caller]
pub fn scraped_histogram(server: &Server) -> Histogram {
    let families = server.scrape_families();
    let [family] = families.as_slice() else { panic!("{} families", families.len()) };
    let [metric] = family.metric.as_slice() else { panic!("{} series", family.metric.len()) };
    metric.histogram.clone().into_option().expect("a histogram")
}

/// Its native part.
#[track_caller]
pub fn scraped_native(server: &Server) -> Native {
    Native::from_wire(&scraped_histogram(server)).expect("a native histogram")
}
