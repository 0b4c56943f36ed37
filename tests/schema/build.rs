//! Generates the `protobuf` crate's types of `proto/` into the build directory.

const PROTO: &str = "../../proto";

fn main() {
    println!("cargo:rerun-if-changed={PROTO}");
    protobuf_codegen::Codegen::new()
        .pure()
        .include(PROTO)
        .input(format!("{PROTO}/io/prometheus/client/metrics.proto"))
        .cargo_out_dir("generated")
        .run_from_script();
}
