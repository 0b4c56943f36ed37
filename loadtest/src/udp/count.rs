//! The receiver that only counts: one socket, one thread, and nothing done with what comes.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::socket::{MsgFlags, MultiHeaders, recvmmsg, setsockopt, sockopt};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use serde_json::json;

use super::{BATCH, Outcome};
use crate::arguments::UdpCountOptions;
use crate::error::Error;

/// Bytes of the longest datagram.
const LONGEST: usize = 65_536;
/// From one buffer to the next: were it whole pages, small datagrams would share a few sets of the processor's cache.
const STRIDE: usize = LONGEST + 128;
/// How long to wait for a datagram before it is looked whether that was the last.
const LOOK: Duration = Duration::from_millis(20);

/// Counts until nothing has come for some time after the first datagram. The address is told to the caller before it.
pub fn run(options: &UdpCountOptions, told: impl FnOnce(SocketAddr)) -> Result<Outcome, Error> {
    let failed = |error| Error::Start(format!("a receiver on {}", options.listen), error);
    if let Some(core) = options.core {
        stay_on(core).map_err(|error| failed(error.into()))?;
    }
    let socket = bound(options).map_err(failed)?;
    told(socket.local_addr().map_err(failed)?);
    let counted = count(&socket, options.idle).map_err(failed)?;
    Ok(outcome(counted, kernel_drops(&socket)))
}

fn stay_on(core: usize) -> nix::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core)?;
    sched_setaffinity(Pid::from_raw(0), &cores)
}

fn bound(options: &UdpCountOptions) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(options.listen)?;
    if let Some(bytes) = options.buffer {
        setsockopt(&socket, sockopt::RcvBuf, &bytes)?;
    }
    socket.set_read_timeout(Some(LOOK))?;
    Ok(socket)
}

/// What has come.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    datagrams: u64,
    bytes: u64,
    /// From the first datagrams to the last.
    wall: Duration,
    /// Of this thread, in its own code and in the kernel's.
    cpu: Duration,
}

/// Looks at the clocks of processor time only when there is nothing to do.
fn count(socket: &UdpSocket, idle: Duration) -> io::Result<Counted> {
    let mut buffers = vec![0; BATCH * STRIDE];
    let mut headers = MultiHeaders::preallocate(BATCH, None);
    let mut counted = Counted::default();
    let (mut begin, mut begin_cpu, mut last) = (Instant::now(), thread_time()?, Instant::now());
    loop {
        let (datagrams, bytes) = receive(socket, &mut headers, &mut buffers)?;
        if datagrams > 0 {
            last = Instant::now();
            if counted.datagrams == 0 {
                begin = last;
            }
            counted.datagrams += datagrams;
            counted.bytes += bytes;
        } else if counted.datagrams == 0 {
            begin_cpu = thread_time()?;
        } else if last.elapsed() >= idle {
            (counted.wall, counted.cpu) = (last - begin, thread_time()?.saturating_sub(begin_cpu));
            return Ok(counted);
        }
    }
}

/// Datagrams that were there and their bytes; none if nothing comes for a while.
fn receive(socket: &UdpSocket, headers: &mut MultiHeaders<()>, buffers: &mut [u8]) -> io::Result<(u64, u64)> {
    let mut buffers = buffers.chunks_exact_mut(STRIDE);
    let mut slices: [_; BATCH] =
        std::array::from_fn(|_| [IoSliceMut::new(&mut buffers.next().unwrap_or_default()[..LONGEST])]);
    match recvmmsg(socket.as_raw_fd(), headers, &mut slices, MsgFlags::MSG_WAITFORONE, None) {
        Ok(taken) => Ok(taken.fold((0, 0), |(datagrams, bytes), taken| (datagrams + 1, bytes + taken.bytes as u64))),
        Err(Errno::EAGAIN | Errno::EINTR) => Ok((0, 0)),
        Err(error) => Err(error.into()),
    }
}

fn thread_time() -> io::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

fn outcome(counted: Counted, drops: Option<u64>) -> Outcome {
    let Counted { datagrams, bytes, wall, cpu } = counted;
    let (wall, cpu) = (wall.as_secs_f64(), cpu.as_secs_f64());
    let per = |seconds: f64| if seconds > 0.0 { datagrams as f64 / seconds } else { 0.0 };
    let json = json!({
        "received": datagrams,
        "bytes": bytes,
        "kernel_drops": drops,
        "wall_seconds": wall,
        "cpu_seconds": cpu,
        "datagrams_per_second": per(wall),
        "datagrams_per_cpu_second": per(cpu),
    });
    let told_drops = drops.map_or("unknown".into(), |drops| drops.to_string());
    let line = format!(
        "received {datagrams} datagrams, kernel drops {told_drops}, in {wall:.3} s: {:.0}/s, {:.0} per second of processor time",
        per(wall),
        per(cpu)
    );
    Outcome { line, json }
}

/// Datagrams that the kernel has thrown away for this socket.
fn kernel_drops(socket: &UdpSocket) -> Option<u64> {
    let table = if socket.local_addr().ok()?.is_ipv4() { "/proc/self/net/udp" } else { "/proc/self/net/udp6" };
    let inode = std::fs::metadata(format!("/proc/self/fd/{}", socket.as_raw_fd())).ok()?.ino();
    drops(&std::fs::read_to_string(table).ok()?, inode)
}

/// The last column, in the line of the socket with this inode, the tenth.
fn drops(table: &str, inode: u64) -> Option<u64> {
    let inode = inode.to_string();
    let line = table.lines().find(|line| line.split_ascii_whitespace().nth(9) == Some(&inode))?;
    line.split_ascii_whitespace().nth(12)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_in_the_line_of_their_socket() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n \
                     511: 0100007F:1E6D 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 77 2 0000000000000000 12 \n";
        assert_eq!((drops(table, 77), drops(table, 12)), (Some(12), None));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(kernel_drops(&socket), Some(0));
    }

    #[test]
    fn rates_are_told() {
        let counted =
            Counted { datagrams: 1000, bytes: 60_000, wall: Duration::from_millis(500), cpu: Duration::from_millis(1) };
        let expected =
            "received 1000 datagrams, kernel drops 3, in 0.500 s: 2000/s, 1000000 per second of processor time";
        assert_eq!(outcome(counted, Some(3)).line, expected);
        assert_eq!(outcome(Counted::default(), None).json["datagrams_per_second"], 0.0);
    }
}
