//! Observations by datagram: a thread for each socket takes what has come, many datagrams at once, and hands it on as one push. It
//! never answers, and waits for no shard to be done: what they have no room for is dropped and counted, and what comes faster than it
//! is taken the kernel drops and counts.

pub mod socket;

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::ingest::{DatagramRefusal, Ingest, Scratch};
use crate::log_limit::LogLimit;
use crate::telemetry::UdpMetrics;
use socket::{BATCH, Batch, DatagramSocket};

/// Bytes of a datagram at the most; UDP has no larger ones.
const LONGEST: usize = 64 << 10;

/// After it was asked to end a thread goes on for this long with what has come before, at the most.
const LAST_TURN: Duration = Duration::from_secs(1);

/// Senders that are slower than we are have this long to send more: many datagrams are taken in for little more than one is.
const MOMENT: Duration = Duration::from_micros(500);

/// The threads that receive datagrams; they may be none.
#[derive(Default)]
pub struct Receivers {
    threads: Vec<JoinHandle<()>>,
    is_ending: Arc<AtomicBool>,
}

/// What all threads share.
struct Shared {
    ingest: Arc<Ingest>,
    metrics: UdpMetrics,
    refusal_log: LogLimit,
}

impl Receivers {
    /// Starts a thread for each socket.
    ///
    /// # Errors
    /// If the system denies a thread.
    pub fn start(sockets: &[Arc<DatagramSocket>], ingest: &Arc<Ingest>, metrics: UdpMetrics) -> io::Result<Self> {
        let shared = Arc::new(Shared { ingest: Arc::clone(ingest), metrics, refusal_log: LogLimit::default() });
        let mut receivers = Self::default();
        for socket in sockets {
            let (socket, shared, is_ending) =
                (Arc::clone(socket), Arc::clone(&shared), Arc::clone(&receivers.is_ending));
            let runtime = tokio::runtime::Builder::new_current_thread().build()?;
            let thread = std::thread::Builder::new().name("udp".to_owned());
            let thread = thread.spawn(move || runtime.block_on(receive_until(&is_ending, &socket, &shared)))?;
            receivers.threads.push(thread);
        }
        Ok(receivers)
    }

    /// Ends the threads, once they have taken what has come. Waits for them.
    pub fn stop(&mut self) {
        self.is_ending.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
    }
}

/// Nothing else runs on the thread: waiting for datagrams holds nobody up.
async fn receive_until(is_ending: &AtomicBool, socket: &DatagramSocket, shared: &Shared) {
    let (mut batch, scratch) = (Batch::new(LONGEST), RefCell::new(Scratch::default()));
    let mut deadline = None;
    loop {
        if is_ending.load(Ordering::Acquire) && Instant::now() > *deadline.get_or_insert(Instant::now() + LAST_TURN) {
            return;
        }
        match batch.receive(socket) {
            Ok(0) if deadline.is_some() => return,
            Ok(0) => {}
            Ok(count) => {
                shared.take_in(&batch, &scratch).await;
                if count < BATCH {
                    std::thread::park_timeout(MOMENT);
                }
            }
            Err(error) => {
                shared.log(|unlogged| tracing::error!(%error, unlogged, "datagrams cannot be received"));
                std::thread::park_timeout(socket::PATIENCE);
            }
        }
    }
}

impl Shared {
    async fn take_in(&self, batch: &Batch, scratch: &RefCell<Scratch>) {
        let mut whole = [&b""[..]; BATCH];
        let (mut count, mut bytes, mut truncated) = (0, 0, 0);
        for datagram in batch.datagrams() {
            bytes += datagram.bytes.len();
            if datagram.is_truncated {
                truncated += 1;
            } else {
                whole[count] = datagram.bytes;
                count += 1;
            }
        }
        self.metrics.received(count + truncated, bytes);
        self.metrics.truncated(truncated);
        self.ingest.observe(&whole[..count], scratch, |refusal| self.refuse(&refusal)).await;
    }

    #[cold]
    fn refuse(&self, refusal: &DatagramRefusal) {
        let reason = refusal.reason();
        self.metrics.dropped(reason);
        self.log(|unlogged| {
            let line = refusal.to_string().replace(char::is_control, "\u{fffd}");
            tracing::warn!(reason, unlogged, "datagram dropped: {line}");
        });
    }

    fn log(&self, write: impl FnOnce(u64)) {
        if let Some(unlogged) = self.refusal_log.admit() {
            write(unlogged);
        }
    }
}
