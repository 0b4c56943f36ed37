//! `catchment import-pushgateway`: hands a Pushgateway's file to a running Catchment.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::config::arguments::ImportRequest;

/// Why a file was not taken over.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read.
    #[error("{file}: {source}")]
    Unreadable {
        /// As given.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// Nobody answers there.
    #[error("{url}: {source}")]
    Unreachable {
        /// As given.
        url: String,
        /// Why.
        source: Box<ureq::Error>,
    },
    /// The answer was no.
    #[error("{url}: expected status 200, got {status}: {line}")]
    Refused {
        /// As given.
        url: String,
        /// The answer's status.
        status: u16,
        /// What it said.
        line: String,
    },
}

/// Sends the file; returns what the server says of it.
///
/// # Errors
/// The file was not taken over.
pub fn run(ImportRequest { file, to, user }: &ImportRequest) -> Result<String, ImportError> {
    const PATIENCE: Duration = Duration::from_secs(600);
    let bytes = std::fs::read(file).map_err(|source| ImportError::Unreadable { file: file.clone(), source })?;
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build().into();
    let url = format!("{}/api/v1/admin/import-pushgateway", to.trim_end_matches('/'));
    let unreachable = |source| ImportError::Unreachable { url: url.clone(), source: Box::new(source) };
    let mut request = agent.put(&url);
    if let Some(user) = user {
        request = request.header("Authorization", format!("Basic {}", STANDARD.encode(user)));
    }
    let mut answer = request.send(&bytes[..]).map_err(unreachable)?;
    let status = answer.status().as_u16();
    let said = answer.body_mut().read_to_string().map_err(unreachable)?;
    if status == 200 { Ok(said) } else { Err(ImportError::Refused { url, status, line: said.trim().to_owned() }) }
}
