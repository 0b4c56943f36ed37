//! The labels in a push's path (the group): `/<label>/<value>` pairs after `/metrics`, and the older plural form
//! `/jobs/<job>[/instances/<instance>]`. A name that begins with `U__` is read as an escape of the `values` scheme.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::percent_decode_str;

use crate::exposition::error::Limits;
use crate::model::labels::{GroupLabels, LabelFault};
use crate::model::name::{exposed_label_name, is_legacy_label_name, unescape_values};

/// What is wrong with a path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// `/metrics` spelt with escapes.
    #[error("expected a path that begins with /metrics or /<door>/metrics, got {0:?}")]
    Prefix(String),
    /// A label without a value.
    #[error("expected label and value pairs in the path, got {0:?} without a value")]
    Odd(String),
    /// A name that labels cannot have.
    #[error("expected a label name in the path, got {0:?}")]
    Name(String),
    /// A value in base64 that is not.
    #[error("expected URL-safe base64 as the value of {name:?}, got {got:?}")]
    Base64 { name: String, got: String },
    /// A value that is not text.
    #[error("expected UTF-8 as the value of {0:?}, got other bytes")]
    NotUtf8(String),
    /// A name or value beyond its limit.
    #[error("expected at most {limit} bytes in the path's label {name:?}, got {got}")]
    TooLong { name: String, limit: usize, got: usize },
    /// A deletion that says nothing of what to delete.
    #[error("expected labels in the path of what is to be deleted, got none")]
    NoLabels,
    /// A path that is no group's.
    #[error("expected a path that begins with /metrics/job/<job>, got /metrics{0}")]
    NotAGroup(String),
    /// A group without a job. The Pushgateway's words, as in those below.
    #[error("job name is required")]
    NoJob,
    /// A group's label without a value.
    #[error("odd number of components in label string {0:?}")]
    OddComponents(String),
    /// A name that labels cannot have.
    #[error("improper label name {0:?}")]
    ImproperName(String),
    /// A group's job in base64 that is not.
    #[error("invalid base64 encoding in job name {0:?}")]
    JobNotBase64(String),
    /// A group's value in base64 that is not.
    #[error("invalid base64 encoding for label {0}={1:?}")]
    LabelNotBase64(String, String),
    /// The labels as a whole.
    #[error("{0} in the path")]
    Labels(#[from] LabelFault),
}

/// Reads the part of a raw request path behind `/metrics`. A slash at the end is no label.
pub fn group_labels(path: &str, limits: &Limits) -> Result<GroupLabels, PathError> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        return Ok(GroupLabels::default());
    }
    let segments: Vec<&str> = path.split('/').collect();
    let is_plural = segments[0] == "jobs";
    let mut labels = Vec::with_capacity(segments.len() / 2);
    for pair in segments.chunks(2) {
        let raw_name = decoded(pair[0]).ok_or_else(|| PathError::Name(pair[0].to_owned()))?;
        let (name, is_base64) = match raw_name.strip_suffix("@base64") {
            Some(name) => (name, true),
            None => (&*raw_name, false),
        };
        let name = match name {
            "jobs" if is_plural => "job",
            "instances" if is_plural => "instance",
            other => other,
        };
        let name = &*label_name(name)?;
        let value = match pair.get(1) {
            Some(value) if !value.is_empty() => *value,
            _ => return Err(PathError::Odd(name.to_owned())),
        };
        let value = if is_base64 { base64_value(name, value)? } else { plain_value(name, value)? };
        limit_length(name, limits.name_length, name.len())?;
        limit_length(name, limits.value_length, value.len())?;
        labels.push((name.to_owned(), value));
    }
    if labels.len() > limits.labels {
        return Err(LabelFault::TooMany { limit: limits.labels, got: labels.len() }.into());
    }
    Ok(GroupLabels::new(labels)?)
}

/// Reads the same as the Pushgateway reads it: the job comes first and has a value, other values may be empty, and of labels
/// that stand twice the last one holds, but the first job.
pub fn grouping_key(path: &str, limits: &Limits) -> Result<GroupLabels, PathError> {
    let pairs = path.strip_prefix('/').unwrap_or_default();
    let mut segments: Vec<&str> = pairs.split('/').collect();
    if let [_, _, ""] = segments[..] {
        segments.pop();
    }
    let is_plural = segments[0] == "jobs";
    let job = match segments[..] {
        ["job" | "jobs", job, ..] if !job.is_empty() => plain_value("job", job)?,
        ["job@base64", job, ..] if !job.is_empty() => base64_value("job", job).map_err(|error| match error {
            PathError::Base64 { got, .. } => PathError::JobNotBase64(got),
            other => other,
        })?,
        _ => return Err(PathError::NotAGroup(path.to_owned())),
    };
    if job.is_empty() {
        return Err(PathError::NoJob);
    }
    limit_length("job", limits.value_length, job.len())?;
    let mut labels = BTreeMap::new();
    for pair in segments[2..].chunks(2) {
        let (name, value) = match *pair {
            [name, value] if is_plural && name == "instances" => ("instance".to_owned(), plain_value(name, value)?),
            [name, value] => grouping_label(name, value, limits)?,
            _ => return Err(PathError::OddComponents(format!("/{}", segments[2..].join("/")))),
        };
        labels.insert(name, value);
    }
    labels.insert("job".to_owned(), job);
    if labels.len() > limits.labels {
        return Err(LabelFault::TooMany { limit: limits.labels, got: labels.len() }.into());
    }
    Ok(GroupLabels::new(labels)?)
}

fn grouping_label(name: &str, value: &str, limits: &Limits) -> Result<(String, String), PathError> {
    let raw_name = decoded(name).ok_or_else(|| PathError::ImproperName(name.to_owned()))?;
    let (written, is_base64) = match raw_name.strip_suffix("@base64") {
        Some(name) => (name, true),
        None => (&*raw_name, false),
    };
    let name = label_name(written).map_err(|_| PathError::ImproperName(written.to_owned()))?.into_owned();
    let value = match is_base64 {
        true => base64_value(&name, value).map_err(|error| match error {
            PathError::Base64 { name, got } => PathError::LabelNotBase64(name, got),
            other => other,
        })?,
        false => plain_value(&name, value)?,
    };
    limit_length(&name, limits.name_length, name.len())?;
    limit_length(&name, limits.value_length, value.len())?;
    Ok((name, value))
}

/// The name that a legacy name stands for: another one if it is an escape, and itself if it is not, or a bad one.
fn label_name(written: &str) -> Result<Cow<'_, str>, PathError> {
    let refused = || PathError::Name(written.to_owned());
    if !is_legacy_label_name(written) {
        return Err(refused());
    }
    let name = unescape_values(written).map_or(Cow::Borrowed(written), Cow::Owned);
    if name.is_empty() || exposed_label_name(&name).starts_with("__") {
        return Err(refused());
    }
    Ok(name)
}

fn limit_length(name: &str, limit: usize, got: usize) -> Result<(), PathError> {
    if got <= limit {
        return Ok(());
    }
    let name = name.chars().take(32).collect();
    Err(PathError::TooLong { name, limit, got })
}

/// Percent-decoded; `None` if that is not UTF-8.
fn decoded(segment: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(segment).decode_utf8().ok()
}

fn plain_value(name: &str, segment: &str) -> Result<String, PathError> {
    decoded(segment).map(Cow::into_owned).ok_or_else(|| PathError::NotUtf8(name.to_owned()))
}

/// URL-safe base64 (RFC 4648, section 5); padding is optional, and `=` alone is the empty value.
fn base64_value(name: &str, segment: &str) -> Result<String, PathError> {
    let text = plain_value(name, segment)?;
    let bytes = URL_SAFE_NO_PAD
        .decode(text.trim_end_matches('='))
        .map_err(|_| PathError::Base64 { name: name.to_owned(), got: text.chars().take(32).collect() })?;
    String::from_utf8(bytes).map_err(|_| PathError::NotUtf8(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str) -> Result<GroupLabels, String> {
        group_labels(path, &Limits::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn paths_hold_label_pairs() {
        let cases: &[(&str, &[(&str, &str)])] = &[
            ("", &[]),
            ("/", &[]),
            ("/job/x", &[("job", "x")]),
            ("/job/x/", &[("job", "x")]),
            ("/label1/value1/label2/value2", &[("label1", "value1"), ("label2", "value2")]),
            ("/job/a%2Fb%20c", &[("job", "a/b c")]),
            ("/job/a+b", &[("job", "a+b")]),
            ("/job/%C3%A9", &[("job", "é")]),
            ("/job@base64/YS9i", &[("job", "a/b")]),
            ("/job@base64/YQ", &[("job", "a")]),
            ("/job@base64/YQ==", &[("job", "a")]),
            ("/job@base64/YQ%3D%3D", &[("job", "a")]),
            ("/job@base64/=", &[("job", "")]),
            ("/job@base64/w7_Dvg", &[("job", "ÿþ")]),
            ("/jobs/x", &[("job", "x")]),
            ("/jobs/x/instances/y", &[("job", "x"), ("instance", "y")]),
            ("/job/x/instances/y", &[("job", "x"), ("instances", "y")]),
            ("/job/x/U__a_2e_b/v", &[("job", "x"), ("a.b", "v")]),
            ("/U__a_2e_b@base64/YS9i", &[("a.b", "a/b")]),
            ("/U__a%5F2E_b/v", &[("a.b", "v")]),
            ("/U___1f631_/v", &[("😱", "v")]),
            ("/U__a__b/v", &[("a_b", "v")]),
            ("/U__job/v", &[("job", "v")]),
            ("/U___x/v", &[("U___x", "v")]),
            ("/U__a_2g_b/v", &[("U__a_2g_b", "v")]),
            ("/U__a_d800_b/v", &[("U__a_d800_b", "v")]),
        ];
        for (path, labels) in cases {
            let expected = GroupLabels::new(labels.iter().map(|(name, value)| ((*name).into(), (*value).into())));
            assert_eq!(read(path), expected.map_err(|error| error.to_string()), "{path}");
        }
    }

    #[test]
    fn other_paths_are_refused() {
        let cases = [
            ("/job", "expected label and value pairs in the path, got \"job\" without a value"),
            ("/job//a/b", "expected label and value pairs in the path, got \"job\" without a value"),
            ("/job/x/a", "expected label and value pairs in the path, got \"a\" without a value"),
            ("/a=b/x", "expected a label name in the path, got \"a=b\""),
            ("/a:b/x", "expected a label name in the path, got \"a:b\""),
            ("/__x/y", "expected a label name in the path, got \"__x\""),
            ("/a.b/x", "expected a label name in the path, got \"a.b\""),
            ("/%C3%A9/x", "expected a label name in the path, got \"é\""),
            ("/U__%C3%A9/x", "expected a label name in the path, got \"U__é\""),
            ("/U__/x", "expected a label name in the path, got \"U__\""),
            ("/U______x/y", "expected a label name in the path, got \"U______x\""),
            ("/U___2e___x/y", "expected a label name in the path, got \"U___2e___x\""),
            ("/U___2e__2e_x/y", "expected a label name in the path, got \"U___2e__2e_x\""),
            ("/U__job/x/job/y", "expected each label once, got job twice in the path"),
            ("/U__a_2e_b/x/U__a_2E_b/y", "expected each label once, got \"a.b\" twice in the path"),
            ("/U__a_2e_b/", "expected label and value pairs in the path, got \"a.b\" without a value"),
            ("/%FF/y", "expected a label name in the path, got \"%FF\""),
            ("/x/%FF", "expected UTF-8 as the value of \"x\", got other bytes"),
            ("/x@base64/_w", "expected UTF-8 as the value of \"x\", got other bytes"),
            ("/x@base64/a.b", "expected URL-safe base64 as the value of \"x\", got \"a.b\""),
            ("/x@base64/a+b/", "expected URL-safe base64 as the value of \"x\", got \"a+b\""),
            ("/a/1/a/2", "expected each label once, got a twice in the path"),
        ];
        for (path, expected) in cases {
            assert_eq!(read(path), Err(expected.to_owned()), "{path}");
        }
        let long = format!("/job/{}", "x".repeat(5000));
        assert_eq!(read(&long), Err("expected at most 4096 bytes in the path's label \"job\", got 5000".to_owned()));
    }
}
