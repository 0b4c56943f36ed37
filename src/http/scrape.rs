//! The page and the small answers about the server itself.

use std::collections::HashSet;

use actix_web::http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, HeaderName, HeaderValue, RETRY_AFTER, VARY};
use actix_web::{HttpRequest, HttpResponse, web};

use super::coding::{Coding, compress};
use super::query::values;
use super::refusal::text;
use super::state::AppState;
use crate::catalogue;
use crate::coordinator::Scrape;
use crate::coordinator::stream::ChunkSink;
use crate::exposition::format::{Format, negotiate};

/// `GET /metrics`: the page, streamed, in the format and the coding that its reader likes best. `?name[]=` selects families by
/// name.
pub async fn page(request: HttpRequest, state: web::Data<AppState>) -> HttpResponse {
    let Some(place) = state.scrapes.take(1) else {
        return unavailable("too many scrapes are being streamed, try again later".to_owned());
    };
    let names: HashSet<String> = values(request.query_string(), "name[]").collect();
    let format = negotiate(header(&request, ACCEPT));
    let coding = Coding::accepted(header(&request, ACCEPT_ENCODING));
    let is_wanted = |name: &str| names.is_empty() || names.contains(name);
    let parts = &state.parts;
    let has_windows = |name: &str| parts.ingest.has_windows(name);
    let look = || catalogue::families(&parts.registry.view(), format, is_wanted, has_windows);
    let (shown, families) = parts.shards.timeline().scrape(look);
    let (sink, body) = ChunkSink::new(state.parts.config.scrape_stall_timeout);
    if !state.parts.coordinator.scrape(Scrape { families, shown, format, sink, place }) {
        return unavailable("the scrape coordinator is down".to_owned());
    }
    let mut response = HttpResponse::Ok();
    response.content_type(&*format.content_type()).insert_header((VARY, "Accept, Accept-Encoding"));
    if coding != Coding::Identity {
        response.insert_header((CONTENT_ENCODING, coding.name()));
    }
    response.streaming(compress(coding, body))
}

/// The text of the first header of this name; empty if there is none.
fn header(request: &HttpRequest, name: HeaderName) -> &str {
    request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// `GET /-/healthy`: the process runs.
pub async fn healthy() -> HttpResponse {
    text(HttpResponse::Ok(), "OK".to_owned())
}

/// `GET /healthy` on the address for own metrics: the process runs, and which one it is.
pub async fn alive() -> HttpResponse {
    let line = format!("{{\"name\":\"catchment\",\"alive\":true,\"version\":\"{}\"}}", env!("CARGO_PKG_VERSION"));
    HttpResponse::Ok().content_type("application/json").body(line)
}

/// `GET /-/ready`: pushes and scrapes can be served.
pub async fn ready(state: web::Data<AppState>) -> HttpResponse {
    match state.readiness() {
        Ok(()) => text(HttpResponse::Ok(), "OK".to_owned()),
        Err(reason) => unavailable(format!("not ready: {reason}")),
    }
}

/// `GET /-/metrics`: Catchment's own metrics.
pub async fn own_metrics(state: web::Data<AppState>) -> HttpResponse {
    let page = state.parts.telemetry.render(&state.observed());
    HttpResponse::Ok().content_type(&*Format::default().content_type()).body(page)
}

/// The answer to a request for which there is no room now.
pub fn unavailable(line: String) -> HttpResponse {
    let mut response = text(HttpResponse::ServiceUnavailable(), line);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}
