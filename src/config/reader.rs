//! Reads settings as what they mean, one at a time; a refusal names the setting and where its value came from.

use std::collections::BTreeSet;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use actix_web::http::Uri;

use super::error::ConfigError;
use super::layers::{Given, Layers};
use super::settings::setting;
use super::words::{Choices, NONE, SWITCH, parse_bytes, parse_duration, parse_time, value_of, words};
use super::{CorsOrigins, DatagramAddress, PushUser, SourceKey};
use crate::model::name::is_legacy_label_name;
use crate::model::value::Millis;

/// Settings that are texts still.
pub struct Reader<'l> {
    pub layers: &'l Layers,
}

impl Reader<'_> {
    /// The setting's only text.
    pub fn text(&self, name: &'static str) -> String {
        self.layers.get(name).texts.concat()
    }

    /// The setting's only text, unless there is none, or the word for it.
    fn optional_text(&self, name: &'static str) -> Option<String> {
        Some(self.text(name)).filter(|text| !text.is_empty() && text != NONE)
    }

    pub fn invalid(&self, name: &'static str, expected: &str) -> ConfigError {
        let Given { texts, origin } = self.layers.get(name);
        let is_secret = setting(name).is_some_and(|setting| setting.is_secret);
        let got = if is_secret { "a secret that is not so".to_owned() } else { texts.join(", ") };
        ConfigError::Invalid { name: name.to_owned(), origin, expected: expected.to_owned(), got }
    }

    pub fn count(&self, name: &'static str) -> Result<usize, ConfigError> {
        match self.text(name).parse() {
            Ok(count) if count > 0 => Ok(count),
            _ => Err(self.invalid(name, "a whole number above 0")),
        }
    }

    pub fn count_or_cores(&self, name: &'static str) -> Result<usize, ConfigError> {
        const MOST_THREADS: usize = 1024;
        if self.layers.get(name).texts.is_empty() {
            return Ok(std::thread::available_parallelism().map_or(1, usize::from));
        }
        let count = self.count(name)?;
        if count > MOST_THREADS { Err(self.invalid(name, "at most 1024")) } else { Ok(count) }
    }

    pub fn bytes(&self, name: &'static str) -> Result<usize, ConfigError> {
        parse_bytes(&self.text(name))
            .ok_or_else(|| self.invalid(name, "a number of bytes such as 1000, 64KiB or 16MiB"))
    }

    pub fn duration(&self, name: &'static str) -> Result<Duration, ConfigError> {
        parse_duration(&self.text(name)).map_err(|expected| self.invalid(name, expected))
    }

    /// A duration that leaves time for something.
    pub fn time(&self, name: &'static str) -> Result<Duration, ConfigError> {
        let time = self.duration(name)?;
        if time.is_zero() { Err(self.invalid(name, "a duration above 0")) } else { Ok(time) }
    }

    /// A lifetime, or `none`.
    pub fn lifetime(&self, name: &'static str) -> Result<Option<Millis>, ConfigError> {
        let Some(text) = self.optional_text(name) else {
            return Ok(None);
        };
        parse_time(&text).map(Some).map_err(|expected| self.invalid(name, &format!("{expected}, or none")))
    }

    pub fn choice<T: Copy>(&self, name: &'static str, choices: Choices<T>) -> Result<T, ConfigError> {
        let value = value_of(choices, &self.text(name));
        value.ok_or_else(|| self.invalid(name, &format!("one of {}", words(choices))))
    }

    /// A choice that another setting makes where nothing is said.
    pub fn optional_choice<T: Copy>(&self, name: &'static str, choices: Choices<T>) -> Result<Option<T>, ConfigError> {
        if self.layers.get(name).texts.is_empty() { Ok(None) } else { self.choice(name, choices).map(Some) }
    }

    pub fn switch(&self, name: &'static str) -> Result<bool, ConfigError> {
        self.choice(name, SWITCH)
    }

    pub fn file(&self, name: &'static str) -> Option<PathBuf> {
        self.optional_text(name).map(PathBuf::from)
    }

    pub fn label_name(&self, name: &'static str) -> Result<Option<String>, ConfigError> {
        match self.optional_text(name) {
            Some(label) if !is_legacy_label_name(&label) => Err(self.invalid(name, "a label name, or none")),
            label => Ok(label),
        }
    }

    pub fn source_key(&self, name: &'static str) -> Result<SourceKey, ConfigError> {
        let text = self.text(name);
        if text == "all" {
            return Ok(SourceKey::All);
        }
        let labels: BTreeSet<String> = text.split(',').map(|label| label.trim().to_owned()).collect();
        if labels.iter().all(|label| is_legacy_label_name(label)) {
            Ok(SourceKey::Labels(labels.into_iter().collect()))
        } else {
            Err(self.invalid(name, "all, or label names with commas between them"))
        }
    }

    /// A path without a slash at its end; the root is empty.
    pub fn web_path(&self, name: &'static str) -> Result<String, ConfigError> {
        let text = self.text(name);
        let path = text.trim_matches('/');
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let is_segment =
            |segment: &str| !segment.is_empty() && segment.bytes().all(is_plain) && ![".", ".."].contains(&segment);
        match path {
            "" => Ok(String::new()),
            path if path.split('/').all(is_segment) => Ok(format!("/{path}")),
            _ => Err(self.invalid(name, "a path of letters, digits and -._~ such as /metrics")),
        }
    }

    pub fn users(&self, name: &'static str) -> Result<Vec<PushUser>, ConfigError> {
        let mut users: Vec<PushUser> = Vec::new();
        for text in self.layers.get(name).texts {
            let (user, password) = text.split_once('=').unwrap_or_default();
            // In a header the name ends at the first colon.
            if user.is_empty() || user.contains(':') || password.is_empty() {
                return Err(self.invalid(name, "a name without colon, =, and a password"));
            }
            if users.iter().any(|known| known.name == user) {
                return Err(self.invalid(name, "each name once"));
            }
            users.push(PushUser { name: user.to_owned(), password: password.to_owned() });
        }
        Ok(users)
    }

    pub fn origins(&self, name: &'static str) -> Result<CorsOrigins, ConfigError> {
        let origins = self.layers.get(name).texts;
        match origins.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["*"] => return Ok(CorsOrigins::Any),
            [NONE] => return Ok(CorsOrigins::Listed(Vec::new())),
            _ => {}
        }
        let is_origin = |text: &String| {
            text.parse::<Uri>()
                .is_ok_and(|uri| uri.scheme().is_some() && uri.authority().is_some() && uri.path() == "/")
        };
        if origins.iter().all(is_origin) {
            Ok(CorsOrigins::Listed(origins))
        } else {
            Err(self.invalid(name, "origins such as https://example.org, or * or none alone"))
        }
    }

    pub fn addresses(&self, name: &'static str) -> Result<Vec<SocketAddr>, ConfigError> {
        let mut addresses = Vec::new();
        for text in self.layers.get(name).texts {
            let resolved =
                resolve(&text).map_err(|_| self.invalid(name, "an address and port such as 127.0.0.1:9091"))?;
            addresses.extend(resolved);
        }
        addresses.dedup();
        if addresses.is_empty() { Err(self.invalid(name, "at least one address")) } else { Ok(addresses) }
    }

    /// Addresses for datagrams, or `none`.
    pub fn datagram_addresses(&self, name: &'static str) -> Result<Vec<DatagramAddress>, ConfigError> {
        let texts = self.layers.get(name).texts;
        if matches!(&texts[..], [none] if none == NONE || none.is_empty()) {
            return Ok(Vec::new());
        }
        let mut addresses = Vec::new();
        for text in texts {
            match text.strip_prefix("unix:") {
                Some(path) if !path.is_empty() => addresses.push(DatagramAddress::Unix(path.into())),
                _ => {
                    let expected = "an address and port such as 127.0.0.1:7789, or unix: and a path";
                    let resolved = resolve(&text).map_err(|_| self.invalid(name, expected))?;
                    addresses.extend(resolved.map(DatagramAddress::Udp));
                }
            }
        }
        addresses.dedup();
        Ok(addresses)
    }

    /// Addresses, or `none`.
    pub fn optional_addresses(&self, name: &'static str) -> Result<Vec<SocketAddr>, ConfigError> {
        if self.optional_text(name).is_none() { Ok(Vec::new()) } else { self.addresses(name) }
    }
}

/// `:9091`, as Go programs write it, is every address.
fn resolve(text: &str) -> std::io::Result<impl Iterator<Item = SocketAddr> + use<>> {
    let full = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.to_owned() };
    full.to_socket_addrs()
}
