//! A push over HTTP: what its head asks for, then its body, admitted byte by byte and inflated; the rest is `ingest`'s.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{self, Payload};
use actix_web::{HttpRequest, HttpResponse};
use bytes::{Bytes, BytesMut};
use humantime::format_duration;
use tokio_stream::StreamExt;

use super::auth;
use super::coding::{Coding, UnknownCoding, decompress};
use super::path::{PathError, group_labels, grouping_key};
use super::refusal::{HttpRefusal, wrong_method};
use super::state::AppState;
use crate::exposition::format::PushFormat;
use crate::exposition::observation_decode::ObservationKind;
use crate::ingest::{GroupMethod, Push, Refusal, Scratch};
use crate::model::door::Door;
use crate::model::labels::GroupLabels;
use crate::model::value::Millis;
use crate::shard::gate::Permit;

/// What the worker that serves the request keeps.
#[derive(Default)]
pub struct WorkerScratch {
    ingest: RefCell<Scratch>,
    paths: RefCell<KnownPaths>,
}

/// Groups by raw path: most programs push to the same one each time.
#[derive(Default)]
struct KnownPaths {
    groups: HashMap<Box<str>, Rc<GroupLabels>, ahash::RandomState>,
}

impl KnownPaths {
    /// Beyond, all are forgotten.
    const MOST: usize = 4096;
    const LONGEST: usize = 1024;

    fn group(&mut self, path: &str, door: Door, state: &AppState) -> Result<Rc<GroupLabels>, PathError> {
        if let Some(group) = self.groups.get(path) {
            return Ok(Rc::clone(group));
        }
        let group = Rc::new(group_of(path, door, state)?);
        if self.groups.len() == Self::MOST {
            self.groups.clear();
        }
        if path.len() <= Self::LONGEST {
            self.groups.insert(path.into(), Rc::clone(&group));
        }
        Ok(group)
    }
}

const CATCHMENT_TTL: HeaderName = HeaderName::from_static("catchment-ttl");

/// A push (`POST` and `PUT`), or a deletion, under `/metrics`.
pub async fn change(
    request: HttpRequest,
    payload: Payload,
    door: web::Data<Door>,
    state: web::Data<AppState>,
    scratch: web::Data<WorkerScratch>,
) -> HttpResponse {
    let outcome = match *request.method() {
        Method::POST | Method::PUT => push(&request, payload, **door, &state, &scratch).await,
        Method::DELETE => delete(&request, **door, &state).await,
        _ => return wrong_method("POST, PUT, DELETE"),
    };
    outcome.map_or_else(|refusal| state.refuse(&refusal, request.path()), HttpResponse::new)
}

/// Takes a push in, and counts it.
async fn push(
    request: &HttpRequest,
    payload: Payload,
    door: Door,
    state: &AppState,
    scratch: &WorkerScratch,
) -> Result<StatusCode, HttpRefusal> {
    take_in(request, payload, door, state, scratch).await?;
    state.count_accepted();
    Ok(match door {
        Door::Replace => StatusCode::OK,
        Door::Aggregate | Door::Source => state.parts.config.accepted_status,
    })
}

async fn take_in(
    request: &HttpRequest,
    payload: Payload,
    door: Door,
    state: &AppState,
    scratch: &WorkerScratch,
) -> Result<(), HttpRefusal> {
    let (headers, config, ingest) = (request.headers(), &state.parts.config, &state.parts.ingest);
    auth::check(headers, &config.push_users)?;
    let group = scratch.paths.borrow_mut().group(request.path(), door, state)?;
    let scratch = &scratch.ingest;
    let format = match door {
        // The Pushgateway takes whatever it does not know for text.
        Door::Replace => PushFormat::of_content_type(header(headers, CONTENT_TYPE)).unwrap_or(PushFormat::Text),
        Door::Aggregate | Door::Source => PushFormat::of_content_type(header(headers, CONTENT_TYPE))?,
    };
    let coding = match (content_coding(headers), door) {
        // The Pushgateway reads a body in a coding it does not know as it is.
        (Err(_), Door::Replace) => Coding::Identity,
        (coding, _) => coding?,
    };
    let lifetime = lifetime(headers)?;
    let (body, _permit) = receive(headers, payload, coding, state).await?;
    let push = Push { format, body: &body, group: &group, lifetime };
    let outcome = match door {
        Door::Aggregate if config.adds_path_labels => ingest.aggregate(push, &group, scratch).await,
        Door::Aggregate => ingest.aggregate(push, &GroupLabels::default(), scratch).await,
        Door::Source => ingest.source(push, scratch).await,
        Door::Replace => {
            let method = if request.method() == Method::PUT { GroupMethod::Group } else { GroupMethod::Families };
            return ingest.replace(push, method, scratch).await.map_err(HttpRefusal::of_group);
        }
    };
    Ok(outcome?)
}

/// Observations, one or many.
pub async fn observe(
    request: HttpRequest,
    payload: Payload,
    kind: web::Data<ObservationKind>,
    state: web::Data<AppState>,
    scratch: web::Data<WorkerScratch>,
) -> HttpResponse {
    match take_observations(request.headers(), payload, **kind, &state, &scratch.ingest).await {
        Ok(()) => {
            state.count_accepted();
            HttpResponse::new(state.parts.config.accepted_status)
        }
        Err(refusal) => state.refuse(&refusal, request.path()),
    }
}

/// The body is JSON, whatever the head says: browsers send what needs no preflight.
async fn take_observations(
    headers: &HeaderMap,
    payload: Payload,
    kind: ObservationKind,
    state: &AppState,
    scratch: &RefCell<Scratch>,
) -> Result<(), HttpRefusal> {
    auth::check(headers, &state.parts.config.push_users)?;
    let (coding, lifetime) = (content_coding(headers)?, lifetime(headers)?);
    let (body, _permit) = receive(headers, payload, coding, state).await?;
    let group = GroupLabels::default();
    let push = Push { format: PushFormat::Observations(kind), body: &body, group: &group, lifetime };
    Ok(state.parts.ingest.aggregate(push, &group, scratch).await?)
}

/// What was pushed under the path goes.
async fn delete(request: &HttpRequest, door: Door, state: &AppState) -> Result<StatusCode, HttpRefusal> {
    let ingest = &state.parts.ingest;
    auth::check(request.headers(), &state.parts.config.push_users)?;
    let group = group_of(request.path(), door, state)?;
    let outcome = match door {
        Door::Replace => ingest.delete_group(&group).await,
        Door::Source => ingest.delete_source(&group).await.map_err(Refusal::Shard),
        // Without a value that would be everything, for an empty label is an absent one; that is for administrators.
        Door::Aggregate if group.plain().all(|(_, value)| value.is_empty()) => return Err(PathError::NoLabels.into()),
        Door::Aggregate => ingest.delete_aggregated(&group).await.map(drop).map_err(Refusal::Shard),
    };
    outcome?;
    Ok(StatusCode::ACCEPTED)
}

/// The labels in the path.
fn group_of(path: &str, door: Door, state: &AppState) -> Result<GroupLabels, PathError> {
    let labels = group_path(path, &state.parts.config.route_prefix)?;
    match door {
        Door::Replace => grouping_key(labels, &state.parts.limits),
        Door::Aggregate | Door::Source => group_labels(labels, &state.parts.limits),
    }
}

/// How long what is pushed shall stay.
fn lifetime(headers: &HeaderMap) -> Result<Option<Millis>, HttpRefusal> {
    let Some(value) = headers.get(CATCHMENT_TTL) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    match humantime::parse_duration(text.trim()) {
        Ok(lifetime) if lifetime.as_millis() > 0 && lifetime <= LONGEST => Ok(Some(lifetime.as_millis() as Millis)),
        _ => Err(HttpRefusal::Lifetime(text.chars().take(32).collect())),
    }
}

/// The one coding of the body; several, one upon the other, are not undone.
fn content_coding(headers: &HeaderMap) -> Result<Coding, UnknownCoding> {
    let mut codings = headers.get_all(CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?"));
    match (codings.next(), codings.next()) {
        (Some(one), Some(other)) => Err(UnknownCoding(format!("{one}, {other}"))),
        (one, _) => Coding::of_header(one.unwrap_or_default()),
    }
}

/// The part of the raw path that holds the group: routes match the decoded path, labels are decoded one by one.
fn group_path<'p>(path: &'p str, prefix: &str) -> Result<&'p str, PathError> {
    let path_of_door = path.strip_prefix(prefix).unwrap_or(path);
    let labels = path_of_door.strip_prefix("/metrics").or_else(|| {
        let mut doors = Door::ALL.into_iter();
        doors.find_map(|door| path_of_door.strip_prefix('/')?.strip_prefix(door.name())?.strip_prefix("/metrics"))
    });
    labels.ok_or_else(|| PathError::Prefix(path.to_owned()))
}

/// A header's text; empty if it is missing or not text.
fn header(headers: &HeaderMap, name: HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Reads the body and inflates it. The permit counts its bytes until the push is done with them.
async fn receive(
    headers: &HeaderMap,
    payload: Payload,
    coding: Coding,
    state: &AppState,
) -> Result<(Bytes, Permit), HttpRefusal> {
    let (body, mut permit) = read_body(headers, payload, state).await?;
    state.pushed_bytes.increment(body.len() as u64);
    let body = decompress(coding, body, state.parts.config.max_decompressed, &mut permit).await?;
    Ok((body, permit))
}

/// Reads the body within its limits. The permit counts its bytes until the push is done with them; it grows as they come,
/// so a slow pusher holds no more than it has sent.
async fn read_body(headers: &HeaderMap, payload: Payload, state: &AppState) -> Result<(Bytes, Permit), HttpRefusal> {
    let limit = state.parts.config.max_body;
    let declared = header(headers, CONTENT_LENGTH).parse().unwrap_or(0usize);
    if declared > limit {
        return Err(HttpRefusal::BodyTooLarge { limit });
    }
    let mut permit = state.inflight.take(0).ok_or(HttpRefusal::Busy)?;
    let mut chunks = Chunks { declared, first: Bytes::new(), rest: BytesMut::new() };
    let timeout = state.parts.config.body_timeout;
    match tokio::time::timeout(timeout, chunks.read(payload, limit, &mut permit)).await {
        Ok(outcome) => outcome.map(|()| (chunks.into_bytes(), permit)),
        Err(_) => Err(HttpRefusal::BodyTooSlow { timeout: format_duration(timeout), received: chunks.len() }),
    }
}

/// A body as it comes: one chunk is kept as it is, more are put together.
struct Chunks {
    /// Its length, as far as the head tells.
    declared: usize,
    first: Bytes,
    rest: BytesMut,
}

impl Chunks {
    async fn read(&mut self, mut payload: Payload, limit: usize, permit: &mut Permit) -> Result<(), HttpRefusal> {
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|error| HttpRefusal::BodyBroken(error.to_string()))?;
            if self.len() + chunk.len() > limit {
                return Err(HttpRefusal::BodyTooLarge { limit });
            }
            if !permit.grow(chunk.len()) {
                return Err(HttpRefusal::Busy);
            }
            self.add(chunk);
        }
        Ok(())
    }

    fn add(&mut self, chunk: Bytes) {
        if self.len() == 0 {
            self.first = chunk;
            return;
        }
        if self.rest.is_empty() {
            const AT_ONCE: usize = 4 << 20;
            self.rest.reserve(self.declared.min(AT_ONCE));
            self.rest.extend_from_slice(&self.first);
        }
        self.rest.extend_from_slice(&chunk);
    }

    fn len(&self) -> usize {
        self.first.len().max(self.rest.len())
    }

    fn into_bytes(self) -> Bytes {
        if self.rest.is_empty() { self.first } else { self.rest.freeze() }
    }
}
