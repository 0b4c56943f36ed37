//! Further starts of this program: a process with nothing else in it, or a server that others push to.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, ChildStdout, Command, Stdio};

use actix_web::{App, HttpResponse, HttpServer, web};
use catchment::Listeners;
use catchment::config::layers::Layers;
use catchment::config::{Config, DatagramAddress, DatagramConfig};
use catchment::udp::socket::{DatagramSocket, bind_udp};

use super::ours;
use super::report::cores;

/// What a child measures and prints.
#[derive(Clone, Copy)]
pub enum Measured {
    /// Bytes of a stored counter.
    Series,
    /// Bytes of all sources with the same series.
    LikeSources,
    /// Bytes of all sources, each with series of its own.
    Sources,
}

/// What a child serves.
#[derive(Clone, Copy)]
pub enum Served {
    /// A handler that reads the body and answers.
    PlainReader,
    /// Catchment as it is out of the box.
    Catchment,
    /// Catchment on one core with one of everything, which takes datagrams besides.
    DatagramCatchment,
    /// A loop on one core that takes datagrams from one socket and counts them.
    DatagramCounter,
}

impl Measured {
    const ALL: [Self; 3] = [Self::Series, Self::LikeSources, Self::Sources];

    fn role(self) -> &'static str {
        match self {
            Self::Series => "memory-of-series",
            Self::LikeSources => "memory-of-like-sources",
            Self::Sources => "memory-of-sources",
        }
    }

    fn bytes(self, count: usize) -> f64 {
        match self {
            Self::Series => ours::stored_bytes_per_series(count),
            Self::LikeSources => ours::stored_bytes_of_sources(count, true) as f64,
            Self::Sources => ours::stored_bytes_of_sources(count, false) as f64,
        }
    }
}

impl Served {
    const ALL: [Self; 4] = [Self::PlainReader, Self::Catchment, Self::DatagramCatchment, Self::DatagramCounter];

    fn role(self) -> &'static str {
        match self {
            Self::PlainReader => "plain-reader",
            Self::Catchment => "catchment",
            Self::DatagramCatchment => "datagram-catchment",
            Self::DatagramCounter => "datagram-counter",
        }
    }
}

/// Does what the parent started this process for.
///
/// # Errors
/// If there is no such role, or a server cannot serve.
pub fn be(role: &str, count: usize) -> Result<(), String> {
    if let Some(measured) = Measured::ALL.into_iter().find(|measured| measured.role() == role) {
        println!("{}", measured.bytes(count));
        return Ok(());
    }
    match Served::ALL.into_iter().find(|served| served.role() == role) {
        Some(served) => serve(served),
        None => Err(format!("expected a role that children have, got {role:?}, after --child")),
    }
}

/// What a child of its own measures of so many.
pub fn measured_by_child(measured: Measured, count: usize) -> f64 {
    let output =
        start(measured.role()).args(["--count", &count.to_string()]).output().expect("the program starts again");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("the child prints a number")
}

fn start(role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the program knows where it is"));
    command.args(["--child", role]);
    command
}

/// A server in a process of its own, on a port of its own. Dropped, it is ended.
pub struct Server {
    /// Where it takes pushes; or datagrams, if it takes nothing else.
    pub address: SocketAddr,
    /// Where it takes datagrams, if it does.
    pub datagrams: Option<SocketAddr>,
    pub child: Child,
    said: BufReader<ChildStdout>,
}

impl Server {
    pub fn start(served: Served) -> Self {
        let mut command = start(served.role());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts again");
        let mut said = BufReader::new(child.stdout.take().expect("a pipe"));
        let addresses = line_of(&mut said);
        let mut addresses = addresses.split(' ').map(|address| address.parse().expect("an address"));
        let address = addresses.next().expect("the child says where it listens");
        Self { address, datagrams: addresses.next(), child, said }
    }

    /// What it says when it is asked.
    pub fn ask(&mut self) -> String {
        let stdin = self.child.stdin.as_mut().expect("a pipe");
        stdin.write_all(b"\n").expect("the child reads");
        line_of(&mut self.said)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended by itself has nothing left to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn line_of(said: &mut impl BufRead) -> String {
    let mut line = String::new();
    said.read_line(&mut line).expect("the child says something");
    line.trim().to_owned()
}

/// Tells what it is asked for until the parent has gone, and ends with it.
pub fn answer(mut told: impl FnMut() -> String + Send + 'static) {
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            if line.is_err() {
                break;
            }
            println!("{}", told());
        }
        std::process::exit(0);
    });
}

/// Serves until the parent has gone or ends the process.
fn serve(served: Served) -> Result<(), String> {
    match served {
        Served::PlainReader => serve_plain_reader(),
        Served::Catchment => serve_catchment(&[]),
        #[cfg(target_os = "linux")]
        Served::DatagramCatchment => {
            super::datagrams::stay_on_first_core();
            serve_catchment(super::datagrams::FLAGS)
        }
        #[cfg(target_os = "linux")]
        Served::DatagramCounter => super::datagrams::count(),
        #[cfg(not(target_os = "linux"))]
        Served::DatagramCatchment | Served::DatagramCounter => Err("datagrams are measured on Linux".to_owned()),
    }
}

fn listen() -> Result<(TcpListener, SocketAddr), String> {
    let listener = TcpListener::bind("127.0.0.1:0");
    let bound = listener.and_then(|listener| listener.local_addr().map(|address| (listener, address)));
    bound.map_err(|error| error.to_string())
}

/// Says where the server listens. It ends with the parent.
fn tell(addresses: &[String]) {
    answer(String::new);
    println!("{}", addresses.join(" "));
}

fn serve_plain_reader() -> Result<(), String> {
    const MOST_BYTES: usize = 16 << 20;
    async fn read(_body: web::Bytes) -> HttpResponse {
        HttpResponse::Accepted().finish()
    }
    let (listener, address) = listen()?;
    tell(&[address.to_string()]);
    let app = || App::new().app_data(web::PayloadConfig::new(MOST_BYTES)).default_service(web::to(read));
    let server = HttpServer::new(app).workers(cores()).disable_signals().listen(listener);
    let served = server.and_then(|server| actix_rt::System::new().block_on(server.run()));
    served.map_err(|error| error.to_string())
}

/// With flags, by which it may listen for datagrams.
fn serve_catchment(flags: &[&str]) -> Result<(), String> {
    let arguments = ["catchment"].iter().chain(flags).map(Into::into);
    let layers = Layers::collect(arguments, std::iter::empty()).map_err(|error| error.to_string())?;
    let config = Config::from_layers(&layers).map_err(|error| error.to_string())?;
    let (listener, address) = listen()?;
    let mut addresses = vec![address.to_string()];
    let mut listeners = Listeners::from(vec![listener]);
    for address in &config.datagrams.listen {
        let DatagramAddress::Udp(address) = address else { return Err("expected a UDP address".to_owned()) };
        let DatagramConfig { sockets, buffer, .. } = config.datagrams;
        let bound = bind_udp(*address, sockets, Some(buffer)).map_err(|error| error.to_string())?;
        addresses.extend(bound.iter().map(DatagramSocket::local_address));
        listeners.datagrams.extend(bound);
    }
    tell(&addresses);
    let running = catchment::run(config, listeners, std::future::pending());
    actix_rt::System::new().block_on(running).map_err(|error| error.to_string())
}
