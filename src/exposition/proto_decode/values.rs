//! The values of metrics that are no histograms, and what they come with.

use super::Decoder;
use super::labels::label_text;
use super::wire::{Fields, Result, Tag};
use crate::exposition::decoded::{SampleExtra, SeriesText, WholeSummary};
use crate::exposition::error::Place;
use crate::exposition::exemplar::exemplar_labels;
use crate::model::timestamp::Timestamp;
use crate::model::value::{Exemplar, Quantile, Summary};

impl<'b> Decoder<'b, '_, '_> {
    /// A `Gauge` or `Untyped`.
    pub(super) fn number(&mut self, series: SeriesText, mut message: Fields<'b>) -> Result<()> {
        let mut value = 0.0;
        while let Some(tag) = message.tag()? {
            match tag {
                Tag::VALUE => value = message.double()?,
                other => message.skip(other, "Gauge", 1)?,
            }
        }
        self.push_sample(series, value);
        Ok(())
    }

    pub(super) fn counter(&mut self, series: SeriesText, mut message: Fields<'b>) -> Result<()> {
        const EXEMPLAR: Tag = Tag::bytes(2);
        const CREATED: Tag = Tag::bytes(3);
        let (mut value, mut created, mut exemplar) = (0.0, None, None);
        while let Some(tag) = message.tag()? {
            match tag {
                Tag::VALUE => value = message.double()?,
                EXEMPLAR => exemplar = Some(self.exemplar(message.message()?)?),
                CREATED => created = Some(timestamp(message.message()?)?),
                other => message.skip(other, "Counter", 3)?,
            }
        }
        if created.is_some() || exemplar.is_some() {
            let sample = self.decoded.samples.len() as u32;
            self.decoded.extras.push(SampleExtra { sample, created, exemplar });
        }
        self.push_sample(series, value);
        Ok(())
    }

    pub(super) fn summary(&mut self, series: SeriesText, mut message: Fields<'b>) -> Result<()> {
        const COUNT: Tag = Tag::varint(1);
        const SUM: Tag = Tag::double(2);
        const QUANTILE: Tag = Tag::bytes(3);
        const CREATED: Tag = Tag::bytes(4);
        let mut summary = Summary::default();
        while let Some(tag) = message.tag()? {
            match tag {
                COUNT => summary.count = Some(self.whole_count(message.varint()?)?),
                SUM => summary.sum = Some(message.double()?),
                QUANTILE => summary.quantiles.push(self.quantile(message.message()?)?),
                CREATED => summary.created = Some(timestamp(message.message()?)?),
                other => message.skip(other, "Summary", 4)?,
            }
        }
        self.decoded.summaries.push(WholeSummary { series, summary });
        Ok(())
    }

    fn quantile(&mut self, mut message: Fields<'b>) -> Result<Quantile> {
        const QUANTILE: Tag = Tag::double(1);
        const VALUE: Tag = Tag::double(2);
        self.take(1)?;
        let mut quantile = Quantile { quantile: 0.0, value: 0.0 };
        while let Some(tag) = message.tag()? {
            match tag {
                QUANTILE => quantile.quantile = message.double()?,
                VALUE => quantile.value = message.double()?,
                other => message.skip(other, "Quantile", 2)?,
            }
        }
        Ok(quantile)
    }

    pub(super) fn exemplar(&mut self, mut message: Fields<'b>) -> Result<Exemplar> {
        const LABEL: Tag = Tag::bytes(1);
        const VALUE: Tag = Tag::double(2);
        const TIMESTAMP: Tag = Tag::bytes(3);
        let (mut pairs, mut value, mut moment) = (Vec::new(), 0.0, None);
        while let Some(tag) = message.tag()? {
            match tag {
                LABEL if pairs.len() == self.limits.labels => {
                    let expected = format!("at most {} labels", self.limits.labels);
                    return Err(self.fault(&expected, "more".to_owned()));
                }
                LABEL => pairs.push(message.message()?),
                VALUE => value = message.double()?,
                TIMESTAMP => moment = Some(timestamp(message.message()?)?),
                other => message.skip(other, "Exemplar", 3)?,
            }
        }
        let text = label_text(&pairs, self.limits)?;
        let labels = exemplar_labels(&text, self.limits.labels, Place::Metric(self.metrics))?;
        Ok(Exemplar { labels, value, timestamp: moment })
    }

    /// A count as a float, which it must fit.
    pub(super) fn whole_count(&self, count: u64) -> Result<f64> {
        const MOST: u64 = 1 << 53;
        if count <= MOST {
            return Ok(count as f64);
        }
        Err(self.fault("a count of at most 2^53", count.to_string()))
    }

    pub(super) fn float_count(&self, count: f64) -> Result<f64> {
        if count >= 0.0 {
            return Ok(count);
        }
        Err(self.fault("a count of at least 0", count.to_string()))
    }
}

/// Reads a `google.protobuf.Timestamp`.
pub(super) fn timestamp(mut message: Fields<'_>) -> Result<Timestamp> {
    const SECONDS: Tag = Tag::varint(1);
    const NANOS: Tag = Tag::varint(2);
    let (mut seconds, mut nanos) = (0, 0);
    while let Some(tag) = message.tag()? {
        match tag {
            SECONDS => seconds = message.varint()? as i64,
            NANOS => nanos = message.varint()?,
            other => message.skip(other, "Timestamp", 2)?,
        }
    }
    let moment = u32::try_from(nanos).ok().and_then(|nanos| Timestamp::new(seconds, nanos));
    moment.ok_or_else(|| {
        message.fault(message.at(), "a moment in the years 1 to 9999", format!("{seconds} s and {nanos} ns"))
    })
}
