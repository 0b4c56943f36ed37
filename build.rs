//! Generates the protobuf types of `proto/` into the build directory, without a `protoc` program.

use std::error::Error;

const SCHEMA: &str = "io/prometheus/client/metrics.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile([SCHEMA], ["proto"])?;
    prost_build::Config::new().compile_fds(descriptors)?;
    Ok(())
}
