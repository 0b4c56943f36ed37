//! The replaced system's flags and variables, as ours: rewritten before the arguments are parsed, by the preset's table. Pure.

use std::ffi::OsString;

use actix_web::http::Uri;

use super::error::ConfigError;
use super::given::{Given, Origin};
use super::presets::{FlagStyle, Meaning, Preset};
use super::settings::{SettingForm, setting};

/// Arguments in our flags.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// For the parser.
    pub arguments: Vec<OsString>,
    /// Lines about flags that do nothing.
    pub warnings: Vec<String>,
    /// Flags that give way to the same one among the arguments.
    yielding: Vec<(&'static str, OsString)>,
}

/// The value of one of our flags that may be given once, before the arguments are parsed.
pub fn value_of_flag(arguments: &[OsString], name: &str) -> Option<String> {
    let mut arguments = arguments.iter().skip(1).filter_map(|argument| argument.to_str());
    while let Some(argument) = arguments.next().filter(|argument| *argument != "--") {
        let Some(flag) = argument.strip_prefix("--") else {
            continue;
        };
        match flag.split_once('=') {
            Some((flag, value)) if flag == name => return Some(value.to_owned()),
            None if flag == name => return arguments.next().map(str::to_owned),
            None if takes_next(flag) => _ = arguments.next(),
            _ => {}
        }
    }
    None
}

/// Whether one of our flags without `=` has its value in the next argument.
fn takes_next(flag: &str) -> bool {
    flag == "config" || setting(flag).is_some_and(|row| row.name == flag && row.form != SettingForm::Switch)
}

/// Puts our flags in the place of the preset's aliases. The program's name, and what is no alias, stays as it is.
///
/// # Errors
/// An alias whose value has no counterpart.
pub fn rewrite(arguments: Vec<OsString>, preset: &Preset) -> Result<Rewritten, ConfigError> {
    let mut rewritten = Rewritten::default();
    let mut arguments = arguments.into_iter();
    rewritten.arguments.extend(arguments.next());
    while let Some(argument) = arguments.next() {
        let text = argument.to_str().unwrap_or_default();
        if text == "--" {
            rewritten.arguments.push(argument);
            break;
        }
        match alias(preset, text) {
            Some(alias) => {
                let value = alias.value.or_else(|| alias.wants_next.then(|| next_text(&mut arguments)).flatten());
                rewritten.take(alias.written, alias.meaning, value)?;
            }
            None => {
                let has_value_behind = text.strip_prefix("--").is_some_and(takes_next);
                rewritten.arguments.push(argument);
                rewritten.arguments.extend(has_value_behind.then(|| arguments.next()).flatten());
            }
        }
    }
    rewritten.settle_yielding();
    rewritten.arguments.extend(arguments);
    Ok(rewritten)
}

fn next_text(arguments: &mut impl Iterator<Item = OsString>) -> Option<String> {
    arguments.next().map(|value| value.to_string_lossy().into_owned())
}

/// An alias that was met.
struct Alias {
    /// With its dashes, without a value.
    written: String,
    meaning: Meaning,
    value: Option<String>,
    /// Whether the next argument is its value.
    wants_next: bool,
}

fn alias(preset: &Preset, argument: &str) -> Option<Alias> {
    let (written, value) = match argument.split_once('=') {
        Some((written, value)) => (written, Some(value.to_owned())),
        None => (argument, None),
    };
    let dashes = match preset.flag_style {
        FlagStyle::TwoDashes => written.strip_prefix("--"),
        FlagStyle::OneDash => written.strip_prefix("--").or_else(|| written.strip_prefix('-')),
        FlagStyle::Letter => return letter_alias(preset, argument),
    };
    let name = dashes?;
    let meaning_of = |name: &str| preset.flags.iter().find(|(flag, _)| *flag == name).map(|(_, meaning)| *meaning);
    let is_kingpins = preset.flag_style == FlagStyle::TwoDashes && value.is_none();
    if let Some(meaning) = name.strip_prefix("no-").filter(|_| is_kingpins).and_then(meaning_of) {
        return is_switch(meaning).then(|| Alias {
            written: written.to_owned(),
            meaning,
            value: Some("false".to_owned()),
            wants_next: false,
        });
    }
    let meaning = meaning_of(name)?;
    let wants_next = value.is_none() && !is_switch(meaning);
    Some(Alias { written: written.to_owned(), meaning, value, wants_next })
}

/// `-l value`, `-l=value`, `-lvalue`.
fn letter_alias(preset: &Preset, argument: &str) -> Option<Alias> {
    let letters = argument.strip_prefix('-').filter(|letters| !letters.starts_with('-'))?;
    let (flag, meaning) = preset.flags.iter().find(|(flag, _)| letters.starts_with(flag))?;
    let behind = &letters[flag.len()..];
    let value = match behind.strip_prefix('=') {
        Some(value) => Some(value.to_owned()),
        None if behind.is_empty() => None,
        None => Some(behind.to_owned()),
    };
    let wants_next = value.is_none();
    Some(Alias { written: format!("-{flag}"), meaning: *meaning, value, wants_next })
}

fn is_switch(meaning: Meaning) -> bool {
    matches!(meaning, Meaning::Choice { .. } | Meaning::IgnoredSwitch)
}

impl Rewritten {
    fn take(&mut self, written: String, meaning: Meaning, value: Option<String>) -> Result<(), ConfigError> {
        let value = match (value, target(meaning)) {
            (Some(value), _) => value,
            (None, _) if is_switch(meaning) => "true".to_owned(),
            // The parser says that a value is missing.
            (None, Some(setting)) => {
                self.arguments.push(format!("--{setting}").into());
                return Ok(());
            }
            (None, None) => String::new(),
        };
        let expected_else = |expected| ConfigError::Invalid {
            name: written.clone(),
            origin: Origin::Flag,
            expected,
            got: value.clone(),
        };
        let Some((setting, texts)) = texts(meaning, &value).map_err(expected_else)? else {
            if matches!(meaning, Meaning::Ignored | Meaning::IgnoredSwitch) {
                self.warnings.push(format!("flag {written} is accepted but does nothing"));
            }
            return Ok(());
        };
        let flags = texts.into_iter().map(|text| OsString::from(format!("--{setting}={text}")));
        match meaning {
            Meaning::PathOf(_) => self.yielding.extend(flags.map(|flag| (setting, flag))),
            _ => self.arguments.extend(flags),
        }
        Ok(())
    }

    fn settle_yielding(&mut self) {
        for (setting, flag) in std::mem::take(&mut self.yielding) {
            if value_of_flag(&self.arguments, setting).is_none() {
                // Behind the program's name: what stands behind `--` is no flag.
                self.arguments.insert(self.arguments.len().min(1), flag);
            }
        }
    }
}

fn target(meaning: Meaning) -> Option<&'static str> {
    match meaning {
        Meaning::Value(setting)
        | Meaning::Items(setting)
        | Meaning::Choice { setting, .. }
        | Meaning::Port(setting)
        | Meaning::Host(setting)
        | Meaning::LowerCase(setting)
        | Meaning::Hours(setting)
        | Meaning::PathOf(setting) => Some(setting),
        Meaning::Only(_) | Meaning::Ignored | Meaning::IgnoredSwitch => None,
    }
}

/// A setting and its texts.
type Texts = (&'static str, Vec<String>);

/// What an alias of this value says; nothing if it stands for no setting, or leaves it as it is. Fails with what is expected.
fn texts(meaning: Meaning, value: &str) -> Result<Option<Texts>, String> {
    let texts = match meaning {
        Meaning::Value(_) => vec![value.to_owned()],
        Meaning::LowerCase(_) => vec![value.to_ascii_lowercase()],
        Meaning::Items(_) => value.split(',').filter(|item| !item.is_empty()).map(str::to_owned).collect(),
        Meaning::Choice { on, off, .. } => vec![if boolean(value)? { on.to_owned() } else { off.to_owned() }],
        Meaning::Port(_) => {
            let port: u16 = value.parse().map_err(|_| "a port".to_owned())?;
            vec![format!("0.0.0.0:{port}")]
        }
        Meaning::Hours(_) => {
            let hours: u32 = value.parse().map_err(|_| "a whole number of hours".to_owned())?;
            vec![format!("{hours}h")]
        }
        Meaning::PathOf(_) if value.is_empty() => Vec::new(),
        Meaning::PathOf(_) => vec![value.parse::<Uri>().map_err(|_| "a URL".to_owned())?.path().to_owned()],
        Meaning::Only(values) if !values.contains(&value) => return Err(values.join(" or ")),
        Meaning::IgnoredSwitch => boolean(value).map(|_| Vec::new())?,
        // Nothing by itself: see `read_host`.
        Meaning::Only(_) | Meaning::Ignored | Meaning::Host(_) => Vec::new(),
    };
    Ok(target(meaning).filter(|_| !texts.is_empty()).map(|setting| (setting, texts)))
}

/// As Go reads it.
fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("true or false".to_owned()),
    }
}

/// What one of the preset's environment variables says. An empty one says nothing.
///
/// # Errors
/// A value that has no counterpart.
pub fn read_variable(
    preset: &Preset,
    variable: &str,
    value: &str,
) -> Result<Option<(&'static str, Given)>, ConfigError> {
    let Some((name, meaning)) = preset.variables.iter().find(|(name, _)| *name == variable && !value.is_empty()) else {
        return Ok(None);
    };
    let texts = texts(*meaning, value).map_err(|expected| ConfigError::Invalid {
        name: (*name).to_owned(),
        origin: Origin::Environment,
        expected,
        got: value.to_owned(),
    })?;
    Ok(texts.map(|(setting, texts)| (setting, Given { texts, origin: Origin::Environment })))
}

/// What a preset's variable says that is the address alone: the setting with that address, and with the port that it has so far.
pub fn read_host(
    preset: &Preset,
    variable: &str,
    host: &str,
    so_far: impl Fn(&'static str) -> Option<String>,
) -> Option<(&'static str, Given)> {
    let (_, meaning) = preset.variables.iter().find(|(name, _)| *name == variable && !host.is_empty())?;
    let Meaning::Host(setting) = *meaning else { return None };
    let address = so_far(setting)?;
    let (_, port) = address.rsplit_once(':')?;
    let text = if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    };
    Some((setting, Given { texts: vec![text], origin: Origin::Environment }))
}

#[cfg(test)]
mod tests {
    use super::super::presets::PRESETS;
    use super::*;
    use proptest::prelude::*;

    fn rewritten(preset: &str, arguments: &str) -> Result<(String, Vec<String>), String> {
        let preset = Preset::by_name(preset).expect("a preset");
        let arguments = std::iter::once("catchment").chain(arguments.split(' ').filter(|text| !text.is_empty()));
        let rewritten = rewrite(arguments.map(OsString::from).collect(), preset).map_err(|error| error.to_string())?;
        let texts: Vec<&str> = rewritten.arguments[1..].iter().filter_map(|argument| argument.to_str()).collect();
        Ok((texts.join(" "), rewritten.warnings))
    }

    #[test]
    fn aliases_become_our_flags() {
        let cases = [
            ("weaveworks", "-listen :8080 -cors=*", "--listen=:8080 --cors-origin=*"),
            ("weaveworks", "--listen=:8080 --cors http://a", "--listen=:8080 --cors-origin=http://a"),
            ("weaveworks", "-push-path /metrics/ -push-path=/metrics", ""),
            ("weaveworks", "-listen", "--listen"),
            ("weaveworks", "--gauges -listen -cors x", "--gauges -listen --cors-origin=x"),
            ("weaveworks", "-listen a -- -listen b", "--listen=a -- -listen b"),
            ("weaveworks", "-by-job", "-by-job"),
            ("gauges-last", "-push-path=/metrics/job/:job", ""),
            ("by-job", "-by-job -job-prune-duration 90s", "--door=source --source-ttl=90s"),
            ("by-job", "-by-job=true --by-job=0", "--door=source --door=aggregate"),
            ("by-job", "-by-job false", "--door=source false"),
            (
                "zapier",
                "--apiListen :80 --lifecycleListen=:81 --cors *",
                "--listen=:80 --telemetry-listen=:81 --cors-origin=*",
            ),
            ("zapier", "--AuthUsers a=1,b=2=3,", "--push-user=a=1 --push-user=b=2=3"),
            ("zapier", "-apiListen :80", "-apiListen :80"),
            ("gravel", "-l localhost:1 -l=:2 -l:3", "--listen=localhost:1 --listen=:2 --listen=:3"),
            ("gravel", "-l= :1", "--listen= :1"),
            ("gravel", "-l", "--listen"),
            ("gravel", "--listen -l", "--listen -l"),
            ("pushgateway", "--web.listen-address=:1 --web.listen-address :2", "--listen=:1 --listen=:2"),
            ("pushgateway", "--log.level debug", "--log-level=debug"),
            ("pushgateway", "--web.external-url=http://a/b/", "--web.route-prefix=/b/"),
            ("pushgateway", "--web.external-url=/b -- c", "--web.route-prefix=/b -- c"),
            ("pushgateway", "--web.external-url=", ""),
            ("pushgateway", "--web.external-url /b --web.route-prefix=/", "--web.route-prefix=/"),
            ("pushgateway", "--web.route-prefix / --web.external-url /b", "--web.route-prefix /"),
            (
                "pushgateway",
                "--web.enable-lifecycle --persistence.file a",
                "--web.enable-lifecycle --persistence.file a",
            ),
            ("none", "-listen :1 -l :2 --apiListen :3", "-listen :1 -l :2 --apiListen :3"),
        ];
        for (preset, arguments, expected) in cases {
            assert_eq!(rewritten(preset, arguments), Ok((expected.to_owned(), vec![])), "{preset}: {arguments}");
        }
    }

    #[test]
    fn aliases_that_do_nothing_are_named() {
        let arguments = "--log.format=json --persistence.interval 5m --push.disable-consistency-check \
                         --no-push.enable-utf8-names --web.systemd-socket=true --shards 2";
        let (left, warnings) = rewritten("pushgateway", arguments).expect("known flags");
        assert_eq!(left, "--shards 2");
        let named: Vec<&str> = warnings.iter().filter_map(|line| line.split(' ').nth(1)).collect();
        let expected = [
            "--log.format",
            "--persistence.interval",
            "--push.disable-consistency-check",
            "--no-push.enable-utf8-names",
            "--web.systemd-socket",
        ];
        assert_eq!(named, expected);
    }

    #[test]
    fn aliases_without_a_counterpart_are_refused_by_name() {
        let cases = [
            ("weaveworks", "-push-path=/x", "setting -push-path (flag): expected /metrics/ or /metrics, got \"/x\""),
            ("weaveworks", "-push-path", "setting -push-path (flag): expected /metrics/ or /metrics, got \"\""),
            ("by-job", "-by-job=maybe", "setting -by-job (flag): expected true or false, got \"maybe\""),
            (
                "pushgateway",
                "--web.external-url=http://[",
                "setting --web.external-url (flag): expected a URL, got \"http://[\"",
            ),
            (
                "pushgateway",
                "--push.enable-utf8-names=x",
                "setting --push.enable-utf8-names (flag): expected true or false, got \"x\"",
            ),
        ];
        for (preset, arguments, expected) in cases {
            assert_eq!(rewritten(preset, arguments), Err(expected.to_owned()), "{preset}: {arguments}");
        }
    }

    #[test]
    fn variables_become_settings() {
        /// Preset, variable, value; the setting and its texts.
        type Read<'a> = (&'a str, &'a str, &'a str, Option<(&'a str, &'a [&'a str])>);
        let cases: &[Read<'_>] = &[
            ("zapier", "PAG_APILISTEN", ":80", Some(("listen", &[":80"]))),
            ("zapier", "PAG_LIFECYCLELISTEN", ":81", Some(("telemetry-listen", &[":81"]))),
            ("zapier", "PAG_CORS", "*", Some(("cors-origin", &["*"]))),
            ("zapier", "PAG_AUTHUSERS", "a=1,b=2", Some(("push-user", &["a=1", "b=2"]))),
            ("zapier", "PAG_AUTHUSERS", "", None),
            ("none", "PAG_APILISTEN", ":80", None),
            ("torch", "SERVICE_PORT", "9092", Some(("listen", &["0.0.0.0:9092"]))),
            ("torch", "TORCH_TTL", "48", Some(("series-ttl", &["48h"]))),
            ("weaveworks", "SERVICE_PORT", "tcp://10.0.0.1:1", None),
        ];
        for (preset, variable, value, expected) in cases {
            let preset = Preset::by_name(preset).expect("a preset");
            let read = read_variable(preset, variable, value).expect("a good value");
            let read = read.map(|(name, given)| (name, given.texts));
            let expected = expected.map(|(name, texts)| (name, texts.iter().map(|text| (*text).to_owned()).collect()));
            assert_eq!(read, expected, "{variable}={value}");
        }
        let torch = Preset::by_name("torch").expect("a preset");
        for (variable, value, expected) in [
            ("SERVICE_PORT", "x", "setting SERVICE_PORT (environment): expected a port, got \"x\""),
            ("TORCH_TTL", "1d", "setting TORCH_TTL (environment): expected a whole number of hours, got \"1d\""),
        ] {
            let refused = read_variable(torch, variable, value).err().map(|error| error.to_string());
            assert_eq!(refused.as_deref(), Some(expected));
        }
    }

    #[test]
    fn values_of_flags_are_found_before_parsing() {
        let cases = [
            ("--preset torch", Some("torch")),
            ("--preset=torch --gauges sum", Some("torch")),
            ("--config --preset --preset=a", Some("a")),
            ("--gauges=x --preset", None),
            ("-- --preset a", None),
            ("--presets a", None),
            ("--web.enable-lifecycle --preset a", Some("a")),
        ];
        for (arguments, expected) in cases {
            let arguments: Vec<OsString> =
                std::iter::once("catchment").chain(arguments.split(' ')).map(OsString::from).collect();
            assert_eq!(value_of_flag(&arguments, "preset").as_deref(), expected, "{arguments:?}");
        }
    }

    proptest! {
        #[test]
        fn arguments_stay_as_they_are_without_a_preset(arguments in words()) {
            let none = Preset::by_name("none").expect("a preset");
            let rewritten = rewrite(arguments.clone(), none).map(|rewritten| rewritten.arguments).ok();
            prop_assert_eq!(rewritten, Some(arguments));
        }

        #[test]
        fn any_arguments_are_rewritten_or_refused(arguments in words(), preset in 0..PRESETS.len()) {
            if let Ok(rewritten) = rewrite(arguments.clone(), &PRESETS[preset]) {
                prop_assert_eq!(rewritten.arguments.first(), arguments.first());
            }
        }
    }

    fn words() -> impl Strategy<Value = Vec<OsString>> {
        let flags = "-{0,2}(no-)?(l|listen|cors|by-job|AuthUsers|gauges|web.external-url|log.format)?(=|=true|=é|x)?";
        proptest::collection::vec(flags.prop_map(OsString::from), 0..6)
    }
}
