//! Collects settings as text from flags, environment, file and defaults, in that order of rank, and remembers where each
//! came from. What the texts mean is decided in `config`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::settings::{SETTINGS, Setting, setting};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Flag,
    /// A `CATCHMENT_` variable.
    Environment,
    /// The configuration file of this path.
    File(String),
    /// The table of settings.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => formatter.write_str("flag"),
            Self::Environment => formatter.write_str("environment"),
            Self::File(path) => write!(formatter, "file {path}"),
            Self::Default => formatter.write_str("default"),
        }
    }
}

/// A setting as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// One text, or several for a list.
    pub texts: Vec<String>,
    /// The highest layer that gave it.
    pub origin: Origin,
}

/// Why settings could not be collected, or what is wrong with one.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Help, version, or a wrong flag; clap prints it and knows the exit code.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    /// The file cannot be read.
    #[error("configuration file {path}: {source}")]
    Unreadable {
        /// As given.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("configuration file {path}: {source}")]
    NotToml {
        /// As given.
        path: String,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A name that no setting has.
    #[error("{origin}: expected a known setting, got {name:?}")]
    Unknown {
        /// As written.
        name: String,
        /// Where it stands.
        origin: Origin,
    },
    /// A value that the setting does not take.
    #[error("setting {name} ({origin}): expected {expected}, got {got:?}")]
    Invalid {
        /// In the table's spelling.
        name: String,
        /// Where the value came from.
        origin: Origin,
        /// What the setting takes.
        expected: String,
        /// What was given.
        got: String,
    },
}

/// All settings as text, each known with its origin.
#[derive(Clone, Debug)]
pub struct Layers {
    given: BTreeMap<&'static str, Given>,
    /// Whether only the configuration is to be printed.
    pub is_print_only: bool,
}

const ENVIRONMENT_PREFIX: &str = "CATCHMENT_";

impl Layers {
    /// Reads arguments (the program's name first) and environment, and the file that either of them names.
    ///
    /// # Errors
    /// A wrong flag, an unknown name anywhere, or an unreadable file.
    pub fn collect(
        arguments: impl IntoIterator<Item = OsString>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let matches = command().try_get_matches_from(arguments)?;
        let (environment, file_of_environment) = read_environment(environment)?;
        let path = matches.get_one::<String>("config").cloned().or(file_of_environment);
        let mut given: BTreeMap<&'static str, Given> = SETTINGS.iter().map(default_of).collect();
        if let Some(path) = path {
            given.extend(read_file(&path)?);
        }
        given.extend(environment);
        given.extend(SETTINGS.iter().filter_map(|setting| read_flag(&matches, setting)));
        Ok(Self { given, is_print_only: matches.get_flag("print-config") })
    }

    /// A setting of the table.
    pub fn get(&self, name: &'static str) -> Given {
        self.given.get(name).cloned().unwrap_or(Given { texts: Vec::new(), origin: Origin::Default })
    }

    /// Every setting and where it came from, as a configuration file.
    pub fn print(&self) -> String {
        SETTINGS
            .iter()
            .map(|setting| {
                let given = self.get(setting.name);
                let texts: Vec<String> =
                    given.texts.iter().map(|text| toml::Value::from(text.as_str()).to_string()).collect();
                let value = if setting.is_list { format!("[{}]", texts.join(", ")) } else { texts.concat() };
                if value.is_empty() {
                    format!("# {} is decided by the machine\n", setting.name)
                } else {
                    format!("{} = {value}  # {}\n", setting.name, given.origin)
                }
            })
            .collect()
    }
}

fn default_of(setting: &Setting) -> (&'static str, Given) {
    let texts = if setting.default.is_empty() { Vec::new() } else { vec![setting.default.to_owned()] };
    (setting.name, Given { texts, origin: Origin::Default })
}

fn command() -> Command {
    let flag = |setting: &Setting| {
        let help = match setting.default {
            "" => setting.help.to_owned(),
            default => format!("{} [default: {default}]", setting.help),
        };
        let action = if setting.is_list { ArgAction::Append } else { ArgAction::Set };
        Arg::new(setting.name).long(setting.name).value_name(setting.value).help(help).action(action)
    };
    Command::new("catchment")
        .version(env!("CARGO_PKG_VERSION"))
        .about("An aggregating push gateway for Prometheus")
        .after_help("Each flag can also be set in the environment (CATCHMENT_MAX_BODY=1MiB) or in the file (max-body = \"1MiB\").")
        .arg(Arg::new("config").long("config").value_name("FILE").help("Configuration file (TOML)"))
        .arg(
            Arg::new("print-config")
                .long("print-config")
                .action(ArgAction::SetTrue)
                .help("Print the configuration and where each value comes from, and exit"),
        )
        .args(SETTINGS.iter().map(flag))
}

fn read_flag(matches: &ArgMatches, setting: &Setting) -> Option<(&'static str, Given)> {
    let texts: Vec<String> = matches.get_many::<String>(setting.name)?.cloned().collect();
    Some((setting.name, Given { texts, origin: Origin::Flag }))
}

type Named = Vec<(&'static str, Given)>;

/// Also returns the file that the environment names.
fn read_environment(
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<(Named, Option<String>), ConfigError> {
    let (mut named, mut file) = (Vec::new(), None);
    for (variable, text) in environment {
        let Some(name) = variable.strip_prefix(ENVIRONMENT_PREFIX) else {
            continue;
        };
        let name = name.to_ascii_lowercase();
        if name == "config" {
            file = Some(text);
            continue;
        }
        if is_service_link(&name) {
            continue;
        }
        let unknown = || ConfigError::Unknown { name: variable.clone(), origin: Origin::Environment };
        let setting = setting(&name).ok_or_else(unknown)?;
        let texts = match setting.is_list {
            true => text.split(',').map(|item| item.trim().to_owned()).collect(),
            false => vec![text],
        };
        named.push((setting.name, Given { texts, origin: Origin::Environment }));
    }
    Ok((named, file))
}

/// Kubernetes tells every pod where a service named `catchment` is, by variables that look like settings.
fn is_service_link(name: &str) -> bool {
    name == "port" || ["port_", "service_host", "service_port"].iter().any(|prefix| name.starts_with(prefix))
}

fn read_file(path: &str) -> Result<Named, ConfigError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    let table: toml::Table =
        text.parse().map_err(|source| ConfigError::NotToml { path: path.to_owned(), source: Box::new(source) })?;
    let origin = Origin::File(path.to_owned());
    let mut named = Vec::new();
    for (name, value) in table {
        let Some(setting) = setting(&name) else {
            return Err(ConfigError::Unknown { name, origin });
        };
        let texts = match value {
            toml::Value::Array(items) if setting.is_list => items.into_iter().map(text_of).collect(),
            other => vec![text_of(other)],
        };
        named.push((setting.name, Given { texts, origin: origin.clone() }));
    }
    Ok(named)
}

fn text_of(value: toml::Value) -> String {
    match value {
        toml::Value::String(text) => text,
        other => other.to_string(),
    }
}
