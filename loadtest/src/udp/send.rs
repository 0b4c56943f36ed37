//! The senders: so many processes of this program, each with a socket of its own, as fast as they can or at a steady rate.

use std::io::IoSlice;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, sendmmsg};
use serde_json::{Value, json};

use super::content::Content;
use super::{BATCH, Outcome};
use crate::arguments::UdpOptions;
use crate::error::Error;

/// Sends what is asked for, and tells how it went.
pub fn run(options: &UdpOptions) -> Result<Outcome, Error> {
    for (count, what) in [(options.processes, "the processes"), (options.series, "the series")] {
        if count == 0 {
            return Err(Error::Nothing(what));
        }
    }
    let begin = Instant::now();
    let sent = if options.processes == 1 { send(options)? } else { send_from_processes(options)? };
    Ok(outcome(options, sent, begin.elapsed()))
}

fn outcome(options: &UdpOptions, sent: u64, elapsed: Duration) -> Outcome {
    let seconds = elapsed.as_secs_f64();
    let rate = sent as f64 / seconds;
    let json = json!({
        "sent": sent,
        "processes": options.processes,
        "seconds": seconds,
        "rate_asked_for": options.rate,
        "datagrams_per_second": rate,
    });
    Outcome { line: format!("sent {sent} datagrams in {seconds:.3} s: {rate:.0}/s"), json }
}

/// Each process sends an equal part of the datagrams, the first ones one more if need be, at an equal part of the rate.
fn send_from_processes(options: &UdpOptions) -> Result<u64, Error> {
    let parts = options.processes as u64;
    let part = |index: u64| options.datagrams / parts + u64::from(index < options.datagrams % parts);
    let senders: Vec<Sender> =
        (0..parts).map(|index| Sender::start(options, index, part(index))).collect::<Result<_, _>>()?;
    senders.into_iter().map(Sender::sent).sum()
}

/// A process that ends with its value.
struct Sender(Option<Child>);

impl Sender {
    fn start(options: &UdpOptions, index: u64, datagrams: u64) -> Result<Sender, Error> {
        let failed = |error| Error::Start("a sender".into(), error);
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        let rate = options.rate / options.processes as f64;
        command
            .args(["udp", "--json", "--processes", "1"])
            .args(["--address", &options.address.to_string()])
            .args(["--datagrams", &datagrams.to_string()])
            .args(["--rate", &rate.to_string()])
            .args(["--metric", &options.metric])
            .args(["--series", &options.series.to_string()])
            .args(["--worker", &(options.worker + index as usize).to_string()])
            .args(["--observation", options.observation.word()])
            .args(options.labels.iter().map(|(name, value)| format!("--label={name}={value}")));
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
        child.map(|child| Sender(Some(child))).map_err(failed)
    }

    /// Waits for its end.
    fn sent(mut self) -> Result<u64, Error> {
        let output = self.0.take().map(Child::wait_with_output).ok_or(Error::Stopped)?;
        let output = output.map_err(|error| Error::Start("a sender".into(), error))?;
        let told: Option<Value> = serde_json::from_slice(&output.stdout).ok();
        told.and_then(|told| told["sent"].as_u64()).ok_or(Error::Stopped)
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Sends all from this process.
fn send(options: &UdpOptions) -> Result<u64, Error> {
    let failed = |error| Error::Send(options.address, error);
    let round = content(options).round();
    let socket = connected(options.address).map_err(failed)?;
    let mut headers = MultiHeaders::preallocate(BATCH, None);
    let (begin, mut sent, mut most) = (Instant::now(), 0, 1);
    while sent < options.datagrams {
        let due = wait_until_due(begin, options.rate, sent).min(options.datagrams);
        let count = (due - sent).min(most) as usize;
        let first = (sent % round.len() as u64) as usize;
        let batch: [_; BATCH] = std::array::from_fn(|index| [IoSlice::new(&round[(first + index) % round.len()])]);
        let taken = send_batch(&socket, &mut headers, &batch[..count]).map_err(failed)?;
        sent += taken as u64;
        // A call that has sent some does not tell what has stopped it. Few at a time, one soon fails at its first and tells.
        most = if taken < count { 1 } else { (most * 2).min(BATCH as u64) };
    }
    Ok(sent)
}

fn content(options: &UdpOptions) -> Content {
    Content {
        metric: options.metric.clone(),
        labels: options.labels.clone(),
        worker: options.worker,
        series: options.series,
        observation: options.observation,
    }
}

fn connected(address: SocketAddr) -> std::io::Result<UdpSocket> {
    let any = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    socket.connect(address)?;
    Ok(socket)
}

/// Datagrams that are due by now: more than were sent. At a rate of 0, all are.
fn wait_until_due(begin: Instant, rate: f64, sent: u64) -> u64 {
    if rate == 0.0 {
        return u64::MAX;
    }
    let next = begin + Duration::from_secs_f64(sent as f64 / rate);
    while let Some(wait) = next.checked_duration_since(Instant::now()).filter(|wait| !wait.is_zero()) {
        thread::park_timeout(wait);
    }
    ((begin.elapsed().as_secs_f64() * rate) as u64).max(sent) + 1
}

/// How many of them the system took.
fn send_batch<'a>(
    socket: &UdpSocket,
    headers: &'a mut MultiHeaders<()>,
    batch: &'a [[IoSlice<'a>; 1]],
) -> std::io::Result<usize> {
    // The socket is connected: no addresses.
    let addresses = [None; BATCH];
    match sendmmsg(socket.as_raw_fd(), headers, batch, addresses, [], MsgFlags::empty()) {
        Ok(results) => Ok(results.count()),
        Err(Errno::EINTR) => Ok(0),
        Err(error) => Err(error.into()),
    }
}
