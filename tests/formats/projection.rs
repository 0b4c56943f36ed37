//! What is left of a family when it goes through a format that cannot say all of it.

use catchment_test_schema::{
    Bucket, EnumOrUnknown, Exemplar, Histogram, LabelPair, MessageField, Metric, MetricFamily, MetricType, print,
    write_delimited,
};

use crate::random::without_native;

/// Families in one order and without what means the same whether it is there or not. NaN and -0 stay what they are.
fn normal(families: &[MetricFamily]) -> Vec<MetricFamily> {
    let mut families = families.to_vec();
    families.sort_by_key(|family| family.name().to_owned());
    for family in &mut families {
        for metric in &mut family.metric {
            sort(&mut metric.label);
            if let Some(histogram) = metric.histogram.as_mut() {
                histogram.zero_threshold = histogram.zero_threshold.filter(|threshold| *threshold != 0.0);
                histogram.zero_count = histogram.zero_count.filter(|count| *count != 0);
                histogram.zero_count_float = histogram.zero_count_float.filter(|count| *count != 0.0);
                histogram.bucket.iter_mut().for_each(count_in_integers);
                let is_one = histogram.bucket.len() == 1;
                if is_one && histogram.schema.is_some() && histogram.bucket[0].exemplar.is_none() {
                    // A classic part of this says nothing: it is the count.
                    histogram.bucket.clear();
                }
            }
            exemplars(metric).for_each(|exemplar| sort(&mut exemplar.label));
        }
        family.metric.sort_by_cached_key(|metric| metric.label.iter().map(ToString::to_string).collect::<Vec<_>>());
    }
    families
}

/// Classic buckets may count in integers beside native ones that need floats.
fn count_in_integers(bucket: &mut Bucket) {
    if let Some(count) = bucket.cumulative_count_float.take_if(|count| count.fract() == 0.0) {
        bucket.set_cumulative_count(count as u64);
    }
}

fn sort(labels: &mut [LabelPair]) {
    labels.sort_by_key(|label| label.name().to_owned());
}

fn exemplars(metric: &mut Metric) -> impl Iterator<Item = &mut Exemplar> {
    let of_counter = metric.counter.as_mut().and_then(|counter| counter.exemplar.as_mut());
    let of_histogram = metric.histogram.as_mut().into_iter().flat_map(|histogram| {
        let of_buckets = histogram.bucket.iter_mut().filter_map(|bucket| bucket.exemplar.as_mut());
        of_buckets.chain(&mut histogram.exemplars)
    });
    of_counter.into_iter().chain(of_histogram)
}

/// The lines in which the families differ, if they are not the same bit for bit.
pub fn difference(scraped: &[MetricFamily], expected: &[MetricFamily]) -> Option<String> {
    let bytes = |families: &[MetricFamily]| write_delimited(families);
    let (scraped, expected) = (normal(scraped), normal(expected));
    if bytes(&scraped) == bytes(&expected) {
        return None;
    }
    let lines = |families: &[MetricFamily]| families.iter().map(print).collect::<String>();
    let (scraped, expected) = (lines(&scraped), lines(&expected));
    let pairs = scraped.lines().chain([""]).zip(expected.lines().chain([""])).enumerate();
    let differing = pairs.filter(|(_, (scraped, expected))| scraped != expected).take(5);
    let differing: Vec<_> =
        differing.map(|(at, (scraped, expected))| format!("{at}: {scraped} for {expected}")).collect();
    Some(format!("{}\nof\n{scraped}", differing.join("\n")))
}

/// What text 1.0.0 says of these families: no native part, exemplar, created timestamp or unit, and 0 for -0.
pub fn through_text(families: &[MetricFamily]) -> Vec<MetricFamily> {
    let mut families = through_openmetrics(families);
    for family in &mut families {
        family.unit = None;
        if family.type_() == MetricType::GAUGE_HISTOGRAM {
            family.type_ = Some(EnumOrUnknown::new(MetricType::HISTOGRAM));
        }
        for metric in &mut family.metric {
            if let Some(counter) = metric.counter.as_mut() {
                counter.exemplar = MessageField::none();
                counter.created_timestamp = MessageField::none();
            }
            if let Some(summary) = metric.summary.as_mut() {
                summary.created_timestamp = MessageField::none();
            }
            if let Some(histogram) = metric.histogram.as_mut() {
                histogram.created_timestamp = MessageField::none();
                for bucket in &mut histogram.bucket {
                    bucket.exemplar = MessageField::none();
                }
            }
        }
    }
    families
}

/// What OpenMetrics says of families that it can say: no native part, and 0 for -0.
pub fn through_openmetrics(families: &[MetricFamily]) -> Vec<MetricFamily> {
    let mut families = families.to_vec();
    for metric in families.iter_mut().flat_map(|family| &mut family.metric) {
        if let Some(counter) = metric.counter.as_mut() {
            unsign_zero(&mut counter.value);
            counter.exemplar.as_mut().into_iter().for_each(|exemplar| unsign_zero(&mut exemplar.value));
        }
        metric.gauge.as_mut().into_iter().for_each(|gauge| unsign_zero(&mut gauge.value));
        metric.untyped.as_mut().into_iter().for_each(|untyped| unsign_zero(&mut untyped.value));
        metric.summary.as_mut().into_iter().for_each(|summary| unsign_zero(&mut summary.sample_sum));
        if let Some(histogram) = metric.histogram.take() {
            metric.histogram = MessageField::some(classic(histogram));
        }
    }
    families
}

fn classic(histogram: Histogram) -> Histogram {
    let mut histogram = without_native(histogram);
    unsign_zero(&mut histogram.sample_sum);
    if histogram.bucket.is_empty() {
        let mut all = Bucket::new();
        all.set_upper_bound(f64::INFINITY);
        all.set_cumulative_count(histogram.sample_count());
        histogram.bucket.push(all);
    }
    for exemplar in histogram.bucket.iter_mut().filter_map(|bucket| bucket.exemplar.as_mut()) {
        unsign_zero(&mut exemplar.value);
    }
    histogram
}

fn unsign_zero(float: &mut Option<f64>) {
    *float = float.map(|float| if float == 0.0 { 0.0 } else { float });
}
