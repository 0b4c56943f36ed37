//! The table of presets: for each system that Catchment replaces, its defaults as our settings, and its own flags and
//! environment variables. Aliases are known under their preset only.

/// Defaults under the name of the system they are those of.
#[derive(Debug)]
pub struct Preset {
    /// As given to `--preset`.
    pub name: &'static str,
    /// Settings that differ from the general defaults; lists have one item.
    pub settings: &'static [(&'static str, &'static str)],
    /// How the system's flags are written.
    pub flag_style: FlagStyle,
    /// The system's flags that are not settings of ours by the same name, without dashes.
    pub flags: &'static [(&'static str, Meaning)],
    /// The system's environment variables.
    pub variables: &'static [(&'static str, Meaning)],
}

/// How flags are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagStyle {
    /// Go's own: `-name value`, `-name=value`, or with two dashes; a boolean takes its value behind `=` only.
    OneDash,
    /// `--name value`, `--name=value`; booleans also `--no-name`.
    TwoDashes,
    /// A letter: `-n value`, `-n=value`, `-nvalue`.
    Letter,
}

/// What an alias stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The setting's value.
    Value(&'static str),
    /// Items of the setting, with commas between them.
    Items(&'static str),
    /// A boolean that chooses between two values of a setting.
    Choice {
        /// The setting.
        setting: &'static str,
        /// Its value for true.
        on: &'static str,
        /// Its value for false.
        off: &'static str,
    },
    /// A port on every address.
    Port(&'static str),
    /// The address of a setting whose port another variable, or the preset, has.
    Host(&'static str),
    /// The setting's value, in any case of letters.
    LowerCase(&'static str),
    /// A number of hours.
    Hours(&'static str),
    /// A URL, of which the setting is the path. The setting's own flag wins.
    PathOf(&'static str),
    /// Nothing, and accepted with these values alone.
    Only(&'static [&'static str]),
    /// Nothing, with any value; a warning names it.
    Ignored,
    /// Nothing, without a value; a warning names it.
    IgnoredSwitch,
}

impl Preset {
    /// The row of a name.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        PRESETS.iter().find(|preset| preset.name == name)
    }
}

use FlagStyle::{Letter, OneDash, TwoDashes};
use Meaning::{Choice, Host, Hours, Ignored, IgnoredSwitch, Items, LowerCase, Only, PathOf, Port, Value};

/// The paths under which pushes are taken anyway.
const PUSH_PATHS: Meaning = Only(&["/metrics/", "/metrics"]);

/// All presets, in the order of the help.
pub const PRESETS: &[Preset] = &[
    Preset { name: "none", settings: &[], flag_style: TwoDashes, flags: &[], variables: &[] },
    Preset {
        name: "weaveworks",
        settings: &[
            ("listen", "0.0.0.0:80"),
            ("gauges", "sum"),
            ("path-labels", "ignore"),
            ("summaries", "discard"),
            ("accepted-status", "200"),
        ],
        flag_style: OneDash,
        flags: &[("listen", Value("listen")), ("cors", Value("cors-origin")), ("push-path", PUSH_PATHS)],
        variables: &[],
    },
    Preset {
        name: "by-job",
        settings: &[
            ("listen", "0.0.0.0:80"),
            ("door", "source"),
            ("source-key", "job"),
            ("source-ttl", "90s"),
            ("gauges", "sum"),
            // Without `-by-job` it is as weaveworks.
            ("path-labels", "ignore"),
            ("summaries", "discard"),
            ("accepted-status", "200"),
        ],
        flag_style: OneDash,
        flags: &[
            ("listen", Value("listen")),
            ("cors", Value("cors-origin")),
            ("push-path", PUSH_PATHS),
            ("by-job", Choice { setting: "door", on: "source", off: "aggregate" }),
            ("job-prune-duration", Value("source-ttl")),
        ],
        variables: &[],
    },
    Preset {
        name: "gauges-last",
        settings: &[("listen", "0.0.0.0:80"), ("gauges", "last"), ("summaries", "discard"), ("accepted-status", "200")],
        flag_style: OneDash,
        flags: &[
            ("listen", Value("listen")),
            ("cors", Value("cors-origin")),
            ("push-path", Only(&["/metrics/", "/metrics", "/metrics/job/:job"])),
        ],
        variables: &[],
    },
    Preset {
        name: "zapier",
        settings: &[
            ("listen", "0.0.0.0:80"),
            ("telemetry-listen", "0.0.0.0:8888"),
            ("gauges", "sum"),
            ("accepted-status", "202"),
        ],
        flag_style: TwoDashes,
        flags: &[
            ("apiListen", Value("listen")),
            ("lifecycleListen", Value("telemetry-listen")),
            ("cors", Value("cors-origin")),
            ("AuthUsers", Items("push-user")),
        ],
        variables: &[
            ("PAG_APILISTEN", Value("listen")),
            ("PAG_LIFECYCLELISTEN", Value("telemetry-listen")),
            ("PAG_CORS", Value("cors-origin")),
            ("PAG_AUTHUSERS", Items("push-user")),
        ],
    },
    Preset {
        name: "gravel",
        settings: &[("listen", "0.0.0.0:4278"), ("mode-label", "clearmode"), ("accepted-status", "200")],
        flag_style: Letter,
        flags: &[("l", Value("listen"))],
        variables: &[],
    },
    Preset {
        name: "torch",
        settings: &[("series-ttl", "24h"), ("accepted-status", "200")],
        flag_style: TwoDashes,
        flags: &[],
        variables: &[("SERVICE_PORT", Port("listen")), ("TORCH_TTL", Hours("series-ttl"))],
    },
    Preset {
        name: "hermes",
        settings: &[
            ("listen", "0.0.0.0:8080"),
            ("udp-listen", "0.0.0.0:7789"),
            ("declarations", "/etc/hermes/config.json"),
        ],
        flag_style: TwoDashes,
        flags: &[],
        variables: &[
            ("LISTEN_PORT", Port("udp-listen")),
            ("LISTEN_ADDRESS", Host("udp-listen")),
            ("HERMES_CONFIG_PATH", Value("declarations")),
            ("LOG_LEVEL", LowerCase("log-level")),
        ],
    },
    Preset {
        name: "pushgateway",
        settings: &[("listen", "0.0.0.0:9091"), ("door", "replace")],
        flag_style: TwoDashes,
        flags: &[
            ("web.listen-address", Value("listen")),
            ("web.external-url", PathOf("web.route-prefix")),
            ("log.level", Value("log-level")),
            ("web.systemd-socket", IgnoredSwitch),
            ("persistence.interval", Ignored),
            ("push.disable-consistency-check", IgnoredSwitch),
            ("push.enable-utf8-names", IgnoredSwitch),
            ("log.format", Ignored),
        ],
        variables: &[],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::{SettingForm, setting};

    fn target(meaning: Meaning) -> Option<&'static str> {
        match meaning {
            Value(setting) | Items(setting) | LowerCase(setting) | Port(setting) | Host(setting) | Hours(setting)
            | PathOf(setting) => Some(setting),
            Choice { setting, .. } => Some(setting),
            Only(_) | Ignored | IgnoredSwitch => None,
        }
    }

    #[test]
    fn the_table_speaks_of_settings_that_there_are() {
        for preset in PRESETS {
            for (name, _) in preset.settings {
                assert!(setting(name).is_some_and(|setting| setting.name == *name), "{name} of {}", preset.name);
            }
            for (alias, meaning) in preset.flags.iter().chain(preset.variables) {
                let Some(name) = target(*meaning) else {
                    continue;
                };
                let row = setting(name).expect(alias);
                assert_eq!(matches!(meaning, Items(_)), row.is_secret && row.form == SettingForm::List, "{alias}");
            }
        }
    }

    #[test]
    fn the_help_names_every_preset() {
        let help = setting("preset").expect("a setting").help;
        for preset in PRESETS.iter().filter(|preset| preset.name != "none") {
            assert!(help.contains(preset.name), "{}", preset.name);
        }
    }
}
