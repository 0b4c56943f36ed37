//! Connections that are open and idle: what each takes, and what pushes cost beside them.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use serde_json::json;

use super::Effort;
use super::findings::{Drawing, Findings, column};
use super::gateway::Gateway;
use super::pushes::{PER_PUSH, costs};
use crate::error::Error;
use crate::process::open_files_limit;
use crate::response::ResponseReader;

/// Files that are open besides, in either process.
const OTHER_FILES: usize = 500;
/// Who push beside them.
const PUSHERS: u64 = 400;

/// So many connections, each of which has pushed once.
pub fn by_number(effort: &Effort) -> Result<Findings, Error> {
    let most = open_files_limit().map_or(usize::MAX, |files| files.saturating_sub(OTHER_FILES));
    let mut rows = Vec::new();
    for wanted in [0, 1_000, 5_000, 10_000] {
        let gateway = Gateway::start(effort, "")?;
        gateway.push(gateway.counters("known", 50), PUSHERS, 1)?;
        let before = gateway.memory()?;
        let idle = open(&gateway, wanted.min(most))?;
        let growth = gateway.memory()? - before;
        let results = gateway.push(gateway.counters("known", 50), PUSHERS, effort.rounds)?;
        let still_open = idle.iter().filter(|stream| is_open(stream)).count();
        let each = (!idle.is_empty()).then(|| growth / idle.len() as f64 / 1024.0);
        let mut row = vec![json!(idle.len()), json!(still_open), json!(each)];
        row.extend(costs(&results, 1.0, 1e6));
        rows.push(row);
    }
    let columns = [
        column("connections", "idle connections"),
        column("still_open", "open at the end"),
        column("kibibytes", "KiB each"),
    ];
    Ok(Findings {
        name: "connections",
        title: "Pushes of 50 known counters on 16 connections, by idle connections beside them",
        columns: [&columns[..], &PER_PUSH[..]].concat(),
        rows,
        drawing: Some(Drawing { curves: None, x: "connections", is_logarithmic: false, panels: &["cpu", "rate"] }),
    })
}

/// Opens connections, and pushes once on each.
fn open(gateway: &Gateway, count: usize) -> Result<Vec<TcpStream>, Error> {
    let request = gateway.counters("idle", 1).render(0, 0)?;
    let opened = (0..count).map(|_| {
        let mut stream = TcpStream::connect(gateway.target.address)?;
        stream.write_all(&request)?;
        let (mut response, mut buffer) = (ResponseReader::new(0), [0; 4096]);
        loop {
            let read = stream.read(&mut buffer)?;
            if read == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if response.feed(&buffer[..read]).map_err(std::io::Error::other)? {
                return Ok(stream);
            }
        }
    });
    opened.collect::<std::io::Result<_>>().map_err(|error| Error::Start("an idle connection".into(), error))
}

/// Whether the gateway has neither closed it nor sent anything.
fn is_open(stream: &TcpStream) -> bool {
    let looked = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut [0]));
    matches!(looked, Err(error) if error.kind() == ErrorKind::WouldBlock)
}
