//! A load generator for push gateways, and their comparison. It reads as a push goes:
//!
//! - [`arguments`]: what the flags say
//! - [`content`]: which series a push carries, and what it adds to their sums; [`body`]: the same as bytes
//! - [`requests`]: whole requests, prepared before the load starts
//! - [`schedule`]: when each push is due, whether or not the target keeps up
//! - [`connection`], [`response`]: one exchange over HTTP/1.1
//! - [`record`]: what came of the pushes; [`load`]: a whole run
//! - [`verify`]: whether the page shows what was acknowledged
//! - [`report`], [`plot`]: the outcome as table, JSON, CSV and SVG
//! - [`plain`]: the server that does the least a gateway can do; [`process`]: servers as child processes
//! - [`compare`]: all of them in turn, under the same load
//! - [`scale`]: how cost grows, with series, pushes, shards, scrapers and connections
//! - `udp`: observations as datagrams: a sender, and the receiver that does the least (Linux)
//!
//! A latency is the time from the moment a push was *due* to its answer. If the target stalls, the pushes that had to
//! wait for it count with their wait.

pub mod arguments;
pub mod body;
pub mod compare;
pub mod connection;
pub mod content;
pub mod error;
pub mod load;
pub mod plain;
pub mod plot;
pub mod process;
pub mod record;
pub mod report;
pub mod requests;
pub mod response;
pub mod scale;
pub mod schedule;
pub mod target;
#[cfg(target_os = "linux")]
pub mod udp;
pub mod verify;
