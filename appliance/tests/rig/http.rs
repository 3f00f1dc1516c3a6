//! As much of an HTTP client as the rig needs.

use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::netns::Namespace;

/// Asks `address` in `ns` for `target` and returns the body.
pub fn get(ns: &Namespace, address: &str, target: &str) -> Result<String> {
    let mut stream = ns.enter(|| {
        TcpStream::connect(address).with_context(|| format!("connecting to {address}"))
    })?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {target} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    body(stream, target)
}

/// Asks the Unix socket at `path` to do `target` and returns the body.
pub fn post(path: &Path, target: &str) -> Result<String> {
    let mut stream =
        UnixStream::connect(path).with_context(|| format!("connecting to {}", path.display()))?;
    write!(
        stream,
        "POST {target} HTTP/1.0\r\nHost: hawser\r\nContent-Length: 0\r\n\r\n"
    )?;
    body(stream, target)
}

fn body(mut stream: impl Read, target: &str) -> Result<String> {
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an HTTP answer")?;
    ensure!(
        head.lines()
            .next()
            .is_some_and(|line| line.contains(" 200 ")),
        "{target}: {answer}"
    );
    Ok(body.to_owned())
}
