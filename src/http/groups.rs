//! The Pushgateway's view of its groups, and of itself, in JSON: `/api/v1/metrics` and `/api/v1/status`.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpResponse, web};
use bytes::Bytes;
use humantime::format_rfc3339_nanos;
use serde_json::{Map, Value as Json, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::scrape::unavailable;
use super::state::AppState;
use crate::groups::GroupEntry;
use crate::model::family::MetricKind;
use crate::model::labels::{Labels, unescape};
use crate::model::value::{Histogram, NativeHistogram, Value};
use crate::shard::route::{ShardError, ShardSet};
use crate::shard::table::GroupSeries;

/// `GET /api/v1/status`: what runs here.
pub async fn status(state: web::Data<AppState>) -> HttpResponse {
    let version = env!("CARGO_PKG_VERSION");
    let build =
        json!({ "version": version, "branch": "", "buildDate": "", "buildUser": "", "goVersion": "", "revision": "" });
    let data = json!({
        "build_information": build,
        "flags": state.parts.flags,
        "start_time": format_rfc3339_nanos(state.started).to_string(),
    });
    answer().body(json!({ "status": "success", "data": data }).to_string())
}

/// `GET /api/v1/metrics`: all groups with all their series, one group after the other.
pub async fn metrics(state: web::Data<AppState>) -> HttpResponse {
    let Some(place) = state.scrapes.take(1) else {
        return unavailable("too many scrapes are being streamed, try again later".to_owned());
    };
    const GROUPS_AHEAD: usize = 16;
    let (sender, receiver) = mpsc::channel::<Result<Bytes, ShardError>>(GROUPS_AHEAD);
    let groups = state.parts.ingest.groups().all();
    let shards = Arc::clone(&state.parts.shards);
    let patience = state.parts.config.scrape_stall_timeout;
    actix_rt::spawn(async move {
        let mut lead = "{\"status\":\"success\",\"data\":[";
        for entry in groups {
            let piece = match group(&shards, &entry).await {
                Ok(group) => Ok(Bytes::from(format!("{lead}{group}"))),
                Err(error) => Err(error),
            };
            lead = ",";
            // A reader that has gone, or takes nothing, gives its place back.
            if !matches!(tokio::time::timeout(patience, sender.send(piece)).await, Ok(Ok(()))) {
                return;
            }
        }
        let end = if lead == "," { "]}\n".to_owned() } else { format!("{lead}]}}\n") };
        drop(place);
        // The reader may have gone.
        let _ = sender.send(Ok(Bytes::from(end))).await;
    });
    answer().streaming(ReceiverStream::new(receiver))
}

fn answer() -> actix_web::HttpResponseBuilder {
    let mut builder = HttpResponse::Ok();
    builder.insert_header((CONTENT_TYPE, "application/json"));
    builder.insert_header((CACHE_CONTROL, "no-cache, no-store, must-revalidate"));
    builder
}

/// One group with its labels beside its families, as the Pushgateway has it.
async fn group(shards: &ShardSet, entry: &GroupEntry) -> Result<Json, ShardError> {
    let state = entry.state();
    let mut series = Vec::new();
    for shard in (0..state.shards.len()).filter(|shard| state.shards[*shard]) {
        let answer = shards.group(shard, Arc::clone(&entry.group))?;
        series.extend(answer.await.map_err(|_| ShardError::Down(shard))?);
    }
    // Families side by side, each in the order of its labels.
    series.sort_by(|one, other| (one.family.id, &one.labels).cmp(&(other.family.id, &other.labels)));
    let mut object = Map::new();
    let labels = entry.labels.plain().map(|(name, value)| (name.into_owned(), Json::from(value)));
    object.insert("labels".to_owned(), Json::Object(labels.collect()));
    object.insert("last_push_successful".to_owned(), Json::from(state.times.failure <= state.times.push));
    for of_family in series.chunk_by(|one, other| one.family.id == other.family.id) {
        let Some((family, pushed_at)) = of_family.first().and_then(|series| state.families.get(&series.family.id))
        else {
            continue;
        };
        let metrics: Vec<Json> = of_family.iter().map(|series| metric(series, entry)).collect();
        // Other requests of the worker shall not wait for a large group.
        tokio::task::yield_now().await;
        let mut shown = Map::new();
        shown.insert("time_stamp".to_owned(), Json::from(time(*pushed_at)));
        shown.insert("type".to_owned(), Json::from(type_name(family.kind())));
        if let Some(help) = family.help().filter(|help| !help.is_empty()) {
            shown.insert("help".to_owned(), Json::from(help));
        }
        shown.insert("metrics".to_owned(), Json::from(metrics));
        object.insert(family.name.to_string(), Json::Object(shown));
    }
    Ok(Json::Object(object))
}

fn metric(series: &GroupSeries, entry: &GroupEntry) -> Json {
    let mut labels: Map<String, Json> = Labels::new(&series.labels)
        .map(|label| (label.plain_name().into_owned(), Json::from(unescape(label.value))))
        .collect();
    for name in entry.group.empty_labels.iter().map(|name| &**name).chain(["instance"]) {
        labels.entry(name.to_owned()).or_insert_with(|| Json::from(""));
    }
    let mut metric = Map::new();
    metric.insert("labels".to_owned(), Json::Object(labels));
    match &series.value {
        Value::Number(number) => _ = metric.insert("value".to_owned(), go_float(*number).into()),
        Value::Counter(counter) => _ = metric.insert("value".to_owned(), go_float(counter.value).into()),
        Value::Window(_) => {}
        Value::Histogram(histogram) => {
            metric.insert("buckets".to_owned(), buckets(histogram));
            add_sum_and_count(&mut metric, histogram.sum, histogram.count);
        }
        Value::Summary(summary) => {
            let quantiles = summary.quantiles.iter().map(|of| (go_float(of.quantile), go_float(of.value).into()));
            metric.insert("quantiles".to_owned(), Json::Object(quantiles.collect()));
            add_sum_and_count(&mut metric, summary.sum, summary.count);
        }
    }
    Json::Object(metric)
}

fn add_sum_and_count(metric: &mut Map<String, Json>, sum: Option<f64>, count: Option<f64>) {
    metric.insert("count".to_owned(), go_float(count.unwrap_or(0.0)).into());
    metric.insert("sum".to_owned(), go_float(sum.unwrap_or(0.0)).into());
}

/// Classic buckets by bound, or native ones as `[boundary rule, lower, upper, count]`.
fn buckets(histogram: &Histogram) -> Json {
    match &histogram.native {
        Some(native) if histogram.buckets.is_empty() => Json::from(native_buckets(native)),
        _ => {
            let buckets =
                histogram.buckets.iter().map(|bucket| (go_float(bucket.bound), go_float(bucket.count).into()));
            Json::Object(buckets.collect())
        }
    }
}

fn native_buckets(native: &NativeHistogram) -> Vec<Json> {
    /// Which ends belong to a bucket: the upper, the lower, both.
    const UPPER: u8 = 0;
    const LOWER: u8 = 1;
    const BOTH: u8 = 3;
    let base = 2f64.powf(2f64.powi(-native.schema));
    let bounds = |index: i32| (base.powi(index - 1), base.powi(index));
    let row =
        |rule: u8, lower: f64, upper: f64, count: f64| json!([rule, go_float(lower), go_float(upper), go_float(count)]);
    let negative = native.negative.iter().rev().map(|bucket| {
        let (near, far) = bounds(bucket.index);
        row(LOWER, -far, -near, bucket.count)
    });
    let zero =
        (native.zero_count > 0.0).then(|| row(BOTH, -native.zero_threshold, native.zero_threshold, native.zero_count));
    let positive = native.positive.iter().map(|bucket| {
        let (near, far) = bounds(bucket.index);
        row(UPPER, near, far, bucket.count)
    });
    negative.chain(zero).chain(positive).collect()
}

fn type_name(kind: MetricKind) -> String {
    match kind {
        MetricKind::GaugeHistogram => "GAUGE_HISTOGRAM".to_owned(),
        other => other.in_text().name().to_uppercase(),
    }
}

fn time(unix_seconds: f64) -> String {
    let since = Duration::try_from_secs_f64(unix_seconds).unwrap_or_default();
    format_rfc3339_nanos(SystemTime::UNIX_EPOCH + since).to_string()
}

/// A number as Go prints it, and so the Pushgateway: the shortest digits, with an exponent below 1e-4 and from a million on.
fn go_float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() };
    }
    let scientific = format!("{number:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    match exponent.parse::<i32>() {
        Ok(exponent @ ..-4) => format!("{digits}e-{:02}", exponent.abs()),
        Ok(exponent @ 6..) => format!("{digits}e+{exponent:02}"),
        _ => format!("{number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_go_prints_them() {
        for (number, expected) in [
            (42.0, "42"),
            (0.25, "0.25"),
            (1e21, "1e+21"),
            (1e6, "1e+06"),
            (1234567.5, "1.2345675e+06"),
            (999999.0, "999999"),
            (1.5e-7, "1.5e-07"),
            (0.0001, "0.0001"),
            (-3.0, "-3"),
            (0.0, "0"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(go_float(number), expected);
        }
    }
}
