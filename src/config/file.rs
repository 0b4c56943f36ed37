//! The configuration file: settings at its top, `[[rule]]` tables behind them.

mod rules;

use std::collections::BTreeMap;
use std::fmt;

use super::error::ConfigError;
use super::given::{Given, Origin};
use super::settings::{SettingForm, setting};
use crate::rules::RuleSet;

/// The key of the rules.
const RULE: &str = "rule";

/// A configuration file as it was read.
#[derive(Clone)]
pub struct ConfigFile {
    /// As given.
    pub path: String,
    /// The rules in it.
    pub rules: RuleSet,
    settings: BTreeMap<&'static str, Vec<String>>,
    /// The rules as they stand there.
    rule_tables: toml::value::Array,
}

/// What may have changed in a file since the start.
#[derive(Clone, Debug)]
pub struct Reread {
    /// The rules that are in force from now on.
    pub rules: RuleSet,
    /// Settings that are not as they were; they need a restart.
    pub changed_settings: Vec<&'static str>,
}

/// Without the settings, among which are secrets.
impl fmt::Debug for ConfigFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ConfigFile")
            .field("path", &self.path)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

impl ConfigFile {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, is not TOML, has a name that no setting has, or a rule that cannot be.
    pub fn read(path: &str) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        let mut table: toml::Table =
            text.parse().map_err(|source| ConfigError::NotToml { path: path.to_owned(), source: Box::new(source) })?;
        let (rules, rule_tables) = match table.remove(RULE) {
            Some(value) => rules::read(path, value)?,
            None => (RuleSet::default(), toml::value::Array::new()),
        };
        let mut file = Self { path: path.to_owned(), rules, settings: BTreeMap::new(), rule_tables };
        file.read_settings("", table)?;
        Ok(file)
    }

    /// Reads the file anew.
    ///
    /// # Errors
    /// As for [`Self::read`]; then nothing changes.
    pub fn reread(&self) -> Result<Reread, ConfigError> {
        let newer = Self::read(&self.path)?;
        let names = self.settings.keys().chain(newer.settings.keys().filter(|name| !self.settings.contains_key(*name)));
        let is_changed = |name: &&&'static str| self.settings.get(**name) != newer.settings.get(**name);
        let changed_settings = names.filter(is_changed).copied().collect();
        Ok(Reread { changed_settings, rules: newer.rules })
    }

    /// Its settings.
    pub(super) fn given(&self) -> impl Iterator<Item = (&'static str, Given)> {
        let origin = || Origin::File(self.path.clone());
        self.settings.iter().map(move |(name, texts)| (*name, Given { texts: texts.clone(), origin: origin() }))
    }

    /// How many settings it has.
    pub(super) fn setting_count(&self) -> usize {
        self.settings.len()
    }

    /// The rules as they may stand in a file again.
    pub(super) fn print_rules(&self) -> String {
        if self.rule_tables.is_empty() {
            return String::new();
        }
        let rules = (RULE.to_owned(), toml::Value::Array(self.rule_tables.clone()));
        format!("\n{}", toml::Table::from_iter([rules]))
    }

    /// TOML takes a name with dots as one table in another.
    fn read_settings(&mut self, prefix: &str, table: toml::Table) -> Result<(), ConfigError> {
        for (key, value) in table {
            let name = format!("{prefix}{key}");
            let value = match value {
                toml::Value::Table(inner) => {
                    self.read_settings(&format!("{name}."), inner)?;
                    continue;
                }
                other => other,
            };
            let Some(setting) = setting(&name) else {
                return Err(ConfigError::Unknown { name, origin: Origin::File(self.path.clone()) });
            };
            let texts = match value {
                toml::Value::Array(items) if setting.form == SettingForm::List => {
                    items.into_iter().map(text_of).collect()
                }
                other => vec![text_of(other)],
            };
            self.settings.insert(setting.name, texts);
        }
        Ok(())
    }
}

fn text_of(value: toml::Value) -> String {
    match value {
        toml::Value::String(text) => text,
        other => other.to_string(),
    }
}
