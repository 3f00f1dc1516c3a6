//! The admin socket's client.

use super::Remote;
use crate::admin::DEFAULT_SOCKET;
use crate::admin::api::Problem;
use anyhow::{Context as _, anyhow, bail};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::io::{self, Write as _};
use std::path::Path;
use tokio::net::UnixStream;

/// A request and what there is to say when it is answered.
pub(super) struct Call<'a> {
    method: Method,
    path: &'a str,
    query: Vec<(&'a str, &'a str)>,
}

impl<'a> Call<'a> {
    /// Reads something.
    pub(super) fn get(path: &'a str) -> Self {
        Self {
            method: Method::GET,
            path,
            query: Vec::new(),
        }
    }

    /// Does something.
    pub(super) fn post(path: &'a str) -> Self {
        Self {
            method: Method::POST,
            path,
            query: Vec::new(),
        }
    }

    /// Adds a parameter.
    pub(super) fn with(mut self, name: &'a str, value: &'a str) -> Self {
        self.query.push((name, value));
        self
    }

    fn uri(&self) -> String {
        let pairs = self
            .query
            .iter()
            .map(|(n, v)| format!("{n}={}", escaped(v)));
        let query = pairs.collect::<Vec<_>>().join("&");
        if query.is_empty() {
            self.path.to_owned()
        } else {
            format!("{}?{query}", self.path)
        }
    }
}

/// Asks, prints the answer as JSON where that is wanted, and gives it back.
pub(super) fn ask<T: DeserializeOwned>(remote: &Remote, call: &Call<'_>) -> anyhow::Result<T> {
    let value: Value = block_on(async {
        let body = send(&remote.socket, call)
            .await?
            .into_body()
            .collect()
            .await?
            .to_bytes();
        serde_json::from_slice(&body).context("the gateway's answer is not JSON")
    })?;
    if remote.json {
        print(&format!("{value:#}\n"))?;
    }
    serde_json::from_value(value).context("the gateway's answer is of another version")
}

/// Asks, and hands over the lines of the answer as they come.
pub(super) fn follow(
    remote: &Remote,
    call: &Call<'_>,
    mut line: impl FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut rest = Vec::new();
    read(remote, call, |octets| {
        rest.extend_from_slice(octets);
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            line(&String::from_utf8_lossy(&rest[..end]))?;
            rest.drain(..=end);
        }
        Ok(())
    })
}

/// Asks, and hands over the octets of the answer as they come.
pub(super) fn read(
    remote: &Remote,
    call: &Call<'_>,
    mut octets: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    block_on(async {
        let mut body = send(&remote.socket, call).await?.into_body();
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame.context("the gateway went away")?.into_data() {
                octets(&data)?;
            }
        }
        Ok(())
    })
}

/// Writes to the standard output; a closed pipe is an error, not a panic.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(future)
}

async fn send(socket: &Path, call: &Call<'_>) -> anyhow::Result<Response<Incoming>> {
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|error| unreachable(socket, &error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::builder()
        .method(call.method.clone())
        .uri(call.uri())
        .header("host", "hawser")
        .body(Full::<Bytes>::default())?;
    let response = sender
        .send_request(request)
        .await
        .context("the gateway did not answer")?;
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) => bail!("{problem}"),
        Err(_) => bail!("the gateway answered {status}"),
    }
}

/// Why nobody answers, and what to do about it.
fn unreachable(socket: &Path, error: &io::Error) -> anyhow::Error {
    let path = socket.display();
    let elsewhere = if socket == Path::new(DEFAULT_SOCKET) {
        String::new()
    } else {
        format!(" --socket {path}")
    };
    let start = format!("`hawser run --config FILE{elsewhere}` starts one");
    match error.kind() {
        io::ErrorKind::NotFound => {
            anyhow!("no gateway runs: {path} is not there; {start}, --socket names another path")
        }
        io::ErrorKind::ConnectionRefused => {
            anyhow!("no gateway runs: the one that made {path} has ended; {start}")
        }
        io::ErrorKind::PermissionDenied => {
            anyhow!("{path} may be opened only by who runs the gateway: try `sudo`")
        }
        _ => anyhow!("no gateway answers on {path}: {error}; {start}"),
    }
}

/// A value of a query, escaped (RFC 3986 2.1).
fn escaped(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/:".contains(&b);
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_that_is_not_there_is_started_with_a_command() {
        let told = |kind, path| unreachable(Path::new(path), &io::Error::from(kind)).to_string();
        let missing = told(io::ErrorKind::NotFound, "/tmp/x.sock");
        let start = "`hawser run --config FILE --socket /tmp/x.sock` starts one";
        assert!(missing.contains(start), "{missing}");
        let ended = told(io::ErrorKind::ConnectionRefused, DEFAULT_SOCKET);
        assert!(
            ended.contains("`hawser run --config FILE` starts"),
            "{ended}"
        );
        let denied = told(io::ErrorKind::PermissionDenied, DEFAULT_SOCKET);
        assert!(denied.contains("sudo"), "{denied}");
    }

    #[test]
    fn queries_are_escaped() {
        let call = Call::get("/v1/peer")
            .with("peer", "120.208.142.17/8192")
            .with("x", "a&b ü");
        assert_eq!(
            call.uri(),
            "/v1/peer?peer=120.208.142.17/8192&x=a%26b%20%C3%BC"
        );
        assert_eq!(Call::get("/v1/status").uri(), "/v1/status");
    }
}
