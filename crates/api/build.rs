//! Generates the gRPC code from `proto/`, without `protoc`.

use std::path::{Path, PathBuf};
use std::{env, fs};

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let root = Path::new("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());

    let mut protos = Vec::new();
    collect(&root.join("trellis"), &mut protos)?;
    protos.sort();

    let mut compiler = protox::Compiler::new([root])?;
    compiler.include_imports(true).include_source_info(false).open_files(&protos)?;

    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    fs::write(out.join("descriptors.binpb"), compiler.encode_file_descriptor_set())?;

    tonic_prost_build::configure()
        // These carry secrets: `src/redacted.rs` prints them without.
        .skip_debug([
            ".trellis.shop.v1.CheckoutRequest",
            ".trellis.shop.v1.SignInRequest",
            ".trellis.shop.v1.SignInResponse",
            ".trellis.shop.v1.SignUpRequest",
            ".trellis.shop.v1.SignUpResponse",
            ".trellis.shop.v1.User",
            ".trellis.order.v1.CheckoutRequest",
            ".trellis.payment.v1.AuthorizePaymentRequest",
            ".trellis.user.v1.AuthenticateSessionRequest",
            ".trellis.user.v1.CreateSessionRequest",
            ".trellis.user.v1.CreateSessionResponse",
            ".trellis.user.v1.CreateUserRequest",
            ".trellis.user.v1.CreateUserResponse",
            ".trellis.user.v1.DeleteSessionRequest",
        ])
        .bytes(".trellis.event.v1.Event.payload")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

fn collect(folder: &Path, protos: &mut Vec<PathBuf>) -> Result<(), Error> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, protos)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            protos.push(path);
        }
    }
    Ok(())
}
