//! One connection to the gateway: a request out, its response in, and a new connection when the last one has ended.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::response::ResponseReader;
use crate::target::Target;

/// Why an exchange has no answer. After any but [`Fault::Connect`] the push may have been applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// No connection.
    Connect,
    /// No complete answer in time.
    Timeout,
    /// The connection broke, or ended before the answer's end.
    Reset,
    /// The answer is not HTTP.
    Malformed,
}

impl Fault {
    /// The word in reports.
    pub fn word(self) -> &'static str {
        match self {
            Fault::Connect => "connect",
            Fault::Timeout => "timeout",
            Fault::Reset => "reset",
            Fault::Malformed => "malformed",
        }
    }
}

/// How long a connection may be unused before it is looked at whether the gateway has closed it.
const IDLE: Duration = Duration::from_millis(500);

/// A connection that is opened when it is needed.
pub struct Connection {
    target: Target,
    timeout: Duration,
    stream: Option<TcpStream>,
    used: Instant,
    buffer: Vec<u8>,
}

impl Connection {
    /// Opens nothing yet. An exchange may take as long as the timeout.
    pub fn new(target: Target, timeout: Duration) -> Connection {
        Connection { target, timeout, stream: None, used: Instant::now(), buffer: vec![0; 16 * 1024] }
    }

    /// Sends a request and reads its response. Nothing is sent twice.
    pub async fn exchange(&mut self, request: &[u8], kept: usize) -> Result<ResponseReader, Fault> {
        let outcome = timeout(self.timeout, self.exchange_in_any_time(request, kept)).await;
        let outcome = outcome.unwrap_or(Err(Fault::Timeout));
        if !outcome.as_ref().is_ok_and(ResponseReader::keeps_open) {
            self.stream = None;
        }
        self.used = Instant::now();
        outcome
    }

    async fn exchange_in_any_time(&mut self, request: &[u8], kept: usize) -> Result<ResponseReader, Fault> {
        if self.stream.as_ref().is_some_and(|stream| self.used.elapsed() > IDLE && has_ended(stream)) {
            self.stream = None;
        }
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert(connect(&self.target).await.map_err(|_| Fault::Connect)?),
        };
        stream.write_all(request).await.map_err(|_| Fault::Reset)?;
        let mut response = ResponseReader::new(kept);
        loop {
            let read = stream.read(&mut self.buffer).await.map_err(|_| Fault::Reset)?;
            if read == 0 {
                return response.end().map(|()| response).map_err(|_| Fault::Reset);
            }
            if response.feed(&self.buffer[..read]).map_err(|_| Fault::Malformed)? {
                return Ok(response);
            }
        }
    }
}

async fn connect(target: &Target) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(target.address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Whether the gateway has closed the connection, or sent what nobody asked for.
fn has_ended(stream: &TcpStream) -> bool {
    !matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}
