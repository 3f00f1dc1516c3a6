//! The relay of the macro bench: `relay INTERFACE LOCAL:PORT REMOTE:PORT [--no-offload]`.

use std::net::SocketAddr;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [interface, local, remote, rest @ ..] = arguments.as_slice() else {
        return Err("relay INTERFACE LOCAL:PORT REMOTE:PORT [--no-offload]".into());
    };
    let (local, remote): (SocketAddr, SocketAddr) = (local.parse()?, remote.parse()?);
    let offload = !rest.iter().any(|argument| argument == "--no-offload");
    hawser_engine::relay::run(interface, local, remote, offload)?;
    Ok(())
}
