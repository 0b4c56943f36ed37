//! Requests one after the other, as tables tell them, and the page they must give.

use super::Server;
use super::exchange::{Push, Reply};

/// A request, and what must come of it.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Path and text; it must be taken in.
    Post(&'static str, &'static str),
    /// The same.
    Put(&'static str, &'static str),
    /// Path and families in another format; they must be taken in.
    PostAs(&'static str, Push),
    /// Path, a header's name and value, and text; it must be taken in.
    PostWith(&'static str, (&'static str, &'static str), &'static str),
    /// A path; it must be accepted.
    Delete(&'static str),
    /// Path and text that must be refused with this status, in one line that has this text in it.
    Refused(&'static str, &'static str, u16, &'static str),
    /// As [`Self::Refused`], but a `PUT`.
    RefusedPut(&'static str, &'static str, u16, &'static str),
    /// The page must show these samples, among others.
    Shows(&'static [(&'static str, f64)]),
}

/// What happens to a server of its own, and what its page must be then. Times of pushes to groups are left out.
pub struct Story {
    pub what: &'static str,
    pub steps: &'static [Step],
    pub page: &'static str,
}

#[track_caller]
pub fn check(flags: &[&str], stories: &[Story]) {
    for story in stories {
        let server = Server::start(flags);
        for (index, step) in story.steps.iter().enumerate() {
            take(&server, *step, &format!("{}, step {index}", story.what));
        }
        // Readers that are strict must take it, too.
        server.samples();
        assert_eq!(server.page_without_times(), story.page, "{}", story.what);
    }
}

/// Takes one step.
#[track_caller]
pub fn take(server: &Server, step: Step, what: &str) {
    match step {
        Step::Post(path, body) => assert_taken(server.push(path, body), what),
        Step::Put(path, body) => assert_taken(server.put(path, body), what),
        Step::PostAs(path, push) => {
            let header = ("Content-Type", push.format().content_type());
            assert_taken(status_and_text(server.push_with(path, &[header], &push.body())), what);
        }
        Step::PostWith(path, header, body) => {
            assert_taken(status_and_text(server.push_with(path, &[header], body.as_bytes())), what);
        }
        Step::Delete(path) => assert_eq!(server.delete(path), (202, String::new()), "{what}"),
        Step::Refused(path, body, status, line) => assert_refused(server.push(path, body), status, line, what),
        Step::RefusedPut(path, body, status, line) => assert_refused(server.put(path, body), status, line, what),
        Step::Shows(expected) => {
            let samples = server.samples();
            for (series, value) in expected {
                assert_eq!(samples.get(*series), Some(value), "{series} in {what}: {samples:?}");
            }
        }
    }
}

fn status_and_text(reply: Reply) -> (u16, String) {
    (reply.status, reply.text())
}

#[track_caller]
fn assert_taken((status, line): (u16, String), what: &str) {
    assert!(matches!(status, 200 | 202) && line.is_empty(), "{what}: {status} {line}");
}

/// The answer must have this status, and be one line with this text in it.
#[track_caller]
pub fn assert_refused((status, line): (u16, String), expected: u16, text: &str, what: &str) {
    assert_eq!(status, expected, "{what}: {line}");
    assert!(line.contains(text) && line.lines().count() == 1, "{what}: expected {text:?} in one line, got {line:?}");
}
