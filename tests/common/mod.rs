//! Starts the real server on a port of its own and talks to it as its clients do. Nothing here looks inside the server.

// Each test file uses a part of this.
#![allow(dead_code, reason = "each test program uses its part")]

pub mod exchange;
pub mod page;
pub mod story;
pub mod wire;

use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use catchment::Listeners;
use catchment::config::Config;
use catchment::config::layers::Layers;
use catchment::udp::socket::{self, DatagramSocket};
use tokio::sync::oneshot;

/// How long anything may take before the test is given up.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A running server. Dropped, it is shut down and waited for; the test fails if it did not end well.
pub struct Server {
    pub address: SocketAddr,
    /// Of its own metrics and health alone, if it has that.
    pub telemetry: Option<SocketAddr>,
    /// Of its first socket for datagrams, if it has one.
    pub datagrams: Option<String>,
    client: ureq::Agent,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), String>>>,
}

impl Server {
    /// Two shards and two workers, then what `flags` say.
    pub fn start(flags: &[&str]) -> Self {
        Self::start_on(any_port(), flags)
    }

    /// As [`Self::start`], with a listener of the caller's making.
    pub fn start_on(listener: TcpListener, flags: &[&str]) -> Self {
        Self::start_with(vec![listener].into(), flags)
    }

    /// As [`Self::start`], with an address of its own for metrics and health.
    pub fn start_with_telemetry(flags: &[&str]) -> Self {
        let [listener, own] = [0; 2].map(|port| TcpListener::bind(("127.0.0.1", port)).expect("a free port"));
        Self::start_with(Listeners { telemetry: vec![own], ..vec![listener].into() }, flags)
    }

    /// As [`Self::start`], with two UDP sockets on one port. The flags decide on their buffers.
    pub fn start_with_datagrams(flags: &[&str]) -> Self {
        let address = "127.0.0.1:0".parse().expect("an address");
        let buffer = config(flags).datagrams.buffer;
        let datagrams = socket::bind_udp(address, 2, Some(buffer)).expect("a free port");
        Self::start_with(Listeners { datagrams, ..vec![any_port()].into() }, flags)
    }

    /// As [`Self::start`], with a Unix socket at the path.
    pub fn start_with_datagrams_on(path: &Path, flags: &[&str]) -> Self {
        let datagrams = vec![socket::bind_unix(path, None).expect("a free path")];
        Self::start_with(Listeners { datagrams, ..vec![any_port()].into() }, flags)
    }

    fn start_with(listeners: Listeners, flags: &[&str]) -> Self {
        let address = listeners.pushes_and_pages[0].local_addr().expect("a bound listener");
        let telemetry = listeners.telemetry.first().map(|own| own.local_addr().expect("a bound listener"));
        let datagrams = listeners.datagrams.first().map(DatagramSocket::local_address);
        let config = config(flags);
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let shutdown = async move {
                let _ = stopped.await;
            };
            let running = catchment::run(config, listeners, shutdown);
            actix_rt::System::new().block_on(running).map_err(|error| error.to_string())
        });
        Self { address, telemetry, datagrams, client: client(), stop: Some(stop), thread: Some(thread) }
    }

    /// Status and body of a push.
    pub fn push(&self, path: &str, body: impl AsRef<[u8]>) -> (u16, String) {
        let answer = self.client.post(self.url(path)).send(body.as_ref()).expect("an answer");
        status_and_body(answer)
    }

    /// A push that must be taken in.
    #[track_caller]
    pub fn push_ok(&self, path: &str, body: impl AsRef<[u8]>) {
        assert_eq!(self.push(path, body), (202, String::new()));
    }

    /// Status and body of a PUT.
    pub fn put(&self, path: &str, body: impl AsRef<[u8]>) -> (u16, String) {
        status_and_body(self.client.put(self.url(path)).send(body.as_ref()).expect("an answer"))
    }

    /// Status and body of a DELETE.
    pub fn delete(&self, path: &str) -> (u16, String) {
        status_and_body(self.client.delete(self.url(path)).call().expect("an answer"))
    }

    /// Status and body of a GET.
    pub fn get(&self, path: &str) -> (u16, String) {
        status_and_body(self.client.get(self.url(path)).call().expect("an answer"))
    }

    /// The page.
    #[track_caller]
    pub fn page(&self) -> String {
        self.page_of("/metrics")
    }

    /// The page without the times of pushes to groups, which no table can hold.
    #[track_caller]
    pub fn page_without_times(&self) -> String {
        let page = self.page();
        let is_time = |line: &str| {
            let sample = ["# HELP ", "# TYPE "].iter().find_map(|start| line.strip_prefix(start)).unwrap_or(line);
            ["push_time_seconds", "push_failure_time_seconds"].iter().any(|name| sample.starts_with(name))
        };
        page.split_inclusive('\n').filter(|line| !is_time(line)).collect()
    }

    /// What `path` shows to a reader who asks for this.
    #[track_caller]
    pub fn get_as(&self, path: &str, accept: &str) -> String {
        let answer = self.client.get(self.url(path)).header("Accept", accept).call().expect("an answer");
        status_and_body(answer).1
    }

    /// All samples of the page, which must be one that every reader takes.
    #[track_caller]
    pub fn samples(&self) -> page::Samples {
        page::samples(&self.page())
    }

    /// What `path` shows; it must be whole.
    #[track_caller]
    pub fn page_of(&self, path: &str) -> String {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "{body}");
        body
    }

    /// The value of one of the server's own metrics, by its name and labels as they stand on `/-/metrics`.
    #[track_caller]
    pub fn own_metric(&self, series: &str) -> f64 {
        let page = self.page_of("/-/metrics");
        let value = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        let value = value.unwrap_or_else(|| panic!("{series} is not on the page:\n{page}"));
        value.parse().expect("a number")
    }

    /// How many pushes were refused for this reason.
    #[track_caller]
    pub fn refused(&self, reason: &str) -> f64 {
        self.own_metric(&format!("catchment_pushes_total{{outcome=\"refused\",reason=\"{reason}\"}}"))
    }

    /// How many pushes were accepted.
    pub fn accepted(&self) -> f64 {
        self.own_metric("catchment_pushes_total{outcome=\"accepted\",reason=\"accepted\"}")
    }

    /// The answer to these very bytes, read until the server closes the connection.
    pub fn raw(&self, bytes: &[u8]) -> String {
        wire::exchange(self.address, bytes)
    }

    /// Asks the server to stop and returns at once.
    pub fn begin_stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // If the server has ended by itself, joining it will tell.
            let _ = stop.send(());
        }
    }

    /// Stops the server and returns what `run` returned.
    pub fn stop(mut self) -> Result<(), String> {
        self.begin_stop();
        self.join()
    }

    fn join(&mut self) -> Result<(), String> {
        match self.thread.take() {
            Some(thread) => thread.join().unwrap_or_else(|_| Err("the server panicked".to_owned())),
            None => Ok(()),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.begin_stop();
        // A test that has failed already must not be ended by a second panic.
        if !std::thread::panicking() {
            assert_eq!(self.join(), Ok(()));
        }
    }
}

/// A configuration file that lasts as long as this.
pub struct ConfigFile(tempfile::NamedTempFile);

impl ConfigFile {
    pub fn new(text: &str) -> Self {
        let file = Self(tempfile::NamedTempFile::new().expect("a temporary file"));
        file.write(text);
        file
    }

    /// Puts another text into it.
    pub fn write(&self, text: &str) {
        std::fs::write(self.path(), text).expect("a file to write to");
    }

    pub fn path(&self) -> &str {
        self.0.path().to_str().expect("UTF-8")
    }

    /// A server that is configured by the file.
    pub fn start(&self, flags: &[&str]) -> Server {
        Server::start(&[&["--config", self.path()], flags].concat())
    }
}

fn any_port() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a free port")
}

/// A configuration as the program would make it of these flags. Flags given later win.
fn config(flags: &[&str]) -> Config {
    let defaults = [("--shards", "2"), ("--workers", "2"), ("--shutdown-delay", "0s"), ("--shutdown-timeout", "5s")];
    let is_given = |name: &str| flags.contains(&name);
    let mut arguments: Vec<OsString> = vec!["catchment".into()];
    for (name, value) in defaults.iter().filter(|(name, _)| !is_given(name)) {
        arguments.extend([name.into(), value.into()]);
    }
    arguments.extend(flags.iter().map(OsString::from));
    let layers = Layers::collect(arguments, std::iter::empty()).expect("known flags");
    Config::from_layers(&layers).expect("valid flags")
}

/// A client that keeps no connections: the end of a server waits for open ones.
fn client() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_idle_connections(0)
        .timeout_global(Some(PATIENCE))
        .proxy(None)
        .build()
        .into()
}

fn status_and_body(mut answer: ureq::http::Response<ureq::Body>) -> (u16, String) {
    const LARGEST_PAGE: u64 = 1 << 30;
    let status = answer.status().as_u16();
    let body = answer.body_mut().with_config().limit(LARGEST_PAGE);
    (status, body.read_to_string().expect("a whole body"))
}

/// Does `work` over and over, on so many threads, while `rest` runs. The work is told its thread and its round.
pub fn while_working<T>(threads: usize, work: impl Fn(usize, usize) + Sync, rest: impl FnOnce() -> T) -> T {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (work, is_over) = (&work, &is_over);
            scope.spawn(move || {
                let rounds = (0..).take_while(|_| !is_over.load(Ordering::Relaxed));
                rounds.for_each(|round| work(thread, round));
            });
        }
        let _end = SetAtEnd(&is_over);
        rest()
    })
}

/// Ends the work even if the rest panics: a failed test must not hang.
struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Waits until the condition holds; fails the test if it never does.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    const PAUSE: Duration = Duration::from_millis(5);
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "this never came true: {what}");
        pause(PAUSE);
    }
}

/// Waits between two looks at a condition, or two steps of a slow client; never for something to be over.
#[allow(
    clippy::disallowed_methods,
    reason = "the server's state is seen from outside, where nothing tells of a change"
)]
pub fn pause(duration: Duration) {
    std::thread::sleep(duration);
}
