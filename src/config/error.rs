//! What is wrong with a configuration, and where it stands.

use super::given::Origin;
use crate::declarations::DeclarationsError;

/// Why settings or rules could not be collected, or what is wrong with one.
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
        /// In the table's spelling, or as the replaced system spells it.
        name: String,
        /// Where the value came from.
        origin: Origin,
        /// What the setting takes.
        expected: String,
        /// What was given.
        got: String,
    },
    /// A rule of the file that cannot be.
    #[error("configuration file {path}, rule {number}, {key}: expected {expected}, got {got}")]
    Rule {
        /// As given.
        path: String,
        /// Counted from 1.
        number: usize,
        /// As written.
        key: String,
        /// What stands there in a good rule.
        expected: String,
        /// What was given.
        got: String,
    },
    /// The declarations cannot be used.
    #[error(transparent)]
    Declarations(#[from] DeclarationsError),
    /// A sample that is to be explained and is none.
    #[error("sample {sample:?}: {fault}")]
    Sample {
        /// As given.
        sample: String,
        /// What is wrong.
        fault: String,
    },
    /// The samples cannot be read.
    #[error("samples: {0}")]
    Samples(#[source] std::io::Error),
}
