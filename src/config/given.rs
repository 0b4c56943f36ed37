//! A setting as it was given, and where.

use std::fmt;

/// A setting as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// One text, or several for a list.
    pub texts: Vec<String>,
    /// The highest layer that gave it.
    pub origin: Origin,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Flag,
    /// A `CATCHMENT_` variable, or one of the system that the preset replaces.
    Environment,
    /// The configuration file of this path.
    File(String),
    /// The preset of this name.
    Preset(&'static str),
    /// The table of settings.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => formatter.write_str("flag"),
            Self::Environment => formatter.write_str("environment"),
            Self::File(path) => write!(formatter, "file {path}"),
            Self::Preset(name) => write!(formatter, "preset {name}"),
            Self::Default => formatter.write_str("default"),
        }
    }
}
