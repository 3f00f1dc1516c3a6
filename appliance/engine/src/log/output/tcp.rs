//! Syslog over TCP with octet counts (RFC 6587 3.4.1).

use super::datagram::{address, is_busy};
use super::{Progress, Sink, syslog};
use socket2::{SockRef, TcpKeepalive};
use std::io::{self, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a system call may wait, so that the end is seen.
const CALL: Duration = Duration::from_millis(200);
/// A server that takes nothing for so long is tried on another connection.
const SILENT: Duration = Duration::from_secs(60);

/// The server and the connection to it.
pub(super) struct Tcp {
    host: String,
    port: u16,
    stream: Option<TcpStream>,
}

impl Tcp {
    pub(super) fn new(host: String, port: u16) -> Self {
        Self {
            host,
            port,
            stream: None,
        }
    }

    /// The connection, made anew where the server has ended it.
    fn connected(&mut self) -> io::Result<TcpStream> {
        if let Some(stream) = self.stream.take()
            && is_open(&stream)
        {
            return Ok(stream);
        }
        let stream = TcpStream::connect_timeout(&address(&self.host, self.port)?, CONNECT)?;
        stream.set_write_timeout(Some(CALL))?;
        let socket = SockRef::from(&stream);
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(SILENT))?;
        socket.set_tcp_user_timeout(Some(SILENT))?;
        Ok(stream)
    }
}

/// A server does not speak: all that comes is the end.
fn is_open(stream: &TcpStream) -> bool {
    let mut octets = [std::mem::MaybeUninit::uninit(); 256];
    let flags = libc::MSG_DONTWAIT;
    match SockRef::from(stream).recv_with_flags(&mut octets, flags) {
        Ok(count) => count > 0,
        Err(error) => is_busy(&error),
    }
}

impl Sink for Tcp {
    fn write(&mut self, lines: &mut Progress<'_>) -> io::Result<()> {
        let mut stream = self.connected()?;
        // Behind a frame that was cut off nothing could be read: only a whole batch keeps the connection.
        let (mut message, mut frame) = (Vec::new(), Vec::new());
        for line in lines.left() {
            message.clear();
            syslog::message(line, &mut message);
            frame.clear();
            frame.extend_from_slice(format!("{} ", message.len()).as_bytes());
            frame.extend_from_slice(&message);
            send(&mut stream, &frame, lines)?;
            lines.written(1);
        }
        self.stream = Some(stream);
        Ok(())
    }
}

fn send(stream: &mut TcpStream, mut frame: &[u8], lines: &Progress<'_>) -> io::Result<()> {
    while !frame.is_empty() {
        match stream.write(frame) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => frame = &frame[count..],
            Err(error) if is_busy(&error) && lines.may_wait() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
