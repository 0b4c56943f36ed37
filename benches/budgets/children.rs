//! Further starts of this program: a process with nothing else in it, or a server that others push to.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use actix_web::{App, HttpResponse, HttpServer, web};
use catchment::config::Config;
use catchment::config::layers::Layers;

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
    const ALL: [Self; 2] = [Self::PlainReader, Self::Catchment];

    fn role(self) -> &'static str {
        match self {
            Self::PlainReader => "plain-reader",
            Self::Catchment => "catchment",
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
    pub address: SocketAddr,
    child: Child,
}

impl Server {
    pub fn start(served: Served) -> Self {
        let mut command = start(served.role());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts again");
        let mut address = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut address).expect("the child says where it listens");
        Self { address: address.trim().parse().expect("an address"), child }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended by itself has nothing left to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves until the parent has gone or ends the process.
fn serve(served: Served) -> Result<(), String> {
    std::thread::spawn(|| {
        // Nothing is ever written: it ends with the parent.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    println!("{}", listener.local_addr().map_err(|error| error.to_string())?);
    match served {
        Served::PlainReader => serve_plain_reader(listener).map_err(|error| error.to_string()),
        Served::Catchment => serve_catchment(listener),
    }
}

fn serve_plain_reader(listener: TcpListener) -> std::io::Result<()> {
    const MOST_BYTES: usize = 16 << 20;
    async fn read(_body: web::Bytes) -> HttpResponse {
        HttpResponse::Accepted().finish()
    }
    let app = || App::new().app_data(web::PayloadConfig::new(MOST_BYTES)).default_service(web::to(read));
    let server = HttpServer::new(app).workers(cores()).disable_signals().listen(listener)?;
    actix_rt::System::new().block_on(server.run())
}

fn serve_catchment(listener: TcpListener) -> Result<(), String> {
    let layers = Layers::collect(["catchment".into()], std::iter::empty()).map_err(|error| error.to_string())?;
    let config = Config::from_layers(&layers).map_err(|error| error.to_string())?;
    let running = catchment::run(config, vec![listener], std::future::pending());
    actix_rt::System::new().block_on(running).map_err(|error| error.to_string())
}
