//! Encodes each world of `sdk/wit` as the custom section that makes a core module a component of
//! that world.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use wit_component::{StringEncoding, metadata};
use wit_parser::Resolve;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let wit = "../wit";
    println!("cargo::rerun-if-changed={wit}");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let mut source = String::new();
    for world in ["dpd-policy", "peer-authorization", "log-format"] {
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_dir(Path::new(wit))?;
        let id = resolve.select_world(&[package], Some(world))?;
        let section = metadata::encode(&resolve, id, StringEncoding::UTF8, None)?;
        std::fs::write(out.join(world), &section)?;
        let (name, length) = (world.replace('-', "_").to_uppercase(), section.len());
        writeln!(
            source,
            "pub const {name}: [u8; {length}] = *include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{world}\"));"
        )?;
    }
    std::fs::write(out.join("worlds.rs"), source)?;
    Ok(())
}
