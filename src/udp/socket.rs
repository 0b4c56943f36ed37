//! The sockets that datagrams come in by, over UDP or through a file, and the buffers that take many of them in one system
//! call. What is in a datagram is not known here.

use std::io;
#[cfg(target_os = "linux")]
use std::io::IoSliceMut;
#[cfg(any(not(target_os = "linux"), test))]
use std::io::Read;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

#[cfg(target_os = "linux")]
use nix::sys::socket::{MsgFlags, MultiHeaders, recvmmsg};
use socket2::{Domain, SockAddr, Socket, Type};

/// How long a thread waits for a datagram before it can see that it is asked to stop.
pub const PATIENCE: Duration = Duration::from_millis(100);

/// Datagrams that are taken at once, at most.
pub const BATCH: usize = 256;

/// Where datagrams come in.
#[derive(Debug)]
pub struct DatagramSocket {
    socket: Socket,
    address: Address,
    receive_buffer: usize,
}

#[derive(Debug)]
enum Address {
    Udp(SocketAddr),
    /// The file goes with the socket.
    Unix(PathBuf),
}

/// Binds so many UDP sockets, at least one, to one port, which the first chooses if it is 0. The kernel spreads senders over
/// them. A receive buffer is asked for in bytes; the system may grant less.
///
/// # Errors
/// If the address is not this machine's, somebody else has the port, or the system denies a socket.
pub fn bind_udp(address: SocketAddr, sockets: usize, buffer: Option<usize>) -> io::Result<Vec<DatagramSocket>> {
    let first = open(Domain::for_address(address), buffer)?;
    // Bound alone, and shared then: so a port that somebody else shares is an error, and does not take half of their datagrams.
    first.bind(&address.into())?;
    let address = first.local_addr()?;
    let mut bound = vec![first];
    for _ in 1..sockets {
        bound[0].set_reuse_port(true)?;
        let socket = open(address.domain(), buffer)?;
        socket.set_reuse_port(true)?;
        socket.bind(&address)?;
        bound.push(socket);
    }
    let address = address.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
    bound.into_iter().map(|socket| DatagramSocket::new(socket, Address::Udp(address))).collect()
}

/// Binds a Unix socket to a path. A socket's file that nobody listens at any more is replaced; ours is removed with the socket.
/// Senders wait, or are told, when its buffer is full: nothing is lost in it.
///
/// # Errors
/// If somebody listens there, the path is another file's, or the system denies the socket.
pub fn bind_unix(path: &Path, buffer: Option<usize>) -> io::Result<DatagramSocket> {
    let address = SockAddr::unix(path)?;
    let socket = open(Domain::UNIX, buffer)?;
    match socket.bind(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale(path, &address)? => {
            std::fs::remove_file(path)?;
            socket.bind(&address)?;
        }
        bound => bound?,
    }
    DatagramSocket::new(socket, Address::Unix(path.to_owned()))
}

fn open(domain: Domain, buffer: Option<usize>) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::DGRAM, None)?;
    if let Some(bytes) = buffer {
        // The system takes no more, and wraps where it is asked for more.
        socket.set_recv_buffer_size(bytes.min(i32::MAX as usize))?;
    }
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// Whether a path is that of a socket that has ended without removing it.
fn is_stale(path: &Path, address: &SockAddr) -> io::Result<bool> {
    // Connecting to a file of another kind is refused as well.
    if !std::fs::symlink_metadata(path)?.file_type().is_socket() {
        return Ok(false);
    }
    let connected = Socket::new(Domain::UNIX, Type::DGRAM, None)?.connect(address);
    Ok(connected.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused))
}

impl DatagramSocket {
    fn new(socket: Socket, address: Address) -> io::Result<Self> {
        let receive_buffer = socket.recv_buffer_size()?;
        Ok(Self { socket, address, receive_buffer })
    }

    /// Address and port, or path.
    pub fn local_address(&self) -> String {
        match &self.address {
            Address::Udp(address) => address.to_string(),
            Address::Unix(path) => path.display().to_string(),
        }
    }

    /// Bytes that wait for us at most, as the system has granted them. Linux grants at most `net.core.rmem_max`, and tells twice
    /// of what it grants: its own bookkeeping, hundreds of bytes a datagram, is in it.
    pub fn receive_buffer(&self) -> usize {
        self.receive_buffer
    }

    /// Datagrams that the kernel has thrown away since the socket was bound, as a rule because its buffer was full; counted in 32
    /// bits. None where that is not told: on other systems than Linux, and for Unix sockets.
    pub fn kernel_drops(&self) -> Option<u64> {
        let table = match self.address {
            Address::Udp(SocketAddr::V4(_)) => "/proc/self/net/udp",
            Address::Udp(SocketAddr::V6(_)) => "/proc/self/net/udp6",
            Address::Unix(_) => return None,
        };
        let opened = format!("/proc/self/fd/{}", self.socket.as_raw_fd());
        let inode = std::fs::metadata(opened).ok()?.ino();
        drops(&std::fs::read_to_string(table).ok()?, inode)
    }
}

/// The last column, in the line of the socket with this inode, the tenth.
fn drops(table: &str, inode: u64) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let mut columns = line.split_ascii_whitespace().skip(9);
        let is_ours = columns.next()?.parse() == Ok(inode);
        is_ours.then(|| columns.nth(2)?.parse().ok())?
    })
}

impl Drop for DatagramSocket {
    fn drop(&mut self) {
        if let Address::Unix(path) = &self.address {
            // Somebody may have removed it already.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// One datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// What came; may be empty.
    pub bytes: &'a [u8],
    /// Whether there was more of it than its buffer holds.
    pub is_truncated: bool,
}

/// Buffers for the datagrams that one thread takes at once. It stays on its thread.
#[derive(Debug)]
pub struct Batch {
    /// [`BATCH`] of them in a row. Memory that no datagram has reached is not touched.
    buffers: Vec<u8>,
    bytes_each: usize,
    received: Vec<Received>,
    #[cfg(target_os = "linux")]
    headers: MultiHeaders<()>,
}

#[derive(Clone, Copy, Debug)]
struct Received {
    length: usize,
    is_truncated: bool,
}

impl Batch {
    /// Buffers of so many bytes each.
    pub fn new(bytes_each: usize) -> Self {
        Self {
            buffers: vec![0; BATCH * stride(bytes_each)],
            bytes_each,
            received: Vec::with_capacity(BATCH),
            // No addresses and no control messages: what the kernel writes into a header would be in the way of its next use.
            #[cfg(target_os = "linux")]
            headers: MultiHeaders::preallocate(BATCH, None),
        }
    }

    /// Waits for a datagram, for [`PATIENCE`] at most, and takes it with those that are there already. Tells how many; none
    /// after that time, or after a signal.
    ///
    /// # Errors
    /// If the socket is broken.
    pub fn receive(&mut self, socket: &DatagramSocket) -> io::Result<usize> {
        #[cfg(target_os = "linux")]
        let take = Self::take_many;
        #[cfg(not(target_os = "linux"))]
        let take = Self::take_one;
        self.receive_with(take, socket)
    }

    fn receive_with(&mut self, take: Take, socket: &DatagramSocket) -> io::Result<usize> {
        self.received.clear();
        match take(self, &socket.socket) {
            Err(error) if is_pause(&error) => Ok(0),
            taken => taken.map(|()| self.received.len()),
        }
    }

    #[cfg(target_os = "linux")]
    fn take_many(&mut self, socket: &Socket) -> io::Result<()> {
        let mut buffers = self.buffers.chunks_exact_mut(stride(self.bytes_each));
        let mut slices: [_; BATCH] = std::array::from_fn(|_| {
            let buffer = buffers.next().unwrap_or_default();
            [IoSliceMut::new(&mut buffer[..self.bytes_each])]
        });
        let taken = recvmmsg(socket.as_raw_fd(), &mut self.headers, &mut slices, MsgFlags::MSG_WAITFORONE, None)?;
        self.received.extend(taken.map(|message| Received {
            length: message.bytes,
            is_truncated: message.flags.contains(MsgFlags::MSG_TRUNC),
        }));
        Ok(())
    }

    /// For systems that know no other way.
    #[cfg(any(not(target_os = "linux"), test))]
    fn take_one(&mut self, mut socket: &Socket) -> io::Result<()> {
        // A byte more than fits, to see whether there is more: buffers stand further apart than that.
        let length = socket.read(&mut self.buffers[..=self.bytes_each])?;
        let is_truncated = length > self.bytes_each;
        self.received.push(Received { length: length.min(self.bytes_each), is_truncated });
        Ok(())
    }

    /// What was received last, in the order it came.
    pub fn datagrams(&self) -> impl Iterator<Item = Datagram<'_>> {
        let buffers = self.buffers.chunks_exact(stride(self.bytes_each));
        buffers.zip(&self.received).map(|(buffer, received)| Datagram {
            bytes: &buffer[..received.length],
            is_truncated: received.is_truncated,
        })
    }
}

type Take = fn(&mut Batch, &Socket) -> io::Result<()>;

/// Bytes from one buffer to the next. Were it whole pages, small datagrams would all lie in the same few sets of the processor's
/// cache.
fn stride(bytes_each: usize) -> usize {
    const PAGE: usize = 4096;
    const TWO_CACHE_LINES: usize = 128;
    bytes_each.next_multiple_of(PAGE) + TWO_CACHE_LINES
}

fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::unix::net::{UnixDatagram, UnixListener};
    use std::time::Instant;

    const LOOPBACK: &str = "127.0.0.1:0";
    const DEADLINE: Duration = Duration::from_secs(20);

    #[cfg(target_os = "linux")]
    const WAYS: [(&str, Take); 2] = [("many", Batch::take_many), ("one", Batch::take_one)];
    #[cfg(not(target_os = "linux"))]
    const WAYS: [(&str, Take); 1] = [("one", Batch::take_one)];

    fn bound(sockets: usize, buffer: Option<usize>) -> Vec<DatagramSocket> {
        bind_udp(LOOPBACK.parse().unwrap(), sockets, buffer).unwrap()
    }

    fn sender(to: &DatagramSocket) -> UdpSocket {
        let sender = UdpSocket::bind(LOOPBACK).unwrap();
        sender.connect(to.local_address()).unwrap();
        sender
    }

    fn path_in(directory: &tempfile::TempDir) -> PathBuf {
        directory.path().join("datagrams")
    }

    /// Calls `receive` until it is satisfied.
    fn until(mut is_done: impl FnMut() -> bool) {
        let begin = Instant::now();
        while !is_done() {
            assert!(begin.elapsed() < DEADLINE, "waited in vain");
        }
    }

    fn owned(batch: &Batch) -> Vec<(Vec<u8>, bool)> {
        batch.datagrams().map(|datagram| (datagram.bytes.to_vec(), datagram.is_truncated)).collect()
    }

    #[test]
    fn datagrams_come_whole_and_in_the_order_of_their_sender() {
        for (way, take) in WAYS {
            let sockets = bound(1, None);
            let (sender, mut batch, mut received) = (sender(&sockets[0]), Batch::new(8), Vec::new());
            let sent: Vec<&[u8]> = vec![b"first", b"", b"12345678", b"123456789", b"last"];
            sent.iter().for_each(|datagram| assert_eq!(sender.send(datagram).unwrap(), datagram.len()));
            until(|| {
                let count = batch.receive_with(take, &sockets[0]).unwrap();
                assert_eq!(count, batch.datagrams().count());
                received.extend(owned(&batch));
                received.len() == sent.len()
            });
            let expected = sent.iter().map(|datagram| (datagram[..datagram.len().min(8)].to_vec(), datagram.len() > 8));
            assert_eq!(received, expected.collect::<Vec<_>>(), "{way}");
        }
    }

    #[test]
    fn what_is_there_is_taken_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let socket = bind_unix(&path_in(&directory), None).unwrap();
        let sender = UnixDatagram::unbound().unwrap();
        let mut batch = Batch::new(16);
        // The same buffers and headers again and again, with fewer and with more than before.
        for count in [5, 1, 0, 3] {
            for number in 0..count {
                sender.send_to(&[number], socket.local_address()).unwrap();
            }
            let at_once = if cfg!(target_os = "linux") { count } else { count.min(1) };
            assert_eq!(batch.receive(&socket).unwrap(), usize::from(at_once));
            let expected: Vec<_> = (0..at_once).map(|number| (vec![number], false)).collect();
            assert_eq!(owned(&batch), expected);
            until(|| batch.receive(&socket).unwrap() == 0);
        }
        assert!((socket.kernel_drops(), socket.receive_buffer() > 0) == (None, true));
    }

    #[test]
    fn a_thread_that_waits_can_be_asked_to_stop() {
        for (way, take) in WAYS {
            let (sockets, mut batch) = (bound(1, None), Batch::new(16));
            let begin = Instant::now();
            assert_eq!(batch.receive_with(take, &sockets[0]).unwrap(), 0, "{way}");
            assert!(begin.elapsed() < DEADLINE, "{way}");
            assert_eq!(batch.datagrams().count(), 0);
        }
    }

    #[test]
    fn sockets_share_a_port_and_its_senders() {
        let sockets = bound(3, None);
        assert!(sockets.iter().all(|socket| socket.local_address() == sockets[0].local_address()));
        for number in 0..200_u32 {
            sender(&sockets[0]).send(&number.to_le_bytes()).unwrap();
        }
        let (mut batch, mut received, mut counts) = (Batch::new(64), Vec::new(), [0; 3]);
        until(|| {
            for (socket, count) in sockets.iter().zip(&mut counts) {
                *count += batch.receive(socket).unwrap();
                received
                    .extend(batch.datagrams().map(|datagram| u32::from_le_bytes(datagram.bytes.try_into().unwrap())));
            }
            received.len() == 200
        });
        received.sort_unstable();
        assert_eq!(received, (0..200).collect::<Vec<_>>());
        assert!(!cfg!(target_os = "linux") || counts.iter().all(|count| *count > 0), "{counts:?}");
    }

    #[test]
    fn a_port_that_is_taken_is_not_shared() {
        let ours = bound(2, None);
        let address = ours[0].local_address().parse().unwrap();
        let again = bind_udp(address, 2, None).map(|_| ()).map_err(|error| error.kind());
        assert_eq!(again, Err(io::ErrorKind::AddrInUse));
    }

    #[test]
    fn what_the_kernel_throws_away_is_counted() {
        for address in [LOOPBACK, "[::1]:0"] {
            // Some machines have no IPv6.
            let Ok(sockets) = bind_udp(address.parse().unwrap(), 1, Some(1)) else { continue };
            assert_eq!(sockets[0].kernel_drops(), cfg!(target_os = "linux").then_some(0));
            let sender = UdpSocket::bind(address).unwrap();
            let sent = 1000;
            for _ in 0..sent {
                sender.send_to(&[b'x'; 100], sockets[0].local_address()).unwrap();
            }
            let (mut batch, mut received) = (Batch::new(128), 0);
            if !cfg!(target_os = "linux") {
                continue;
            }
            until(|| {
                received += batch.receive(&sockets[0]).unwrap() as u64;
                received + sockets[0].kernel_drops().unwrap() >= sent
            });
            let dropped = sockets[0].kernel_drops().unwrap();
            assert!(dropped > 0 && received > 0 && received + dropped == sent, "{received} + {dropped}");
        }
    }

    #[test]
    fn drops_are_in_the_line_of_their_socket() {
        let table = "\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops            
  511: 0100007F:1E6D 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 77 2 0000000000000000 12         
 1904: 00000000:14E9 00000000:0000 07 00000000:0000A500 00:00000000 00000000   101        0 7788 2 ffff8f5e81f3 4294967295
 1905: 00000000000000000000000001000000:0035 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 79 2 0 3
 1906: 0100007F:1E6E 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 80 2 0000000000000000
";
        for (inode, expected) in [(77, Some(12)), (7788, Some(4_294_967_295)), (79, Some(3)), (80, None), (2, None)] {
            assert_eq!(drops(table, inode), expected, "{inode}");
        }
        assert_eq!(drops("", 77), None);
    }

    #[test]
    fn the_granted_buffer_is_told() {
        let granted = |asked| bound(1, Some(asked))[0].receive_buffer();
        assert!(granted(65_536) >= 65_536);
        assert!(granted(16_384) < granted(65_536));
        // Linux caps it, others refuse it.
        assert!(!cfg!(target_os = "linux") || granted(1 << 30) >= granted(65_536));
    }

    #[test]
    fn a_file_that_a_socket_left_is_replaced_and_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = path_in(&directory);
        let in_use = |path: &Path| bind_unix(path, None).is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse);
        drop(UnixDatagram::bind(&path).unwrap());
        assert!(path.exists(), "it stays");
        let socket = bind_unix(&path, None).unwrap();
        assert!(in_use(&path), "a live one");
        UnixDatagram::unbound().unwrap().send_to(b"still there", &path).unwrap();
        let mut batch = Batch::new(64);
        assert_eq!((batch.receive(&socket).unwrap(), owned(&batch)), (1, vec![(b"still there".to_vec(), false)]));
        drop(socket);
        assert!(!path.exists(), "removed with its socket");
        let listener = UnixListener::bind(&path).unwrap();
        assert!(in_use(&path), "a live one of another kind");
        drop(listener);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "text").unwrap();
        assert!(in_use(&path), "no socket");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "text");
    }

    #[test]
    fn small_datagrams_lie_in_different_cache_sets() {
        for bytes_each in [0, 1, 2048, 3968, 65_535, 65_536] {
            assert!(stride(bytes_each) > bytes_each);
            let sets: std::collections::BTreeSet<_> =
                (0..32).map(|buffer| buffer * stride(bytes_each) % 4096).collect();
            assert_eq!(sets.len(), 32, "{bytes_each}");
        }
    }
}
