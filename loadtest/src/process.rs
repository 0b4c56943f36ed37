//! Servers as child processes, and the processor time and memory of any process. Linux alone tells those, in `/proc`.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::Error;

/// What the kernel counts processor time in, for programs: a hundredth of a second on all its usual builds.
const TICK: Duration = Duration::from_millis(10);

/// How long a server may take until it listens.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// How often a server that starts is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Processor time of a process so far, in its own code and in the kernel's.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    ticks(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?).map(|ticks| TICK * ticks)
}

/// The 14th and 15th field. The second, the program's name, may hold anything.
fn ticks(stat: &str) -> Option<u32> {
    let mut fields = stat.rsplit_once(") ")?.1.split_ascii_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Bytes of a process that are in memory.
pub fn resident_memory(pid: u32) -> Option<u64> {
    resident(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

/// In kibibytes there.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}

/// How many files and sockets this process may have open, and those that it starts. None if there is no limit.
pub fn open_files_limit() -> Option<usize> {
    soft_limit(&std::fs::read_to_string("/proc/self/limits").ok()?)
}

fn soft_limit(limits: &str) -> Option<usize> {
    limits.lines().find_map(|line| line.strip_prefix("Max open files"))?.split_ascii_whitespace().next()?.parse().ok()
}

/// A server that ends with its value.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts a program on a free port of this machine, and waits until it listens. The arguments are made from the port.
    pub fn start(program: &Path, arguments: impl Fn(u16) -> Vec<String>) -> Result<Server, Error> {
        let port = free_port()?;
        let child = quiet(program).args(arguments(port)).stdout(Stdio::null()).spawn();
        let child = child.map_err(|error| Error::Start(program.display().to_string(), error))?;
        let mut server = Server { child, address: (Ipv4Addr::LOCALHOST, port).into() };
        server.wait_until_it_listens(program)?;
        Ok(server)
    }

    /// Starts a program that prints its address.
    pub fn start_printing(program: &Path, arguments: &[String]) -> Result<Server, Error> {
        let failed = |error| Error::Start(program.display().to_string(), error);
        let mut child = quiet(program).args(arguments).stdout(Stdio::piped()).spawn().map_err(failed)?;
        let mut line = String::new();
        let read = child.stdout.take().map(|stdout| BufReader::new(stdout).read_line(&mut line));
        read.unwrap_or(Ok(0)).map_err(failed)?;
        let mut server = Server { child, address: (Ipv4Addr::LOCALHOST, 0).into() };
        let printed = line.trim().parse();
        server.address = printed.map_err(|_| Error::NotListening(program.display().to_string(), Duration::ZERO))?;
        Ok(server)
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait_until_it_listens(&mut self, program: &Path) -> Result<(), Error> {
        let begin = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            let has_ended = !matches!(self.child.try_wait(), Ok(None));
            if has_ended || begin.elapsed() > START_TIMEOUT {
                return Err(Error::NotListening(program.display().to_string(), begin.elapsed()));
            }
            thread::park_timeout(LOOK);
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn quiet(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    command
}

/// A port that was free a moment ago.
pub fn free_port() -> Result<u16, Error> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    bound.map(|address| address.port()).map_err(|error| Error::Start("a listener".into(), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_read_behind_any_name() {
        let stat = "12 (a) b (c) S 1 12 12 0 -1 4194560 100 0 0 0 250 30 0 0 20 0 3 0 100 1000 10";
        assert_eq!(ticks(stat), Some(280));
        assert_eq!(ticks("12 (a"), None);
        assert_eq!(cpu_time(std::process::id()).is_some(), cfg!(target_os = "linux"));
    }

    #[test]
    fn memory_and_limits_are_read_from_their_lines() {
        let status = "Name:\tcatchment\nVmHWM:\t    9000 kB\nVmRSS:\t    8123 kB\nThreads:\t7\n";
        assert_eq!(resident(status), Some(8123 * 1024));
        assert_eq!(resident("Name:\tcatchment\n"), None);
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max processes             7                    9                    processes\n\
                      Max open files            {}                20000                files\n";
        assert_eq!(soft_limit(&limits.replace("{}", "1024")), Some(1024));
        assert_eq!(soft_limit(&limits.replace("{}", "unlimited")), None);
        assert_eq!(resident_memory(std::process::id()).is_some(), cfg!(target_os = "linux"));
    }

    #[test]
    fn a_program_that_ends_does_not_listen() {
        let started = Server::start(Path::new("/bin/true"), |_| Vec::new());
        assert!(matches!(started.err(), Some(Error::NotListening(..))));
    }
}
