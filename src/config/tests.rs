//! Layers, origins, and every refusal by name.

use super::layers::Layers;
use super::*;
use crate::push::SummaryPolicy;
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
fn a_preset_stands_between_file_and_defaults() {
    let file = file("preset = \"zapier\"\nlisten = [\"127.0.0.1:1\"]\n");
    let (layers, config) = collect(&["--config", path(&file), "--cors", "none"], &[]).expect("valid");
    assert_eq!(config.preset, "zapier");
    assert_eq!(config.listen, ["127.0.0.1:1".parse().expect("an address")]);
    assert_eq!(config.telemetry_listen, ["0.0.0.0:8888".parse().expect("an address")]);
    let printed = layers.print();
    for line in [
        format!("preset = \"zapier\"  # file {}", path(&file)),
        "gauges = \"sum\"  # preset zapier".to_owned(),
        "telemetry-listen = \"0.0.0.0:8888\"  # preset zapier".to_owned(),
        "cors-origin = [\"none\"]  # flag".to_owned(),
        "summaries = \"sum-count\"  # default".to_owned(),
        "# shards is not set".to_owned(),
    ] {
        assert!(printed.lines().any(|printed| printed == line), "{line} in {printed}");
    }
}

#[test]
fn the_preset_is_chosen_by_flag_over_environment_over_file() {
    let file = file("preset = \"torch\"\n");
    type Chosen<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);
    let cases: &[Chosen<'_>] = &[
        (&["--preset", "gravel", "-l", "127.0.0.1:1"], &[("CATCHMENT_PRESET", "zapier")], "gravel"),
        (&[], &[("CATCHMENT_PRESET", "zapier"), ("SERVICE_PORT", "x")], "zapier"),
        (&[], &[("SERVICE_PORT", "9092")], "torch"),
    ];
    for (flags, environment, expected) in cases {
        let flags = [&["--config", path(&file)], *flags].concat();
        assert_eq!(collect(&flags, environment).expect("valid").1.preset, *expected);
    }
}

/// What a preset decides, but for addresses and the sources' key.
type Decided = (Door, GaugePolicy, GaugePolicy, bool, SummaryPolicy, u16);

#[test]
fn presets_are_like_the_systems_they_replace() {
    use GaugePolicy::{Last, Sum};
    use SummaryPolicy::{Discard, SumCount};
    let cases: &[(&str, &str, Decided)] = &[
        ("none", "0.0.0.0:9091", (Door::Aggregate, Last, Sum, true, SumCount, 202)),
        ("weaveworks", "0.0.0.0:80", (Door::Aggregate, Sum, Sum, false, Discard, 200)),
        ("by-job", "0.0.0.0:80", (Door::Source, Sum, Sum, false, Discard, 200)),
        ("gauges-last", "0.0.0.0:80", (Door::Aggregate, Last, Last, true, Discard, 200)),
        ("zapier", "0.0.0.0:80", (Door::Aggregate, Sum, Sum, true, SumCount, 202)),
        ("gravel", "0.0.0.0:4278", (Door::Aggregate, Last, Sum, true, SumCount, 200)),
        ("torch", "0.0.0.0:9091", (Door::Aggregate, Last, Sum, true, SumCount, 200)),
        ("hermes", "0.0.0.0:8080", (Door::Aggregate, Last, Sum, true, SumCount, 202)),
        ("pushgateway", "0.0.0.0:9091", (Door::Replace, Last, Sum, true, SumCount, 202)),
    ];
    assert!(cases.iter().map(|(name, ..)| *name).eq(presets::PRESETS.iter().map(|preset| preset.name)));
    for (name, listen, expected) in cases {
        let (_, config) = collect(&["--preset", name], &[]).expect(name);
        let decided = (
            config.http.door,
            config.push.gauges.aggregate.policy,
            config.push.gauges.source,
            config.http.adds_path_labels,
            config.push.summaries,
            config.http.accepted_status.as_u16(),
        );
        assert_eq!(decided, *expected, "{name}");
        assert_eq!(config.listen, [listen.parse().expect("an address")], "{name}");
    }
}

#[test]
fn presets_have_what_is_theirs_alone() {
    let of = |flags: &[&str], environment: &[(&str, &str)]| collect(flags, environment).expect("valid").1;
    let by_job = of(&["--preset=by-job"], &[]);
    assert_eq!(by_job.source_key, SourceKey::Labels(vec!["job".to_owned()]));
    assert_eq!(by_job.lifetimes.source, Some(90_000));
    let by_job = of(&["--preset=by-job", "-by-job=false", "-job-prune-duration", "2m"], &[]);
    assert_eq!((by_job.http.door, by_job.lifetimes.source), (Door::Aggregate, Some(120_000)));
    assert_eq!(of(&["--preset=gravel"], &[]).push.mode_label.as_deref(), Some("clearmode"));
    let torch = of(&[], &[("CATCHMENT_PRESET", "torch"), ("SERVICE_PORT", "9092"), ("TORCH_TTL", "2")]);
    assert_eq!(torch.listen, ["0.0.0.0:9092".parse().expect("an address")]);
    assert_eq!((torch.push.series_lifetime, torch.lifetimes.group), (Some(7_200_000), None));
    assert_eq!(of(&["--preset=torch"], &[]).push.series_lifetime, Some(86_400_000));
    let torch = of(&["--preset=torch", "--series-ttl", "none"], &[]);
    assert_eq!(torch.push.series_lifetime, None);
}

#[test]
fn our_variables_win_over_those_of_the_replaced_system() {
    let environment =
        [("CATCHMENT_CORS_ORIGIN", "none"), ("PAG_CORS", "http://a"), ("PAG_AUTHUSERS", "alice=secret,bob=other")];
    let (layers, config) = collect(&["--preset=zapier"], &environment).expect("valid");
    assert_eq!(config.http.cors, CorsOrigins::Listed(Vec::new()));
    let names: Vec<&str> = config.http.push_users.iter().map(|user| user.name.as_str()).collect();
    assert_eq!(names, ["alice", "bob"]);
    assert_eq!(config.http.push_users[0].password, "secret");
    assert!(layers.print().lines().any(|line| line == "push-user = [\"***\", \"***\"]  # environment"));
}

#[test]
fn secrets_are_never_shown() {
    let flags = ["--push-user", "alice=hidden", "--push-user", "hidden"];
    let refused = collect(&flags, &[]).err().expect("a user without a password");
    let file = file("push-user = [\"bob=hidden\"]\n");
    let (layers, config) = collect(&["--config", path(&file)], &[]).expect("valid");
    for shown in [refused, layers.print(), format!("{config:?}")] {
        assert!(!shown.contains("hidden"), "{shown}");
    }
}

#[test]
fn switches_are_flags_without_a_value() {
    let file = file("web.enable-admin-api = true\n[web]\nenable-lifecycle = true\n");
    assert!(collect(&["--config", path(&file)], &[]).is_err(), "one table twice");
    let file = self::file("web.enable-admin-api = true\nweb.enable_lifecycle = \"true\"\n");
    let in_file = ["--config", path(&file)];
    type Switched<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], (bool, bool));
    let cases: &[Switched<'_>] = &[
        (&[], &[], (false, false)),
        (&["--web.enable-admin-api"], &[], (true, false)),
        (&["--web.enable-admin-api=true", "--web.enable-lifecycle"], &[], (true, true)),
        (&[], &[("CATCHMENT_WEB_ENABLE_ADMIN_API", "true")], (true, false)),
        (&["--no-web.enable-admin-api"], &[("CATCHMENT_WEB_ENABLE_ADMIN_API", "true")], (false, false)),
        (&in_file, &[], (true, true)),
        (&[in_file[0], in_file[1], "--web.enable-lifecycle=false"], &[], (true, false)),
        (&in_file, &[("CATCHMENT_WEB_ENABLE_ADMIN_API", "false")], (false, true)),
    ];
    for (flags, environment, expected) in cases {
        let (_, config) = collect(flags, environment).expect("valid");
        assert_eq!((config.http.has_admin_api, config.http.has_lifecycle), *expected, "{flags:?} {environment:?}");
    }
    for flags in [["--web.enable-admin-api", "yes"], ["--web.enable-admin-api", "--no-web.enable-admin-api"]] {
        assert!(collect(&flags, &[]).is_err(), "{flags:?}");
    }
}

#[test]
fn gauges_follow_their_door_unless_told() {
    let (_, config) = collect(&[], &[]).expect("valid");
    let window = 300_000;
    assert_eq!(config.push.gauges.aggregate, GaugeRule { policy: GaugePolicy::Last, window });
    assert_eq!(config.push.gauges.source, GaugePolicy::Sum);
    let (_, config) = collect(&["--gauges", "mean"], &[]).expect("valid");
    assert_eq!(config.push.gauges.aggregate, GaugeRule { policy: GaugePolicy::Mean, window });
    assert_eq!(config.push.gauges.source, GaugePolicy::Mean);
}

#[test]
fn settings_become_what_they_mean() {
    let flags = [
        "--door=replace",
        "--source-key=instance, job",
        "--source-ttl=none",
        "--group-ttl=1h",
        "--max-series-per-source=7",
        "--mode-label=how",
        "--accepted-status=200",
        "--telemetry-listen=127.0.0.1:1",
        "--web.route-prefix=/gateway/",
        "--web.telemetry-path=own/page",
        "--persistence.file=/var/lib/groups",
    ];
    let (_, config) = collect(&flags, &[]).expect("valid");
    let key = SourceKey::Labels(vec!["instance".to_owned(), "job".to_owned()]);
    assert_eq!((config.source_key, config.store.series_per_source), (key, 7));
    assert_eq!(config.lifetimes, Lifetimes { source: None, group: Some(3_600_000) });
    assert_eq!(config.push.series_lifetime, None);
    assert_eq!(config.push.mode_label.as_deref(), Some("how"));
    assert_eq!((config.http.door, config.http.accepted_status.as_u16()), (Door::Replace, 200));
    assert_eq!((config.http.route_prefix.as_str(), config.http.telemetry_path.as_str()), ("/gateway", "/own/page"));
    assert_eq!(config.telemetry_listen, ["127.0.0.1:1".parse().expect("an address")]);
    assert_eq!(config.persistence_file, Some("/var/lib/groups".into()));
    let (_, config) = collect(&["--persistence.file="], &[]).expect("valid");
    assert_eq!((config.persistence_file, config.http.route_prefix.as_str()), (None, ""));
    assert_eq!((config.source_key, config.store.series_per_source), (SourceKey::All, 1_000_000));
    assert_eq!(config.lifetimes, Lifetimes { source: Some(300_000), group: None });
    assert!(
        config.telemetry_listen.is_empty() && config.push.mode_label.is_none() && config.http.push_users.is_empty()
    );
}

#[test]
fn new_settings_are_refused_by_name_too() {
    let cases: &[(&[&str], &str)] = &[
        (&["--preset", "prom"], "setting preset (flag): expected one of none, weaveworks, by-job, gauges-last,"),
        (&["--door", "back"], "setting door (flag): expected one of aggregate, source, replace, got \"back\""),
        (&["--source-key", "a,,b"], "setting source-key (flag): expected all, or label names with commas between them"),
        (&["--source-ttl", "0s"], "setting source-ttl (flag): expected a duration above 0, or none, got \"0s\""),
        (&["--mode-label", "a b"], "setting mode-label (flag): expected a label name, or none, got \"a b\""),
        (&["--accepted-status", "201"], "setting accepted-status (flag): expected one of 200, 202, got \"201\""),
        (&["--push-user", "a:b=c"], "setting push-user (flag): expected a name without colon, =, and a password"),
        (&["--push-user", "a=b", "--push-user", "a=c"], "setting push-user (flag): expected each name once"),
        (&["--web.route-prefix", "/{a}"], "setting web.route-prefix (flag): expected a path of letters, digits"),
        (&["--web.telemetry-path", "/"], "setting web.telemetry-path (flag): expected a path that is not the root"),
        (&["--preset=torch", "-listen", ":1"], "unexpected argument '-l'"),
        (&["--listen-address", ":1"], "unexpected argument '--listen-address'"),
        (&["--preset=pushgateway", "--web.config.file", "a"], "unexpected argument '--web.config.file'"),
        (&["--preset=weaveworks", "-push-path=/x"], "setting -push-path (flag): expected /metrics/ or /metrics"),
    ];
    for (flags, expected) in cases {
        let refused = collect(flags, &[]).err().unwrap_or_default();
        assert!(refused.contains(expected), "{expected} in {refused}");
    }
}

#[test]
fn aliases_that_do_nothing_are_told() {
    let flags = ["--preset=pushgateway", "--web.listen-address=:1", "--log.format", "json"];
    let (layers, config) = collect(&flags, &[]).expect("valid");
    assert_eq!(layers.warnings, ["flag --log.format is accepted but does nothing"]);
    assert_eq!(config.listen, ["0.0.0.0:1".parse().expect("an address")]);
}

#[test]
fn rules_stand_in_the_file() {
    let file = file(
        "max-line = 5\n[[rule]]\nmatch = \"a_*\"\nlabels = { code = \"5*\", \"x.y\" = \"\" }\ngauge = \"mean\"\nwindow = \"1m\"\n\
         drop-labels = [\"pod\"]\nttl = \"1h\"\nmax-series = 7\n[[rule]]\nmatch = \"*\"\ndrop = true\n",
    );
    let (layers, config) = collect(&["--config", path(&file)], &[]).expect("valid");
    let reread = self::file(&layers.print());
    let (_, again) = collect(&["--config", path(&reread)], &[]).expect("what is printed");
    for config in [config, again] {
        let rule = config.push.rules.candidates("a_b").choose("code=\"500\"").expect("it is met");
        assert_eq!(rule.name, "rule 1 (\"a_*\")");
        assert_eq!((rule.gauge, rule.window), (Some(GaugePolicy::Mean), Some(60_000)));
        assert_eq!((rule.ttl, rule.max_series, rule.drops), (Some(3_600_000), Some(7), false));
        assert!(!rule.labels.keeps("pod") && rule.labels.keeps("code"));
        let rule =
            config.push.rules.candidates("a_b").choose("\"x.y\"=\"1\",code=\"500\"").expect("any meets the second");
        assert!(rule.drops);
    }
}

#[test]
fn wrong_rules_are_refused_by_file_number_and_key() {
    let cases = [
        ("rule = 1", "rule 1, rule: expected [[rule]] tables, got 1"),
        ("rule = [1]", "rule 1, rule: expected [[rule]] tables, got 1"),
        ("[[rule]]\ngauge = \"sum\"", "rule 1, match: expected a glob such as \"http_*\", got no such key"),
        ("[[rule]]\nmatch = 1", "rule 1, match: expected a glob such as \"http_*\", got 1"),
        (
            "[[rule]]\nmatch = \"a\"\n[[rule]]\nmatch = \"\"",
            "rule 2, match: expected a glob such as \"http_*\", got \"\"",
        ),
        ("[[rule]]\nmatch = \"a\"\nmatches = 1", "rule 1, matches: expected one of match, labels, gauge,"),
        ("[[rule]]\nmatch = \"a\"\nlabels = [\"b\"]", "rule 1, labels: expected label names with globs, such as"),
        ("[[rule]]\nmatch = \"a\"\nlabels = { b = 5 }", "rule 1, labels.b: expected a glob such as \"5*\", got 5"),
        (
            "[[rule]]\nmatch = \"a\"\ngauge = \"first\"",
            "rule 1, gauge: expected one of last, sum, min, max, mean, got \"first\"",
        ),
        ("[[rule]]\nmatch = \"a\"\nwindow = \"0s\"", "rule 1, window: expected a duration above 0, got \"0s\""),
        ("[[rule]]\nmatch = \"a\"\nttl = \"0s\"", "rule 1, ttl: expected a duration above 0, got \"0s\""),
        ("[[rule]]\nmatch = \"a\"\nttl = 5", "rule 1, ttl: expected a duration such as \"30s\" or \"5m\", got 5"),
        ("[[rule]]\nmatch = \"a\"\nmax_series = 0", "rule 1, max_series: expected a whole number above 0, got 0"),
        ("[[rule]]\nmatch = \"a\"\ndrop = \"yes\"", "rule 1, drop: expected true or false, got \"yes\""),
        ("[[rule]]\nmatch = \"a\"\nkeep_labels = [1]", "rule 1, keep_labels: expected a list of label names such as"),
        (
            "[[rule]]\nmatch = \"a\"\nkeep_labels = [\"b\"]\ndrop-labels = [\"c\"]",
            "rule 1, keep_labels: expected drop_labels or keep_labels, got both",
        ),
    ];
    for (text, expected) in cases {
        let file = file(text);
        let refused = file::ConfigFile::read(path(&file)).err().map(|error| error.to_string()).unwrap_or_default();
        let expected = format!("configuration file {}, {expected}", path(&file));
        assert!(refused.starts_with(&expected), "{expected} in {refused}");
    }
}

#[test]
fn a_file_is_read_anew() {
    let file = file("max-line = 5\nmax-labels = 6\nlisten = [\":1\"]\n[[rule]]\nmatch = \"a\"\n");
    let (_, config) = collect(&["--config", path(&file), "--max-line", "9"], &[]).expect("valid");
    let started = config.file.expect("a file");
    let reread = started.reread().expect("it is still there");
    assert_eq!((reread.rules.iter().count(), reread.changed_settings), (1, vec![]));

    let newer = "max-line = 7\nlisten = [\":1\"]\ngauges = \"sum\"\n[[rule]]\nmatch = \"b\"\n[[rule]]\nmatch = \"c\"\n";
    std::fs::write(file.path(), newer).expect("a writable file");
    let mut reread = started.reread().expect("it is still good");
    reread.changed_settings.sort_unstable();
    assert_eq!(reread.changed_settings, ["gauges", "max-labels", "max-line"]);
    assert!(reread.rules.candidates("a").is_empty() && !reread.rules.candidates("c").is_empty());

    std::fs::write(file.path(), "max-lines = 7\n").expect("a writable file");
    let refused = started.reread().map(|reread| reread.changed_settings).err().map(|error| error.to_string());
    assert!(refused.is_some_and(|refused| refused.contains("got \"max-lines\"")));
}

#[test]
fn tables_of_other_names_are_unknown_settings() {
    for (text, name) in [("[max]\nbody = 1", "max.body"), ("[web]\nx = 1", "web.x"), ("rules = []", "rules")] {
        let file = file(text);
        let refused = collect(&["--config", path(&file)], &[]).err().unwrap_or_default();
        assert!(refused.contains(&format!("expected a known setting, got {name:?}")), "{refused}");
    }
}

#[test]
fn variables_of_settings_differ() {
    for setting in settings::SETTINGS {
        let variable = setting.name.replace(['-', '.'], "_");
        assert_eq!(settings::setting_of_variable(&variable).map(|row| row.name), Some(setting.name));
    }
}
