//! Reads the file in which the official Pushgateway keeps its groups (`--persistence.file`). Pure: bytes in, groups out.
//!
//! The file is one value of Go's gob encoding: a map from group to labels and families, each family with the time of its
//! push and a protobuf `MetricFamily`. Messages that define types are passed over: the layout has been the same since
//! version 0.10. Memory is in proportion to the file, whatever it claims of itself.

/// A group of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct PersistedGroup<'f> {
    /// The grouping key, ascending by name; values may be empty.
    pub labels: Vec<(String, String)>,
    /// What was pushed to it, and its `push_time_seconds` and `push_failure_time_seconds`. In no order.
    pub families: Vec<PersistedFamily<'f>>,
}

/// A family of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct PersistedFamily<'f> {
    /// Under which the group holds it.
    pub name: &'f str,
    /// When it was pushed.
    pub pushed_at_unix_seconds: f64,
    /// A protobuf `io.prometheus.client.MetricFamily`, not checked. Its series have the labels of the group, and `instance`.
    pub family: &'f [u8],
}

impl PersistedGroup<'_> {
    /// The group's families as the body of a push in delimited protobuf.
    pub fn delimited_body(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.families.iter().map(|family| family.family.len() + 5).sum());
        for family in &self.families {
            // The only error is a lack of room, and a vector grows.
            let _ = prost::encode_length_delimiter(family.family.len(), &mut body);
            body.extend_from_slice(family.family);
        }
        body
    }
}

/// Why bytes are no such file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {at}: expected {expected}, got {got}")]
pub struct GobError {
    /// Counted from 0.
    pub at: usize,
    /// What the layout has there.
    pub expected: &'static str,
    /// What stood there.
    pub got: String,
}

/// Reads a whole file.
///
/// # Errors
/// The first place that is not as the Pushgateway writes it.
pub fn read(bytes: &[u8]) -> Result<Vec<PersistedGroup<'_>>, GobError> {
    let mut file = GobReader { bytes, at: 0 };
    loop {
        let message = file.bytes_with_length("a message")?;
        let mut message = GobReader { bytes: &bytes[..file.at], at: file.at - message.len() };
        // Types that the value is made of have negative numbers.
        if message.int("the number of a type")? < 0 {
            continue;
        }
        let groups = read_groups(&mut message)?;
        message.expect_end("the end of the message")?;
        file.expect_end("the end of the file")?;
        return Ok(groups);
    }
}

/// The one value: a map, announced by a zero as every value is that is no struct.
fn read_groups<'f>(message: &mut GobReader<'f>) -> Result<Vec<PersistedGroup<'f>>, GobError> {
    let at = message.at;
    let announced = message.uint("a zero before the map of groups")?;
    if announced != 0 {
        return Err(GobError { at, expected: "a zero before the map of groups", got: announced.to_string() });
    }
    message.map("a number of groups", |message| {
        // The key is made of the labels, which follow by themselves.
        message.bytes_with_length("a group's key")?;
        read_group(message)
    })
}

fn read_group<'f>(message: &mut GobReader<'f>) -> Result<PersistedGroup<'f>, GobError> {
    let mut group = PersistedGroup { labels: Vec::new(), families: Vec::new() };
    let mut fields = Fields::default();
    while let Some(field) = fields.next(message)? {
        match field {
            1 => group.labels = message.map("a number of labels", read_label)?,
            _ => group.families = message.map("a number of families", read_family)?,
        }
    }
    group.labels.sort();
    Ok(group)
}

fn read_label(message: &mut GobReader<'_>) -> Result<(String, String), GobError> {
    Ok((message.text("a label's name")?.to_owned(), message.text("a label's value")?.to_owned()))
}

fn read_family<'f>(message: &mut GobReader<'f>) -> Result<PersistedFamily<'f>, GobError> {
    let mut family =
        PersistedFamily { name: message.text("a family's name")?, pushed_at_unix_seconds: 0.0, family: &[] };
    let mut fields = Fields::default();
    while let Some(field) = fields.next(message)? {
        match field {
            1 => family.pushed_at_unix_seconds = read_time(message)?,
            _ => family.family = message.bytes_with_length("a metric family")?,
        }
    }
    Ok(family)
}

/// Go's binary form of a time: version, seconds since the year 1, nanoseconds, and the zone, which does not matter.
fn read_time(message: &mut GobReader<'_>) -> Result<f64, GobError> {
    const SECONDS_FROM_YEAR_1_TO_1970: i64 = 62_135_596_800;
    const EXPECTED: &str = "a time of 15 bytes in version 1, or of 16 in version 2";
    let time = message.bytes_with_length(EXPECTED)?;
    let fault = || GobError {
        at: message.at - time.len(),
        expected: EXPECTED,
        got: format!("{} bytes in version {}", time.len(), time.first().copied().unwrap_or(0)),
    };
    let is_known = matches!((time.len(), time.first()), (15, Some(1)) | (16, Some(2)));
    let (Some(seconds), Some(nanoseconds), true) =
        (time.get(1..).and_then(<[u8]>::first_chunk), time.get(9..).and_then(<[u8]>::first_chunk), is_known)
    else {
        return Err(fault());
    };
    let unix = i64::from_be_bytes(*seconds).saturating_sub(SECONDS_FROM_YEAR_1_TO_1970);
    Ok(unix as f64 + f64::from(i32::from_be_bytes(*nanoseconds)) / 1e9)
}

/// The fields of a struct: each is announced by its distance to the one before, and a zero ends them. All structs of the
/// file have two.
#[derive(Default)]
struct Fields {
    last: u64,
}

impl Fields {
    fn next(&mut self, message: &mut GobReader<'_>) -> Result<Option<u64>, GobError> {
        const EXPECTED: &str = "field 1 or 2, or the end of the fields";
        let at = message.at;
        let step = message.uint(EXPECTED)?;
        self.last = self.last.saturating_add(step);
        match (step, self.last) {
            (0, _) => Ok(None),
            (_, field @ 1..=2) => Ok(Some(field)),
            (_, other) => Err(GobError { at, expected: EXPECTED, got: format!("field {other}") }),
        }
    }
}

/// Walks gob's basic values.
struct GobReader<'f> {
    /// Up to the end of the message; counted from the file's begin.
    bytes: &'f [u8],
    at: usize,
}

impl<'f> GobReader<'f> {
    fn take(&mut self, length: usize, expected: &'static str) -> Result<&'f [u8], GobError> {
        let rest = &self.bytes[self.at..];
        match rest.get(..length) {
            Some(taken) => {
                self.at += length;
                Ok(taken)
            }
            None => Err(self.fault(expected, format!("{} bytes less", length - rest.len()))),
        }
    }

    /// One byte below 128, or the negated number of bytes that follow, the highest first.
    fn uint(&mut self, expected: &'static str) -> Result<u64, GobError> {
        let first = self.take(1, expected)?[0];
        if first < 128 {
            return Ok(first.into());
        }
        let length = 256 - usize::from(first);
        if length > 8 {
            return Err(GobError { at: self.at - 1, expected, got: format!("a number of {length} bytes") });
        }
        Ok(self.take(length, expected)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// The lowest bit tells whether the others are a complement.
    fn int(&mut self, expected: &'static str) -> Result<i64, GobError> {
        let bits = self.uint(expected)?;
        let magnitude = (bits >> 1) as i64;
        Ok(if bits & 1 == 1 { !magnitude } else { magnitude })
    }

    fn bytes_with_length(&mut self, expected: &'static str) -> Result<&'f [u8], GobError> {
        let length = self.uint(expected)?;
        // What does not fit into the address space is longer than the file too.
        self.take(usize::try_from(length).unwrap_or(usize::MAX), expected)
    }

    fn text(&mut self, expected: &'static str) -> Result<&'f str, GobError> {
        let bytes = self.bytes_with_length(expected)?;
        std::str::from_utf8(bytes).map_err(|_| GobError {
            at: self.at - bytes.len(),
            expected,
            got: "bytes that are not UTF-8".to_owned(),
        })
    }

    /// Entries are taken as they come, not made room for: the number may be a lie.
    fn map<T>(
        &mut self,
        expected: &'static str,
        mut read_entry: impl FnMut(&mut Self) -> Result<T, GobError>,
    ) -> Result<Vec<T>, GobError> {
        let count = self.uint(expected)?;
        let mut entries = Vec::new();
        for _ in 0..count {
            entries.push(read_entry(self)?);
        }
        Ok(entries)
    }

    fn expect_end(&self, expected: &'static str) -> Result<(), GobError> {
        match self.bytes.len() - self.at {
            0 => Ok(()),
            more => Err(self.fault(expected, format!("{more} bytes more"))),
        }
    }

    fn fault(&self, expected: &'static str, got: String) -> GobError {
        GobError { at: self.at, expected, got }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::proto::{MetricFamily, MetricType};
    use proptest::prelude::*;
    use prost::Message;

    /// Written by version 1.5.1 after a few pushes.
    const FILE: &[u8] = include_bytes!("../tests/data/pushgateway.db");

    fn groups() -> Vec<PersistedGroup<'static>> {
        read(FILE).expect("a file of the Pushgateway")
    }

    fn group(job: &str) -> PersistedGroup<'static> {
        let is_meant = |group: &PersistedGroup<'_>| group.labels.contains(&("job".to_owned(), job.to_owned()));
        groups().into_iter().find(is_meant).expect("a pushed group")
    }

    fn family(job: &str, name: &str) -> MetricFamily {
        let group = group(job);
        let persisted = group.families.iter().find(|family| family.name == name).expect("a pushed family");
        MetricFamily::decode(persisted.family).expect("a metric family")
    }

    #[test]
    fn a_real_file_holds_the_groups_that_were_pushed() {
        let mut labels: Vec<Vec<(String, String)>> = groups().into_iter().map(|group| group.labels).collect();
        labels.sort();
        let expected: [&[(&str, &str)]; 4] = [
            &[("empty", ""), ("job", "odd"), ("path", "/var/tmp"), ("text", "a \"b\" \\ c\nd é")],
            &[("instance", "db-1"), ("job", "backup")],
            &[("job", "refused")],
            &[("job", "web")],
        ];
        let expected: Vec<Vec<(String, String)>> = expected
            .iter()
            .map(|labels| labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
            .collect();
        assert_eq!(labels, expected);
    }

    #[test]
    fn a_real_file_holds_the_families_that_were_pushed() {
        let times = ["push_failure_time_seconds", "push_time_seconds"];
        let cases: [(&str, &[&str]); 4] = [
            ("backup", &["backup_last_size_bytes", "backup_runs_total", "backup_temperature"]),
            ("odd", &["odd_value"]),
            ("refused", &[]),
            ("web", &["queue_wait_seconds", "request_duration_seconds"]),
        ];
        for (job, expected) in cases {
            let group = group(job);
            let mut names: Vec<&str> = group.families.iter().map(|family| family.name).collect();
            names.retain(|name| !times.contains(name));
            names.sort_unstable();
            assert_eq!(names, expected, "{job}");
            assert_eq!(group.families.len(), expected.len() + times.len(), "{job}");
        }
    }

    #[test]
    fn families_are_those_that_were_pushed() {
        let counter = family("backup", "backup_runs_total");
        assert_eq!((counter.name(), counter.help()), ("backup_runs_total", "Backups made."));
        let values: Vec<f64> =
            counter.metric.iter().filter_map(|metric| Some(metric.counter.as_ref()?.value())).collect();
        assert_eq!(values, [3.0, 41.0]);
        let histogram = family("web", "request_duration_seconds");
        assert_eq!(histogram.r#type(), MetricType::Histogram);
        let histogram = histogram.metric[0].histogram.as_ref().expect("a histogram");
        assert_eq!((histogram.sample_count(), histogram.sample_sum(), histogram.bucket.len()), (6, 4.25, 3));
        let odd = family("odd", "odd_value");
        assert_eq!(odd.help(), "With a \\ and\na line feed.");
        assert_eq!(odd.metric[0].gauge.as_ref().map(|gauge| gauge.value()), Some(f64::NEG_INFINITY));
    }

    #[test]
    fn times_are_those_of_the_pushes() {
        let group = group("web");
        let pushed = group.families.iter().find(|family| family.name == "queue_wait_seconds").expect("it was pushed");
        let own = family("web", "push_time_seconds").metric[0].gauge.as_ref().map_or(0.0, |gauge| gauge.value());
        assert!(own > 1.7e9 && (pushed.pushed_at_unix_seconds - own).abs() < 1.0, "{pushed:?} at {own}");
    }

    #[test]
    fn a_group_becomes_the_body_of_a_push() {
        let group = group("backup");
        let body = group.delimited_body();
        let mut rest = body.as_slice();
        let mut names = Vec::new();
        while !rest.is_empty() {
            let family = MetricFamily::decode_length_delimited(&mut rest).expect("a family with its length before it");
            names.push(family.name().to_owned());
        }
        assert!(names.iter().map(String::as_str).eq(group.families.iter().map(|family| family.name)));
    }

    /// A file of one value message.
    fn value_message(content: &[u8]) -> Vec<u8> {
        [&[content.len() as u8], content].concat()
    }

    #[test]
    fn small_files_are_read() {
        let none: Vec<PersistedGroup<'_>> = Vec::new();
        assert_eq!(read(&value_message(&[2, 0, 0])), Ok(none));
        // A group without labels and families, and a type definition before it.
        let content = [2, 0, 1, 1, b'k', 0];
        let file = [vec![2, 1, 7], value_message(&content)].concat();
        assert_eq!(read(&file), Ok(vec![PersistedGroup { labels: Vec::new(), families: Vec::new() }]));
    }

    #[test]
    fn other_files_are_refused_by_place() {
        let family = |time: &[u8]| {
            let head = [2, 0, 1, 0, 2, 1, 1, b'f', 1, time.len() as u8];
            value_message(&[&head, time, &[0, 0]].concat())
        };
        let cases: Vec<(Vec<u8>, &str)> = vec![
            (vec![], "byte 0: expected a message, got 1 bytes less"),
            (vec![2, 1, 7], "byte 3: expected a message, got 1 bytes less"),
            (vec![9, 1], "byte 1: expected a message, got 8 bytes less"),
            (vec![0xf0], "byte 0: expected a message, got a number of 16 bytes"),
            (
                vec![0xf8, 255, 255, 255, 255, 255, 255, 255, 255],
                "byte 9: expected a message, got 18446744073709551615 bytes less",
            ),
            (vec![0], "byte 1: expected the number of a type, got 1 bytes less"),
            (value_message(&[2, 1, 0]), "byte 2: expected a zero before the map of groups, got 1"),
            (value_message(&[2, 0, 0, 9]), "byte 4: expected the end of the message, got 1 bytes more"),
            ([value_message(&[2, 0, 0]), vec![1]].concat(), "byte 4: expected the end of the file, got 1 bytes more"),
            (value_message(&[2, 0, 3]), "byte 4: expected a group's key, got 1 bytes less"),
            (
                value_message(&[2, 0, 1, 0, 3, 0]),
                "byte 5: expected field 1 or 2, or the end of the fields, got field 3",
            ),
            (
                value_message(&[2, 0, 1, 0, 1, 1, 1, 0xff, 0]),
                "byte 8: expected a label's name, got bytes that are not UTF-8",
            ),
            (
                family(&[1; 14]),
                "byte 11: expected a time of 15 bytes in version 1, or of 16 in version 2, got 14 bytes in version 1",
            ),
            (family(&[2; 15]), "got 15 bytes in version 2"),
            (family(&[]), "got 0 bytes in version 0"),
            (b"# TYPE a counter\na 1\n".to_vec(), "byte 1: expected a message, got 15 bytes less"),
        ];
        for (file, expected) in cases {
            let refused = read(&file).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(refused.contains(expected), "{expected} in {refused:?}");
        }
    }

    #[test]
    fn every_truncation_is_refused() {
        for length in 0..FILE.len() {
            assert!(read(&FILE[..length]).is_err(), "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = read(&bytes);
            // Behind a plausible begin, so that more than the first number is reached.
            let _ = read(&value_message(&[&[2, 0], &bytes[..bytes.len().min(120)]].concat()));
        }

        #[test]
        fn a_damaged_file_is_read_or_refused(flips in proptest::collection::vec((0..FILE.len(), 1..=255_u8), 1..8)) {
            let mut bytes = FILE.to_vec();
            for (at, bits) in flips {
                bytes[at] ^= bits;
            }
            let entries: usize = read(&bytes)
                .map(|groups| groups.iter().map(|group| 1 + group.labels.len() + group.families.len()).sum())
                .unwrap_or(0);
            prop_assert!(entries <= bytes.len());
        }
    }
}
