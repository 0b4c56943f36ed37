//! The `[[rule]]` tables: TOML to rules. Every refusal names the file, the rule's number and the key.

use std::sync::Arc;

use toml::Value;
use toml::value::Array;

use super::{ConfigError, RULE};
use crate::config::words::{GAUGE_POLICIES, ascending, parse_time, value_of, words};
use crate::rules::{LabelFilter, Rule, RuleSet};

const KEYS: &str = "one of match, labels, gauge, window, quantiles, drop_labels, keep_labels, drop, ttl, max_series";

/// Reads what stands under `rule`; also returns it as it stands.
pub fn read(path: &str, value: Value) -> Result<(RuleSet, Array), ConfigError> {
    let at = |number| Place { path, number };
    let tables = match value {
        Value::Array(tables) => tables,
        other => return Err(at(1).fault(RULE, "[[rule]] tables", shown(&other))),
    };
    let mut rules = Vec::with_capacity(tables.len());
    for (index, table) in tables.iter().enumerate() {
        let at = at(index + 1);
        match table {
            Value::Table(table) => rules.push(at.read_rule(table)?),
            other => return Err(at.fault(RULE, "[[rule]] tables", shown(other))),
        }
    }
    Ok((RuleSet::new(rules), tables))
}

/// Which rule of which file is read.
#[derive(Clone, Copy)]
struct Place<'p> {
    path: &'p str,
    /// Counted from 1.
    number: usize,
}

impl Place<'_> {
    fn fault(&self, key: &str, expected: &str, got: impl Into<String>) -> ConfigError {
        let (path, number) = (self.path.to_owned(), self.number);
        ConfigError::Rule { path, number, key: key.to_owned(), expected: expected.to_owned(), got: got.into() }
    }

    fn read_rule(&self, table: &toml::Table) -> Result<Rule, ConfigError> {
        const MATCH: &str = "match";
        const GLOB: &str = "a glob such as \"http_*\"";
        let family = table.get(MATCH).ok_or_else(|| self.fault(MATCH, GLOB, "no such key"))?;
        let mut rule = Rule::new(self.number, self.text(MATCH, family, GLOB)?)
            .map_err(|_| self.fault(MATCH, GLOB, shown(family)))?;
        for (key, value) in table {
            self.read_key(&mut rule, key, value)?;
        }
        Ok(rule)
    }

    fn read_key(&self, rule: &mut Rule, key: &str, value: &Value) -> Result<(), ConfigError> {
        match key.replace('-', "_").as_str() {
            "match" => {}
            "labels" => self.read_label_matchers(rule, key, value)?,
            "gauge" => {
                let expected = format!("one of {}", words(GAUGE_POLICIES));
                let policy = value_of(GAUGE_POLICIES, self.text(key, value, &expected)?);
                rule.gauge = Some(policy.ok_or_else(|| self.fault(key, &expected, shown(value)))?);
            }
            "window" => rule.window = Some(self.time(key, value)?),
            "quantiles" => rule.quantiles = Some(self.quantiles(key, value)?),
            "ttl" => rule.ttl = Some(self.time(key, value)?),
            "drop_labels" => self.filter(rule, key, LabelFilter::Drop(self.names(key, value)?))?,
            "keep_labels" => self.filter(rule, key, LabelFilter::Keep(self.names(key, value)?))?,
            "drop" => rule.drops = value.as_bool().ok_or_else(|| self.fault(key, "true or false", shown(value)))?,
            "max_series" => rule.max_series = Some(self.count(key, value)?),
            _ => return Err(self.fault(key, KEYS, "another key")),
        }
        Ok(())
    }

    fn read_label_matchers(&self, rule: &mut Rule, key: &str, value: &Value) -> Result<(), ConfigError> {
        const GLOB: &str = "a glob such as \"5*\"";
        const EXPECTED: &str = "label names with globs, such as { code = \"5*\" }";
        let Value::Table(labels) = value else {
            return Err(self.fault(key, EXPECTED, shown(value)));
        };
        for (name, value) in labels {
            let key = format!("{key}.{name}");
            let glob = self.text(&key, value, GLOB)?;
            rule.match_label(name, glob).map_err(|_| self.fault(&key, GLOB, shown(value)))?;
        }
        Ok(())
    }

    fn filter(&self, rule: &mut Rule, key: &str, filter: LabelFilter) -> Result<(), ConfigError> {
        if rule.labels != LabelFilter::All {
            return Err(self.fault(key, "drop_labels or keep_labels", "both"));
        }
        rule.labels = filter;
        Ok(())
    }

    fn text<'v>(&self, key: &str, value: &'v Value, expected: &str) -> Result<&'v str, ConfigError> {
        value.as_str().ok_or_else(|| self.fault(key, expected, shown(value)))
    }

    fn time(&self, key: &str, value: &Value) -> Result<u64, ConfigError> {
        let text = self.text(key, value, "a duration such as \"30s\" or \"5m\"")?;
        parse_time(text).map_err(|expected| self.fault(key, expected, shown(value)))
    }

    fn count(&self, key: &str, value: &Value) -> Result<usize, ConfigError> {
        let count = value.as_integer().and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0);
        count.ok_or_else(|| self.fault(key, "a whole number above 0", shown(value)))
    }

    fn quantiles(&self, key: &str, value: &Value) -> Result<Arc<[f64]>, ConfigError> {
        let refused = || self.fault(key, "a list of numbers from 0 to 1 such as [0.5, 0.99]", shown(value));
        let quantiles = value.as_array().filter(|quantiles| !quantiles.is_empty()).ok_or_else(refused)?;
        let number = |value: &Value| value.as_float().or(value.as_integer().map(|whole| whole as f64));
        let quantile = |value: &Value| number(value).filter(|quantile| (0.0..=1.0).contains(quantile));
        let quantiles: Option<Vec<f64>> = quantiles.iter().map(quantile).collect();
        quantiles.map(ascending).ok_or_else(refused)
    }

    fn names(&self, key: &str, value: &Value) -> Result<Vec<String>, ConfigError> {
        let refused = || self.fault(key, "a list of label names such as [\"pod\"]", shown(value));
        let name =
            |value: &Value| value.as_str().filter(|name| !name.is_empty()).map(str::to_owned).ok_or_else(refused);
        value.as_array().ok_or_else(refused)?.iter().map(name).collect()
    }
}

/// On one line, and not too long.
fn shown(value: &Value) -> String {
    const MOST_CHARACTERS: usize = 80;
    let text = value.to_string().replace('\n', " ");
    match text.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
