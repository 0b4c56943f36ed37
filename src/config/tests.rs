//! Layers, origins, and every refusal by name.

use super::layers::Layers;
use super::*;
use std::ffi::OsString;
use std::io::Write;

fn collect(flags: &[&str], environment: &[(&str, &str)]) -> Result<(Layers, Config), String> {
    let arguments = ["catchment"].iter().chain(flags).map(OsString::from);
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let layers = Layers::collect(arguments, environment).map_err(|error| error.to_string())?;
    let config = Config::from_layers(&layers).map_err(|error| error.to_string())?;
    Ok((layers, config))
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(text.as_bytes()).expect("room for it");
    file
}

fn path(file: &tempfile::NamedTempFile) -> &str {
    file.path().to_str().expect("a UTF-8 path")
}

#[test]
fn the_defaults_are_valid() {
    let (_, config) =
        collect(&[], &[("PATH", "/bin"), ("CATCHMENT_PORT", "tcp://10.0.0.1:9091"), ("CATCHMENT_SERVICE_HOST", "x")])
            .expect("valid");
    assert_eq!(config.listen, ["0.0.0.0:9091".parse().expect("an address")]);
    assert_eq!(config.http.max_body, 16 << 20);
    assert_eq!(config.push.gauges.aggregate, GaugeRule { policy: GaugePolicy::Last, window: 300_000 });
    assert_eq!(config.http.cors, CorsOrigins::Any);
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let file = file("gauges = \"min\"\nmax-line = 5\nmax_labels = 6\nlisten = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\n");
    let flags = ["--config", path(&file), "--gauges", "max"];
    let (layers, config) = collect(&flags, &[("CATCHMENT_GAUGES", "sum"), ("CATCHMENT_MAX_LINE", "7")]).expect("valid");
    assert_eq!(config.push.gauges.aggregate.policy, GaugePolicy::Max);
    assert_eq!((config.push.limits.line_length, config.push.limits.labels), (7, 6));
    assert_eq!(config.listen.len(), 2);
    let printed = layers.print();
    for line in [
        "gauges = \"max\"  # flag".to_owned(),
        "max-line = \"7\"  # environment".to_owned(),
        format!("max-labels = \"6\"  # file {}", path(&file)),
        "max-body = \"16MiB\"  # default".to_owned(),
        format!("listen = [\"127.0.0.1:1\", \"127.0.0.1:2\"]  # file {}", path(&file)),
    ] {
        assert!(printed.lines().any(|printed| printed == line), "{line} in {printed}");
    }
}

#[test]
fn what_is_printed_can_be_read_again() {
    let (layers, _) =
        collect(&["--listen", ":1", "--cors-origin", "http://a", "--cors-origin", "http://b"], &[]).expect("valid");
    let file = file(&layers.print());
    let (_, config) = collect(&[], &[("CATCHMENT_CONFIG", path(&file))]).expect("valid");
    assert_eq!(config.http.cors, CorsOrigins::Listed(vec!["http://a".into(), "http://b".into()]));
}

#[test]
fn wrong_settings_are_refused_by_name() {
    let file = file("max-bodies = 1\n");
    let not_toml = self::file("max-body == 1\n");
    type Refused<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);
    let cases: &[Refused<'_>] = &[
        (
            &["--gauges", "first"],
            &[],
            "setting gauges (flag): expected one of last, sum, min, max, mean, got \"first\"",
        ),
        (&["--shards", "0"], &[], "setting shards (flag): expected a whole number above 0, got \"0\""),
        (&["--shards", "5000"], &[], "setting shards (flag): expected at most 1024, got \"5000\""),
        (&["--gauge-window", "0s"], &[], "setting gauge-window (flag): expected a duration above 0, got \"0s\""),
        (&["--max-inflight", "1KiB"], &[], "setting max-inflight (flag): expected at least max-body, got \"1KiB\""),
        (
            &["--cors-origin", "*", "--cors-origin", "http://a"],
            &[],
            "setting cors-origin (flag): expected origins such as https://example.org, or * or none alone, got \"*, http://a\"",
        ),
        (&["--cors-origin", "not a uri"], &[], "setting cors-origin (flag): expected origins such as"),
        (&["--max-body", "3GiB"], &[], "setting max-body (flag): expected at most 2GiB, got \"3GiB\""),
        (
            &["--listen", "nowhere"],
            &[],
            "setting listen (flag): expected an address and port such as 127.0.0.1:9091, got \"nowhere\"",
        ),
        (
            &[],
            &[("CATCHMENT_GAUGE_WINDOW", "5x")],
            "setting gauge-window (environment): expected a duration such as 500ms, 30s or 5m, got \"5x\"",
        ),
        (
            &[],
            &[("CATCHMENT_MAX_LINE", "1KB")],
            "setting max-line (environment): expected a number of bytes such as 1000, 64KiB or 16MiB, got \"1KB\"",
        ),
        (&[], &[("CATCHMENT_GAUGE", "sum")], "environment: expected a known setting, got \"CATCHMENT_GAUGE\""),
        (&["--config", path(&file)], &[], "expected a known setting, got \"max-bodies\""),
        (&["--config", path(&not_toml)], &[], "TOML parse error"),
        (&["--config", "/nowhere/at/all"], &[], "configuration file /nowhere/at/all: "),
        (&["--max-bodies", "1"], &[], "--max-bodies"),
    ];
    for (flags, environment, expected) in cases {
        let refused = collect(flags, environment).err().unwrap_or_default();
        assert!(refused.contains(expected), "{expected} in {refused}");
    }
}

#[test]
fn bytes_have_units() {
    let cases = [
        ("1000", Some(1000)),
        ("64KiB", Some(65536)),
        ("2 MiB", Some(2 << 20)),
        ("1GiB", Some(1 << 30)),
        ("7B", Some(7)),
    ];
    for (text, expected) in cases {
        assert_eq!(parse_bytes(text), expected, "{text}");
    }
    for text in ["", "0", "-1", "1.5MiB", "MiB", "1KB", "99999999999GiB"] {
        assert_eq!(parse_bytes(text), None, "{text}");
    }
}
