//! Catchment's own metrics: counted beside the code they speak of, shown on `/-/metrics`, never with labels from clients.
//! Each server has its own recorder, so several can run in one process.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use metrics_process::Collector;

/// Bounds of the durations, in seconds: a merge takes microseconds, a scrape of everything seconds.
const SECONDS: &[f64] = &[1e-6, 1e-5, 1e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 0.1, 0.25, 1.0, 2.5, 10.0, 60.0];

/// The recorder and what is observed when the page is read.
pub struct Telemetry {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
    process: Collector,
}

/// What one shard counts.
#[derive(Clone)]
pub struct ShardMetrics {
    series: Gauge,
    merge_seconds: Histogram,
}

/// What the way of a push counts.
#[derive(Clone)]
pub struct IngestMetrics {
    samples: Counter,
    ignored_timestamps: Counter,
    discarded_samples: Counter,
    help_changes: Counter,
    expired: Counter,
}

/// What scrapes count.
#[derive(Clone)]
pub struct ScrapeMetrics {
    seconds: Histogram,
    series: Counter,
    complete: Counter,
    broken: Counter,
}

/// What the receivers of datagrams count.
#[derive(Clone)]
pub struct UdpMetrics {
    datagrams: Counter,
    bytes: Counter,
    truncated: Counter,
    dropped: HashMap<&'static str, Counter>,
}

/// A state that is read when the page is.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Families known.
    pub families: usize,
    /// Series stored or being admitted.
    pub series: usize,
    /// Sources that live.
    pub sources: usize,
    /// Groups.
    pub groups: usize,
    /// Bytes of bodies being read or decoded.
    pub inflight_bytes: usize,
    /// Scrapes being streamed.
    pub scrapes: usize,
    /// Of the sockets for datagrams, if there are any.
    pub udp: Option<ObservedSockets>,
    /// By shard: batches and bytes on their way.
    pub queues: Vec<(usize, usize)>,
}

/// What the kernel tells of the sockets for datagrams.
#[derive(Clone, Copy, Debug, Default)]
pub struct ObservedSockets {
    /// Datagrams that it has thrown away, most often for want of room.
    pub drops: u64,
    /// Bytes that may wait for us.
    pub receive_buffers: usize,
}

impl Telemetry {
    /// A recorder of its own.
    ///
    /// # Errors
    /// Only if the bounds above were not ascending.
    pub fn new() -> Result<Self, BuildError> {
        let recorder = PrometheusBuilder::new().set_buckets(SECONDS)?.build_recorder();
        let handle = recorder.handle();
        let process = Collector::default();
        metrics::with_local_recorder(&recorder, || {
            describe();
            process.describe();
            gauge!("catchment_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        });
        Ok(Self { recorder: Arc::new(recorder), handle, process })
    }

    /// Metrics of one shard.
    pub fn shard(&self, index: usize) -> ShardMetrics {
        metrics::with_local_recorder(&*self.recorder, || ShardMetrics {
            series: gauge!("catchment_shard_series", "shard" => index.to_string()),
            merge_seconds: histogram!("catchment_merge_duration_seconds"),
        })
    }

    /// Metrics of the way of a push.
    pub fn ingest(&self) -> IngestMetrics {
        metrics::with_local_recorder(&*self.recorder, || IngestMetrics {
            samples: counter!("catchment_samples_total"),
            ignored_timestamps: counter!("catchment_ignored_timestamps_total"),
            discarded_samples: counter!("catchment_discarded_samples_total"),
            help_changes: counter!("catchment_help_changes_total"),
            expired: counter!("catchment_expired_total"),
        })
    }

    /// Metrics of the receivers of datagrams, which drop them for these reasons.
    pub fn udp(&self, reasons: impl IntoIterator<Item = &'static str>) -> UdpMetrics {
        metrics::with_local_recorder(&*self.recorder, || {
            let dropped = |reason: &'static str| counter!("catchment_udp_dropped_total", "reason" => reason);
            UdpMetrics {
                datagrams: counter!("catchment_udp_datagrams_total"),
                bytes: counter!("catchment_udp_bytes_total"),
                truncated: dropped("truncated"),
                dropped: reasons.into_iter().map(|reason| (reason, dropped(reason))).collect(),
            }
        })
    }

    /// Metrics of scrapes.
    pub fn scrape(&self) -> ScrapeMetrics {
        metrics::with_local_recorder(&*self.recorder, || ScrapeMetrics {
            seconds: histogram!("catchment_scrape_duration_seconds"),
            series: counter!("catchment_scraped_series_total"),
            complete: counter!("catchment_scrapes_total", "outcome" => "complete"),
            broken: counter!("catchment_scrapes_total", "outcome" => "broken"),
        })
    }

    /// The counter of pushes that ended for one reason; `accepted` if none was at fault.
    pub fn pushes(&self, reason: &'static str) -> Counter {
        metrics::with_local_recorder(&*self.recorder, || {
            let outcome = if reason == "accepted" { "accepted" } else { "refused" };
            counter!("catchment_pushes_total", "outcome" => outcome, "reason" => reason)
        })
    }

    /// The counter of bytes read from pushes.
    pub fn pushed_bytes(&self) -> Counter {
        metrics::with_local_recorder(&*self.recorder, || counter!("catchment_pushed_bytes_total"))
    }

    /// The page, with the observed state as it is now.
    pub fn render(&self, observed: &Observed) -> String {
        metrics::with_local_recorder(&*self.recorder, || {
            self.process.collect();
            gauge!("catchment_families").set(observed.families as f64);
            gauge!("catchment_series").set(observed.series as f64);
            gauge!("catchment_sources").set(observed.sources as f64);
            gauge!("catchment_groups").set(observed.groups as f64);
            gauge!("catchment_inflight_bytes").set(observed.inflight_bytes as f64);
            gauge!("catchment_concurrent_scrapes").set(observed.scrapes as f64);
            if let Some(udp) = observed.udp {
                counter!("catchment_udp_kernel_drops_total").absolute(udp.drops);
                gauge!("catchment_udp_receive_buffer_bytes").set(udp.receive_buffers as f64);
            }
            for (shard, (batches, bytes)) in observed.queues.iter().enumerate() {
                let shard = shard.to_string();
                gauge!("catchment_shard_queue_batches", "shard" => shard.clone()).set(*batches as f64);
                gauge!("catchment_shard_queue_bytes", "shard" => shard).set(*bytes as f64);
            }
        });
        self.handle.render()
    }

    /// Takes recorded durations into the histograms; call now and then, so that they do not pile up unread.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}

fn describe() {
    describe_gauge!("catchment_build_info", "1, with the version of Catchment as a label");
    describe_counter!("catchment_pushes_total", "pushes by outcome and reason");
    describe_counter!("catchment_pushed_bytes_total", "bytes of push bodies read");
    describe_counter!("catchment_samples_total", "samples of accepted pushes");
    describe_counter!("catchment_ignored_timestamps_total", "samples whose timestamp was ignored");
    describe_counter!("catchment_discarded_samples_total", "samples of summaries that were discarded");
    describe_counter!("catchment_help_changes_total", "pushed help texts that differ from the family's first");
    describe_counter!("catchment_scrapes_total", "scrapes by outcome");
    describe_counter!("catchment_scraped_series_total", "series shown by complete scrapes");
    describe_histogram!("catchment_scrape_duration_seconds", "time from a scrape's start to its last byte handed on");
    describe_histogram!("catchment_merge_duration_seconds", "time a shard takes to merge one batch");
    describe_gauge!("catchment_families", "families known");
    describe_gauge!("catchment_series", "series and values of sources stored, and those being admitted");
    describe_gauge!("catchment_sources", "sources that live");
    describe_gauge!("catchment_groups", "groups that have been pushed to");
    describe_counter!("catchment_expired_total", "series, sources and groups whose time was over");
    describe_gauge!("catchment_shard_series", "series stored by a shard");
    describe_gauge!("catchment_shard_queue_batches", "batches on their way to a shard");
    describe_gauge!("catchment_shard_queue_bytes", "bytes of batches on their way to a shard");
    describe_gauge!("catchment_inflight_bytes", "bytes of push bodies being read or decoded");
    describe_gauge!("catchment_concurrent_scrapes", "scrapes being streamed");
    describe_counter!("catchment_udp_datagrams_total", "datagrams received, those dropped then among them");
    describe_counter!("catchment_udp_bytes_total", "bytes of datagrams received");
    describe_counter!("catchment_udp_dropped_total", "datagrams received and not taken in, by reason");
    describe_counter!(
        "catchment_udp_kernel_drops_total",
        "datagrams that the kernel threw away before they were received"
    );
    describe_gauge!("catchment_udp_receive_buffer_bytes", "bytes of datagrams that may wait in the kernel");
}

impl UdpMetrics {
    /// So many datagrams came, of so many bytes together.
    pub fn received(&self, datagrams: usize, bytes: usize) {
        self.datagrams.increment(datagrams as u64);
        self.bytes.increment(bytes as u64);
    }

    /// So many of them were longer than what there is room for, and dropped.
    pub fn truncated(&self, datagrams: usize) {
        self.truncated.increment(datagrams as u64);
    }

    /// One of them was dropped for this reason.
    pub fn dropped(&self, reason: &'static str) {
        self.dropped.get(reason).into_iter().for_each(|counter| counter.increment(1));
    }
}

impl ShardMetrics {
    /// A batch was merged, after which so many series are stored.
    pub fn merged(&self, duration: Duration, series: usize) {
        self.merge_seconds.record(duration);
        self.stored(series);
    }

    /// So many series are stored now.
    pub fn stored(&self, series: usize) {
        self.series.set(series as f64);
    }
}

impl IngestMetrics {
    /// Samples were handed to the shards.
    pub fn samples(&self, count: u64) {
        self.samples.increment(count);
    }

    /// Parts of an accepted push that are not kept.
    pub fn ignored(&self, timestamps: u64, discarded_samples: u64) {
        self.ignored_timestamps.increment(timestamps);
        self.discarded_samples.increment(discarded_samples);
    }

    /// The time of so many series, sources or groups was over.
    pub fn expired(&self, count: usize) {
        self.expired.increment(count as u64);
    }

    /// A pushed help differs from the family's.
    pub fn help_changed(&self) {
        self.help_changes.increment(1);
    }
}

impl ScrapeMetrics {
    /// Takes the time.
    pub fn start(&self) -> Instant {
        Instant::now()
    }

    /// A scrape that was started then has ended: with so many series, or before its end.
    pub fn finished<E>(&self, started: Instant, outcome: &Result<u64, E>) {
        self.seconds.record(started.elapsed());
        match outcome {
            Ok(series) => {
                self.complete.increment(1);
                self.series.increment(*series);
            }
            Err(_) => self.broken.increment(1),
        }
    }
}
