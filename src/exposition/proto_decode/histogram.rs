//! Histograms: classic buckets, native ones, or both in one message.

use super::Decoder;
use super::values::timestamp;
use super::wire::{Fields, Result, Tag};
use crate::aggregate::{MOST_NATIVE_BUCKETS, add_exemplars, limit_buckets, reduce_schema};
use crate::exposition::error::DecodeError;
use crate::exposition::number::float_text;
use crate::model::value::{Bucket, BucketExemplar, Exemplar, Histogram, NativeBucket, NativeHistogram};

/// Spans, and exemplars, of one histogram that are read; a client has at most a few hundred, and few are kept.
const MOST_READ: usize = 1 << 14;

/// The fields of a `Histogram` as they come: which form of them counts is known at the end.
#[derive(Debug, Default)]
struct Parts<'b> {
    count: Option<u64>,
    float_count: f64,
    histogram: Histogram,
    schema: i64,
    zero_threshold: f64,
    zero_count: u64,
    float_zero_count: f64,
    negative: Side<'b>,
    positive: Side<'b>,
    exemplars: Vec<Exemplar>,
}

/// Native buckets of one sign.
#[derive(Debug, Default)]
struct Side<'b> {
    spans: Vec<Fields<'b>>,
    /// Differences of whole counts.
    deltas: Vec<i64>,
    /// Counts that may be fractions.
    counts: Vec<f64>,
}

impl<'b> Decoder<'b, '_, '_> {
    pub(super) fn histogram(&mut self, message: Fields<'b>) -> Result<Histogram> {
        let mut parts = self.parts(message)?;
        let is_float = parts.float_count > 0.0
            || parts.float_zero_count > 0.0
            || !parts.negative.counts.is_empty()
            || !parts.positive.counts.is_empty();
        let count = match parts.count {
            Some(count) if parts.float_count == 0.0 => Some(self.whole_count(count)?),
            None if parts.float_count == 0.0 => None,
            _ => Some(self.float_count(parts.float_count)?),
        };
        parts.histogram.count = count;
        self.check_bounds(&parts.histogram)?;
        let zero_count = match parts.float_zero_count {
            0.0 => self.whole_count(parts.zero_count)?,
            float => self.float_count(float)?,
        };
        for side in [&parts.negative, &parts.positive] {
            if side.spans.is_empty() && side.deltas.len() + side.counts.len() > 0 {
                return Err(self.uneven());
            }
        }
        // As the standard server tells a native histogram from one that is not.
        let is_native = !parts.positive.spans.is_empty()
            || !parts.negative.spans.is_empty()
            || parts.zero_threshold > 0.0
            || zero_count > 0.0;
        if is_native {
            let native = self.native(&mut parts, zero_count, is_float)?;
            parts.histogram.native = Some(Box::new(native));
        }
        Ok(parts.histogram)
    }

    fn parts(&mut self, mut message: Fields<'b>) -> Result<Parts<'b>> {
        const COUNT: Tag = Tag::varint(1);
        const FLOAT_COUNT: Tag = Tag::double(4);
        const SUM: Tag = Tag::double(2);
        const BUCKET: Tag = Tag::bytes(3);
        const CREATED: Tag = Tag::bytes(15);
        const SCHEMA: Tag = Tag::varint(5);
        const ZERO_THRESHOLD: Tag = Tag::double(6);
        const ZERO_COUNT: Tag = Tag::varint(7);
        const FLOAT_ZERO_COUNT: Tag = Tag::double(8);
        const EXEMPLAR: Tag = Tag::bytes(16);
        let mut parts = Parts::default();
        while let Some(tag) = message.tag()? {
            match tag {
                COUNT => parts.count = Some(message.varint()?),
                FLOAT_COUNT => parts.float_count = message.double()?,
                SUM => parts.histogram.sum = Some(message.double()?),
                BUCKET => self.bucket(message.message()?, &mut parts.histogram)?,
                CREATED => parts.histogram.created = Some(timestamp(message.message()?)?),
                SCHEMA => parts.schema = message.zigzag()?,
                ZERO_THRESHOLD => parts.zero_threshold = message.double()?,
                ZERO_COUNT => parts.zero_count = message.varint()?,
                FLOAT_ZERO_COUNT => parts.float_zero_count = message.double()?,
                EXEMPLAR => parts.exemplars.push(self.exemplar(message.message()?)?),
                other => {
                    let is_known = self.side_field(&mut parts.negative, other, &NEGATIVE, &mut message)?
                        || self.side_field(&mut parts.positive, other, &POSITIVE, &mut message)?;
                    if !is_known {
                        message.skip(other, "Histogram", 16)?;
                    }
                }
            }
            let spans = parts.negative.spans.len() + parts.positive.spans.len();
            if spans.max(parts.exemplars.len()) > MOST_READ {
                return Err(self.fault(&format!("at most {MOST_READ} spans and exemplars"), "more".to_owned()));
            }
        }
        Ok(parts)
    }

    /// Reads a field of one side. Repeated numbers may come one by one, or packed into one field.
    fn side_field(
        &mut self,
        side: &mut Side<'b>,
        tag: Tag,
        numbers: &[u32; 3],
        message: &mut Fields<'b>,
    ) -> Result<bool> {
        let [spans, deltas, counts] = *numbers;
        if tag == Tag::bytes(spans) {
            side.spans.push(message.message()?);
        } else if tag == Tag::varint(deltas) {
            self.take(1)?;
            side.deltas.push(message.zigzag()?);
        } else if tag == Tag::double(counts) {
            self.take(1)?;
            side.counts.push(message.double()?);
        } else if tag == Tag::bytes(deltas) {
            let mut packed = message.message()?;
            while !packed.is_empty() {
                self.take(1)?;
                side.deltas.push(packed.zigzag()?);
            }
        } else if tag == Tag::bytes(counts) {
            let mut packed = message.message()?;
            while !packed.is_empty() {
                self.take(1)?;
                side.counts.push(packed.double()?);
            }
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn bucket(&mut self, mut message: Fields<'b>, histogram: &mut Histogram) -> Result<()> {
        const COUNT: Tag = Tag::varint(1);
        const FLOAT_COUNT: Tag = Tag::double(4);
        const BOUND: Tag = Tag::double(2);
        const EXEMPLAR: Tag = Tag::bytes(3);
        let (mut count, mut float_count, mut bound, mut exemplar) = (0, 0.0, 0.0, None);
        while let Some(tag) = message.tag()? {
            match tag {
                COUNT => count = message.varint()?,
                FLOAT_COUNT => float_count = message.double()?,
                BOUND => bound = message.double()?,
                EXEMPLAR => exemplar = Some(self.exemplar(message.message()?)?),
                other => message.skip(other, "Bucket", 4)?,
            }
        }
        let count = if float_count == 0.0 { self.whole_count(count)? } else { self.float_count(float_count)? };
        self.take(1)?;
        histogram.buckets.push(Bucket { bound, count });
        histogram.exemplars.extend(exemplar.map(|exemplar| BucketExemplar { bound, exemplar }));
        Ok(())
    }

    fn check_bounds(&self, histogram: &Histogram) -> Result<()> {
        match histogram.buckets.iter().any(|bucket| bucket.bound.is_nan()) {
            true => Err(self.fault("a number as upper bound", "NaN".to_owned())),
            false => Ok(()),
        }
    }

    fn native(&self, parts: &mut Parts<'b>, zero_count: f64, is_float: bool) -> Result<NativeHistogram> {
        let schema = self.schema(parts.schema)?;
        if !(parts.zero_threshold >= 0.0 && parts.zero_threshold.is_finite()) {
            return Err(self.fault("a zero threshold of at least 0", float_text(parts.zero_threshold)));
        }
        let mut native = NativeHistogram {
            schema,
            zero_threshold: parts.zero_threshold,
            zero_count,
            negative: self.side(&parts.negative)?,
            positive: self.side(&parts.positive)?,
            count: parts.histogram.count.unwrap_or(0.0),
            sum: parts.histogram.sum.unwrap_or(0.0),
            exemplars: Vec::new(),
        };
        add_exemplars(&mut native.exemplars, std::mem::take(&mut parts.exemplars));
        if !is_float {
            self.check_count(&native)?;
        } else if native.count + native.zero_count == 0.0 && !(native.negative.is_empty() && native.positive.is_empty())
        {
            // Readers tell by these two that counts are floats.
            return Err(self.fault("a count above 0 of native buckets that are not empty", "0".to_owned()));
        }
        reduce_schema(&mut native, NativeHistogram::FINEST);
        self.check_indices(&native)?;
        // At once, so that a push holds no more buckets than will be stored.
        limit_buckets(&mut native, MOST_NATIVE_BUCKETS);
        native.negative.shrink_to_fit();
        native.positive.shrink_to_fit();
        Ok(native)
    }

    /// Schemas finer than ours are understood, and lowered.
    fn schema(&self, schema: i64) -> Result<i32> {
        const FINEST_KNOWN: i32 = 52;
        match i32::try_from(schema) {
            Ok(known) if (NativeHistogram::COARSEST..=FINEST_KNOWN).contains(&known) => Ok(known),
            _ => {
                let expected = format!("a schema from {} to {FINEST_KNOWN}", NativeHistogram::COARSEST);
                Err(self.fault(&expected, schema.to_string()))
            }
        }
    }

    /// Buckets that no float falls into could go on for ever.
    fn check_indices(&self, native: &NativeHistogram) -> Result<()> {
        let indices = NativeHistogram::indices(native.schema);
        match native.negative.iter().chain(&native.positive).find(|bucket| !indices.contains(&bucket.index)) {
            None => Ok(()),
            Some(bucket) => {
                let expected =
                    format!("native buckets from {} to {} in schema {}", indices.start(), indices.end(), native.schema);
                Err(self.fault(&expected, bucket.index.to_string()))
            }
        }
    }

    /// As the standard server does for whole counts: a NaN that was observed is in the count and in no bucket.
    fn check_count(&self, native: &NativeHistogram) -> Result<()> {
        let buckets = native.negative.iter().chain(&native.positive);
        let in_buckets = native.zero_count + buckets.map(|bucket| bucket.count).sum::<f64>();
        let is_sound = if native.sum.is_nan() { in_buckets <= native.count } else { in_buckets == native.count };
        if is_sound {
            return Ok(());
        }
        let expected = format!("a count of {}, the sum of the native buckets", float_text(in_buckets));
        Err(self.fault(&expected, float_text(native.count)))
    }

    /// Runs of buckets and their counts, as buckets with an index; empty ones are left out.
    fn side(&self, side: &Side<'b>) -> Result<Vec<NativeBucket>> {
        let counts = self.counts(side)?;
        let mut buckets = Vec::with_capacity(counts.len());
        let mut counts = counts.into_iter();
        let mut next = 0i64;
        for (number, span) in side.spans.iter().enumerate() {
            let (offset, length) = span_fields(*span)?;
            if number > 0 && offset < 0 {
                return Err(self.fault("a span with an offset of at least 0", offset.to_string()));
            }
            next = next.saturating_add(offset);
            for _ in 0..length {
                let Some(count) = counts.next() else { return Err(self.uneven()) };
                let Ok(index) = i32::try_from(next) else {
                    return Err(self.fault("a native bucket's index of 32 bits", next.to_string()));
                };
                if count > 0.0 {
                    buckets.push(NativeBucket { index, count });
                }
                next += 1;
            }
        }
        if counts.next().is_some() { Err(self.uneven()) } else { Ok(buckets) }
    }

    fn uneven(&self) -> Box<DecodeError> {
        self.fault("as many native counts as the spans have buckets", "another number".to_owned())
    }

    fn counts(&self, side: &Side<'b>) -> Result<Vec<f64>> {
        if side.deltas.is_empty() {
            return side.counts.iter().map(|count| self.float_count(*count)).collect();
        }
        if !side.counts.is_empty() {
            return Err(self.fault("native buckets as differences or as counts", "both".to_owned()));
        }
        let mut count = 0i64;
        let mut next = |delta: &i64| {
            count = count.saturating_add(*delta);
            match u64::try_from(count) {
                Ok(count) => self.whole_count(count),
                Err(_) => Err(self.fault("a native count of at least 0", count.to_string())),
            }
        };
        side.deltas.iter().map(&mut next).collect()
    }
}

/// Field numbers of the spans, the deltas and the counts of one sign.
const NEGATIVE: [u32; 3] = [9, 10, 11];
const POSITIVE: [u32; 3] = [12, 13, 14];

/// Offset and length of a `BucketSpan`.
fn span_fields(mut span: Fields<'_>) -> Result<(i64, u32)> {
    const OFFSET: Tag = Tag::varint(1);
    const LENGTH: Tag = Tag::varint(2);
    let (mut offset, mut length) = (0, 0);
    while let Some(tag) = span.tag()? {
        match tag {
            OFFSET => offset = span.zigzag()?,
            LENGTH => length = span.varint()?,
            other => span.skip(other, "BucketSpan", 2)?,
        }
    }
    match u32::try_from(length) {
        Ok(length) => Ok((offset, length)),
        Err(_) => Err(span.fault(span.at(), "a span's length of 32 bits", length.to_string())),
    }
}
