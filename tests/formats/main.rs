//! Every exposition format in, every exposition format out, over HTTP. Protobuf is written and read here by another
//! implementation than Catchment's.

#![allow(clippy::expect_used, clippy::panic, reason = "a test stops at its first fault")]

#[path = "../common/mod.rs"]
mod common;

mod across;
mod case;
mod kinds;
mod names;
mod native;
mod native_wire;
mod numbers;
mod projection;
mod random;
mod round_trips;
mod validity;
