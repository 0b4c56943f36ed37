//! Whole requests as bytes: those of all pushers, prepared before the load starts; those that churn, rendered anew when a
//! step of the run begins.

use std::sync::Arc;

use crate::body::{self, Format};
use crate::content::{Content, STEPS_PER_SECOND, scrambled};
use crate::error::Error;
use crate::target::Target;

/// What a push looks like.
#[derive(Clone, Debug)]
pub struct RequestForm {
    /// Where it goes.
    pub target: Target,
    /// `POST` or `PUT`.
    pub method: &'static str,
    /// Behind the target's base; `{pusher}` stands for the pusher's number.
    pub path: String,
    /// The body's format.
    pub format: Format,
    /// Whether the body is compressed.
    pub is_gzipped: bool,
    /// Further header lines.
    pub headers: Vec<String>,
    /// What the body carries.
    pub content: Content,
}

const PUSHER: &str = "{pusher}";

impl RequestForm {
    /// A pusher's request at a step of the run.
    pub fn render(&self, pusher: u64, step: u64) -> Result<Arc<[u8]>, Error> {
        let mut body = body::render(&self.content, self.format, pusher, step);
        if self.is_gzipped {
            body = body::gzipped(&body).map_err(|error| Error::Start("the compressor".into(), error))?;
        }
        let mut head = format!(
            "{} {}{} HTTP/1.1\r\nHost: {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n",
            self.method,
            self.target.base,
            self.path.replace(PUSHER, &pusher.to_string()),
            self.target.host,
            self.format.content_type(),
            body.len(),
        );
        if self.is_gzipped {
            head.push_str("Content-Encoding: gzip\r\n");
        }
        self.headers.iter().for_each(|header| {
            head.push_str(header);
            head.push_str("\r\n");
        });
        head.push_str("\r\n");
        let mut request = head.into_bytes();
        request.extend(body);
        Ok(request.into())
    }

    /// Whether all pushers send the same bytes.
    fn is_shared(&self) -> bool {
        !self.content.is_own && !self.path.contains(PUSHER)
    }
}

/// A header line, checked not to break the request.
pub fn header_line(text: &str) -> Result<String, Error> {
    let (name, value) = text.split_once(':').ok_or_else(|| Error::Header(text.to_owned()))?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if !is_name || value.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(Error::Header(text.to_owned()));
    }
    Ok(format!("{name}: {}", value.trim()))
}

/// The requests of all pushers. Clones share what was prepared; each thread has one of its own.
#[derive(Clone)]
pub struct Requests {
    form: Arc<RequestForm>,
    pushers: u64,
    seed: u64,
    prepared: Arc<Vec<Arc<[u8]>>>,
    /// Under churn: the step at which each was rendered, and its bytes.
    churning: Vec<Option<(u64, Arc<[u8]>)>>,
}

impl Requests {
    /// Renders the requests of so many pushers. The seed decides which of them pushes when.
    pub fn prepare(form: RequestForm, pushers: u64, seed: u64) -> Result<Requests, Error> {
        let distinct = if form.is_shared() { 1 } else { pushers.max(1) };
        let does_churn = form.content.churn > 0.0;
        let prepared = match does_churn {
            true => Vec::new(),
            false => (0..distinct).map(|pusher| form.render(pusher, 0)).collect::<Result<_, _>>()?,
        };
        let churning = if does_churn { vec![None; distinct as usize] } else { Vec::new() };
        Ok(Requests { form: Arc::new(form), pushers: distinct, seed, prepared: Arc::new(prepared), churning })
    }

    /// What the requests look like.
    pub fn form(&self) -> &RequestForm {
        &self.form
    }

    /// Bytes of one request, at the start.
    pub fn size(&self) -> Result<usize, Error> {
        self.prepared.first().map_or_else(|| Ok(self.form.render(0, 0)?.len()), |request| Ok(request.len()))
    }

    /// The request of a ticket that was due so long after the start.
    pub fn request(&mut self, ticket: u64, seconds: f64) -> Result<Arc<[u8]>, Error> {
        let pusher = scrambled(self.seed, ticket) % self.pushers;
        if self.churning.is_empty() {
            return Ok(Arc::clone(&self.prepared[pusher as usize]));
        }
        let step = (seconds * STEPS_PER_SECOND as f64) as u64;
        let kept = &mut self.churning[pusher as usize];
        let fresh = match kept.take() {
            Some((at, request)) if at == step => request,
            _ => self.form.render(pusher, step)?,
        };
        Ok(Arc::clone(&kept.insert((step, fresh)).1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Shape;

    fn form(path: &str, churn: f64) -> RequestForm {
        RequestForm {
            target: Target { address: ([127, 0, 0, 1], 9).into(), host: "gateway:9".into(), base: "/base".into() },
            method: "PUT",
            path: path.into(),
            format: Format::Text,
            is_gzipped: false,
            headers: vec!["X-A: b".into()],
            content: Content { shape: Shape::Counters, series: 1, run: "r".into(), is_own: false, churn },
        }
    }

    #[test]
    fn a_request_is_head_and_body() {
        let request = String::from_utf8(form("/metrics/job/{pusher}", 0.0).render(3, 0).unwrap().to_vec()).unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let expected = format!(
            "PUT /base/metrics/job/3 HTTP/1.1\r\nHost: gateway:9\r\nContent-Type: text/plain; version=0.0.4; \
             charset=utf-8\r\nContent-Length: {}\r\nX-A: b",
            body.len()
        );
        assert_eq!(head, expected);
    }

    #[test]
    fn pushers_who_send_the_same_share_it() {
        for (path, distinct) in [("/metrics", 1), ("/metrics/job/{pusher}", 5)] {
            assert_eq!(Requests::prepare(form(path, 0.0), 5, 0).unwrap().prepared.len(), distinct, "{path}");
        }
    }

    #[test]
    fn churn_renders_anew_with_the_time() {
        let mut requests = Requests::prepare(form("/metrics", 1.0), 1, 0).unwrap();
        let first = requests.request(0, 0.0).unwrap();
        assert_eq!(requests.request(1, 0.99).unwrap(), first);
        assert_ne!(requests.request(2, 1.0).unwrap(), first);
    }

    #[test]
    fn all_pushers_push() {
        let mut requests = Requests::prepare(form("/{pusher}", 0.0), 8, 1).unwrap();
        let seen: std::collections::BTreeSet<_> =
            (0..200).map(|ticket| requests.request(ticket, 0.0).unwrap()).collect();
        assert_eq!(seen.len(), 8);
    }

    #[test]
    fn headers_that_would_break_the_request_are_refused() {
        assert_eq!(header_line("Catchment-TTL:10m").unwrap(), "Catchment-TTL: 10m");
        for header in ["no colon", ": empty", "a b: c", "a: b\r\nc: d"] {
            assert!(header_line(header).is_err(), "{header:?}");
        }
    }
}
