//! What ends a command early.

use std::path::{Path, PathBuf};

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address that cannot be pushed to.
    #[error("expected http://<host>[:<port>][/<path>] as the target, got {0:?}")]
    Target(String),
    /// A host without an address.
    #[error("expected an address for {0:?}: {1}")]
    Host(String, std::io::Error),
    /// A header that would break the request.
    #[error("expected a header as <name>: <value>, got {0:?}")]
    Header(String),
    /// Counts that make no load.
    #[error("expected at least one of {0}, got none")]
    Nothing(&'static str),
    /// A runtime, thread or socket that could not be had.
    #[error("cannot start {0}: {1}")]
    Start(String, std::io::Error),
    /// A thread or sender that broke down.
    #[error("expected every thread and sender to end in good order, got a breakdown")]
    Stopped,
    /// A histogram with bounds that it cannot have.
    #[error("cannot count latencies: {0}")]
    Latencies(#[from] hdrhistogram::CreationError),
    /// A peer that is not in the table.
    #[error("expected a peer's name as in the table, got {0:?}")]
    UnknownPeer(String),
    /// A binary that has not been built.
    #[error("expected a program at {}, got none", .0.display())]
    NoProgram(PathBuf),
    /// A server that ended, or did not listen in time.
    #[error("expected {0} to listen, got nothing within {1:?}")]
    NotListening(String, std::time::Duration),
    /// A socket that takes no more datagrams; as a rule nobody listens.
    #[error("cannot send to {0}: {1}")]
    Send(std::net::SocketAddr, std::io::Error),
    /// A page that could not be read.
    #[error("cannot read the page {0}: {1}")]
    Page(String, String),
    /// A push that prepares a measurement and was refused.
    #[error("expected {0} to take the push that fills it, got {1}")]
    Fill(String, String),
    /// Pushes of a measurement that were refused or lost.
    #[error("expected every push to be taken, got {0} that were not: {1}")]
    Lost(u64, String),
    /// A process that has ended, or a system that tells nothing of processes.
    #[error("expected /proc to tell of process {0}, got nothing")]
    NoProcess(u32),
    /// A file that could not be written.
    #[error("cannot write {0:?}: {1}")]
    Write(PathBuf, std::io::Error),
}

/// Writes a result to its file.
pub fn write(path: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(path, text).map_err(|error| Error::Write(path.to_owned(), error))
}
