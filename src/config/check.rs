//! `catchment check`: whether a configuration file is good, and in words what its rules do and what becomes of samples.

use std::ffi::OsString;
use std::io::BufRead;

use super::arguments::check_command;
use super::error::ConfigError;
use super::layers::Layers;
use super::words::{GAUGE_POLICIES, word_of};
use super::{Config, Door};
use crate::aggregate::NumberRule;
use crate::exposition::decode;
use crate::exposition::decoded::Decoded;
use crate::exposition::format::PushFormat;
use crate::model::labels::{GroupLabels, LabelHasher, Labels, write_canonical};
use crate::model::value::{GaugeRule, Millis};
use crate::rules::{LabelFilter, Rule};

/// What is to be checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckRequest {
    /// The configuration file.
    pub file: String,
    /// Series such as `http_requests_total{code="500"}`; `-` for lines of the input.
    pub samples: Vec<String>,
}

impl CheckRequest {
    /// Reads the program's arguments (its name first), if `check` is their first word.
    ///
    /// # Errors
    /// They are not those of `check`.
    pub fn from_arguments(arguments: &[OsString]) -> Option<Result<Self, ConfigError>> {
        let arguments = arguments.get(1..).filter(|arguments| arguments.first().is_some_and(|word| word == "check"))?;
        let command = check_command().bin_name("catchment check");
        Some(command.try_get_matches_from(arguments).map_err(ConfigError::from).map(|mut matches| Self {
            file: matches.remove_one("file").unwrap_or_default(),
            samples: matches.remove_many("sample").map(Iterator::collect).unwrap_or_default(),
        }))
    }
}

/// Checks a file by itself, without flags and environment, and tells what it says.
///
/// # Errors
/// What is wrong with the file, or with a sample.
pub fn run(request: &CheckRequest, input: impl BufRead) -> Result<String, ConfigError> {
    let arguments = ["catchment".to_owned(), format!("--config={}", request.file)].map(OsString::from);
    let layers = Layers::collect(arguments, std::iter::empty())?;
    let config = Config::from_layers(&layers)?;
    let settings = layers.file.as_ref().map_or(0, |file| file.setting_count());
    let rules = config.push.rules.iter().count();
    let mut lines = vec![format!("{}: good, with {settings} settings and {rules} rules", request.file)];
    lines.extend(config.push.rules.iter().map(|rule| format!("{}: {}: {}", rule.name, rule.met_by(), words_of(rule))));
    lines.extend(config.push.rules.shadowed().iter().map(|(rule, earlier)| {
        format!("warning: {} is never met: {} takes all of its series", rule.name, earlier.name)
    }));
    for sample in all_samples(request, input)? {
        lines.extend(explain(&config, &sample)?);
    }
    lines.push(String::new());
    Ok(lines.join("\n"))
}

fn all_samples(request: &CheckRequest, mut input: impl BufRead) -> Result<Vec<String>, ConfigError> {
    let mut samples = Vec::new();
    for sample in &request.samples {
        if sample != "-" {
            samples.push(sample.clone());
            continue;
        }
        let mut text = String::new();
        input.read_to_string(&mut text).map_err(ConfigError::Samples)?;
        samples.extend(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned));
    }
    Ok(samples)
}

/// What the rule changes.
fn words_of(rule: &Rule) -> String {
    if rule.drops {
        return "dropped".to_owned();
    }
    let mut words = Vec::new();
    words.extend(rule.gauge.map(|policy| format!("gauges show {}", word_of(GAUGE_POLICIES, &policy))));
    words.extend(
        rule.quantiles.as_ref().map(|quantiles| format!("summaries of observations show the quantiles {quantiles:?}")),
    );
    words.extend(rule.window.map(|window| format!("windows last {}", duration(window))));
    match &rule.labels {
        LabelFilter::All => {}
        LabelFilter::Drop(names) => words.push(format!("labels dropped: {}", list(names))),
        LabelFilter::Keep(names) => words.push(format!("labels kept: {}", list(names))),
    }
    words.extend(rule.ttl.map(|ttl| format!("gone {} after the last push", duration(ttl))));
    words.extend(rule.max_series.map(|most| format!("at most {most} series of a family")));
    if words.is_empty() { "the defaults apply".to_owned() } else { words.join("; ") }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn duration(time: Millis) -> String {
    humantime::format_duration(std::time::Duration::from_millis(time)).to_string()
}

/// Which rule the sample meets, and below that what becomes of it.
fn explain(config: &Config, sample: &str) -> Result<Vec<String>, ConfigError> {
    let series = Series::read(config, sample)?;
    let rule = config.push.rules.candidates(&series.family).choose(&series.labels);
    let mut lines = vec![format!("{sample}: {}", rule.map_or("no rule, the defaults apply", |rule| &rule.name))];
    if rule.is_some_and(|rule| rule.drops) {
        lines.push("  dropped".to_owned());
        return Ok(lines);
    }
    lines.push(format!("  stored as {}", stored_as(&series, rule)));
    lines.push(format!("  as a gauge: {}", gauge_words(config, rule)));
    let ttl = rule.and_then(|rule| rule.ttl).or(config.push.series_lifetime);
    let lifetime = ttl.map_or("stays for ever".to_owned(), |ttl| format!("gone {} after the last push", duration(ttl)));
    lines.push(format!("  lifetime: {lifetime}"));
    let most = rule.and_then(|rule| rule.max_series).unwrap_or(config.store.series_per_family);
    lines.push(format!("  limit: {most} series of the family"));
    Ok(lines)
}

/// A series that was given as a sample.
struct Series {
    family: String,
    /// Canonical.
    labels: String,
}

impl Series {
    /// Reads a sample without a value.
    fn read(config: &Config, sample: &str) -> Result<Self, ConfigError> {
        let refused = |fault: String| ConfigError::Sample { sample: sample.to_owned(), fault };
        let limits = &config.push.limits;
        let line = format!("{sample} 0\n");
        let (mut decoded, mut arena) = (Decoded::default(), Vec::new());
        let text = decode(PushFormat::Text, line.as_bytes(), limits, &LabelHasher::new(), &mut arena, &mut decoded)
            .map_err(|fault| refused(format!("expected {}, got {}", fault.expected, fault.got)))?;
        let [only] = decoded.samples.as_slice() else {
            let got = decoded.samples.len();
            return Err(refused(format!("expected one series such as http_requests_total{{code=\"500\"}}, got {got}")));
        };
        let family = decoded.names[only.series.name as usize].text.of(text).to_owned();
        let mut labels = String::new();
        write_canonical(&mut labels, only.series.labels.of(text), &GroupLabels::default(), None, limits.labels)
            .map_err(|fault| refused(fault.to_string()))?;
        Ok(Self { family, labels })
    }
}

fn stored_as(series: &Series, rule: Option<&Rule>) -> String {
    let is_kept = |name: &str| rule.is_none_or(|rule| rule.labels.keeps(name));
    let labels: Vec<String> = Labels::new(&series.labels)
        .filter(|label| is_kept(&label.plain_name()))
        .map(|label| format!("{}=\"{}\"", label.name, label.value))
        .collect();
    if labels.is_empty() { series.family.clone() } else { format!("{}{{{}}}", series.family, labels.join(",")) }
}

/// The replace door shows gauges as they are pushed.
fn gauge_words(config: &Config, rule: Option<&Rule>) -> String {
    let of_rule = rule.and_then(|rule| rule.gauge);
    let window = rule.and_then(|rule| rule.window).unwrap_or(config.push.gauges.aggregate.window);
    let doors = [(Door::Aggregate, config.push.gauges.aggregate.policy), (Door::Source, config.push.gauges.source)];
    let words = doors.map(|(door, of_door)| {
        let policy = of_rule.unwrap_or(of_door);
        let word = word_of(GAUGE_POLICIES, &policy);
        match NumberRule::of_gauges(GaugeRule { policy, window }) {
            NumberRule::Window(_) if door == Door::Aggregate => {
                format!("{word} over {} ({door})", duration(window))
            }
            _ => format!("{word} ({door})"),
        }
    });
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn check(text: &str, samples: &[&str], input: &str) -> (String, Result<String, String>) {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(text.as_bytes()).expect("room for it");
        let path = file.path().to_str().expect("a UTF-8 path").to_owned();
        let samples = samples.iter().map(|sample| (*sample).to_owned()).collect();
        let request = CheckRequest { file: path.clone(), samples };
        (path, run(&request, input.as_bytes()).map_err(|error| error.to_string()))
    }

    fn lines(text: &str, samples: &[&str], input: &str) -> Vec<String> {
        let (path, told) = check(text, samples, input);
        told.expect("a good file").replace(&path, "FILE").lines().map(str::to_owned).collect()
    }

    const FILE: &str = r#"
        gauge-window = "2m"
        series-ttl = "1day"
        [[rule]]
        match = "http_*"
        labels = { code = "5*" }
        gauge = "max"
        window = "1m"
        drop_labels = ["pod", "instance"]
        ttl = "10m"
        max_series = 100
        [[rule]]
        match = "debug_*"
        drop = true
        [[rule]]
        match = "debug_x"
        [[rule]]
        match = "up"
        keep_labels = []
    "#;

    #[test]
    fn rules_are_explained() {
        let expected = [
            "FILE: good, with 2 settings and 4 rules",
            "rule 1 (\"http_*\"): families \"http_*\", where code = \"5*\": gauges show max; windows last 1m; \
             labels dropped: pod, instance; gone 10m after the last push; at most 100 series of a family",
            "rule 2 (\"debug_*\"): families \"debug_*\": dropped",
            "rule 3 (\"debug_x\"): families \"debug_x\": the defaults apply",
            "rule 4 (\"up\"): families \"up\": labels kept: none",
            "warning: rule 3 (\"debug_x\") is never met: rule 2 (\"debug_*\") takes all of its series",
        ];
        assert_eq!(lines(FILE, &[], ""), expected);
        assert_eq!(lines("", &[], ""), ["FILE: good, with 0 settings and 0 rules"]);
    }

    #[test]
    fn samples_are_explained() {
        let told = |sample: &str| lines(FILE, &[sample], "").split_off(6);
        let sample = r#"http_requests_total{pod="a",code="500",zone="b"}"#;
        let expected = [
            "http_requests_total{pod=\"a\",code=\"500\",zone=\"b\"}: rule 1 (\"http_*\")",
            "  stored as http_requests_total{code=\"500\",zone=\"b\"}",
            "  as a gauge: max over 1m (aggregate), max (source)",
            "  lifetime: gone 10m after the last push",
            "  limit: 100 series of the family",
        ];
        assert_eq!(told(sample), expected);
        let expected = [
            "http_requests_total: no rule, the defaults apply",
            "  stored as http_requests_total",
            "  as a gauge: last (aggregate), sum (source)",
            "  lifetime: gone 1day after the last push",
            "  limit: 10000000 series of the family",
        ];
        assert_eq!(told("http_requests_total"), expected);
        assert_eq!(told("debug_y{a=\"1\"}"), ["debug_y{a=\"1\"}: rule 2 (\"debug_*\")", "  dropped"]);
        assert_eq!(told("{\"up\",a=\"1\"}")[1], "  stored as up");
        assert_eq!(told("{\"a.b\",\"c.d\"=\"1\"}")[1], "  stored as a.b{\"c.d\"=\"1\"}");
    }

    #[test]
    fn samples_come_from_the_input_too() {
        let told = lines("", &["a", "-"], "b\n\n  c{x=\"1\"}\n");
        let samples: Vec<&str> = told[1..].iter().filter(|line| !line.starts_with(' ')).map(String::as_str).collect();
        let defaults = "no rule, the defaults apply";
        assert_eq!(samples, [format!("a: {defaults}"), format!("b: {defaults}"), format!("c{{x=\"1\"}}: {defaults}")]);
    }

    #[test]
    fn bad_files_and_samples_are_refused() {
        let cases = [
            ("gauges = \"first\"", "a", "setting gauges (file "),
            ("[[rule]]\nmatch = \"\"", "a", "rule 1, match: expected a glob such as"),
            ("", "a{b}", "sample \"a{b}\": expected "),
            ("", "a{b=\"1\",b=\"2\"}", "sample \"a{b=\\\"1\\\",b=\\\"2\\\"}\": expected each label once, got b twice"),
            (
                "",
                "# a comment",
                "sample \"# a comment\": expected one series such as http_requests_total{code=\"500\"}, got 0",
            ),
            ("", "a 1 2", "sample \"a 1 2\": expected "),
            ("", "a\nb", "expected "),
        ];
        for (text, sample, expected) in cases {
            let refused = check(text, &[sample], "").1.err().unwrap_or_default();
            assert!(refused.contains(expected), "{expected} in {refused}");
        }
    }

    #[test]
    fn arguments_of_check_are_read() {
        let request = |words: &[&str]| {
            let arguments: Vec<OsString> = words.iter().map(OsString::from).collect();
            CheckRequest::from_arguments(&arguments)
        };
        assert!(request(&["catchment"]).is_none());
        assert!(request(&["catchment", "--config", "check"]).is_none());
        let read = request(&["catchment", "check", "a.toml", "--sample", "x", "--sample=-"]).expect("a check");
        let expected = CheckRequest { file: "a.toml".to_owned(), samples: vec!["x".to_owned(), "-".to_owned()] };
        assert_eq!(read.expect("good arguments"), expected);
        assert!(request(&["catchment", "check"]).is_some_and(|read| read.is_err()));
        assert!(request(&["catchment", "check", "a", "--listen", "b"]).is_some_and(|read| read.is_err()));
    }
}
