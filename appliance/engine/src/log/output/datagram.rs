//! Syslog, a datagram a line: over UDP (RFC 5426) and to a socket of this machine.

use super::{Progress, Sink, syslog};
use hawser_policy::SyslogServer;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

/// How long a system call may wait, so that the end is seen.
const CALL: Duration = Duration::from_millis(200);
/// A name is looked up again after this time.
const LOOKED_UP: Duration = Duration::from_secs(600);

/// The server and how it is reached now.
pub(super) struct Datagrams {
    server: SyslogServer,
    socket: Option<(Socket, Instant)>,
}

enum Socket {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl Datagrams {
    pub(super) fn new(server: SyslogServer) -> Self {
        Self {
            server,
            socket: None,
        }
    }

    fn open(&self) -> io::Result<Socket> {
        match &self.server {
            SyslogServer::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                socket.set_write_timeout(Some(CALL))?;
                Ok(Socket::Unix(socket))
            }
            SyslogServer::Udp(host, port) | SyslogServer::Tcp(host, port) => {
                let server = address(host, *port)?;
                let local: SocketAddr = match server {
                    SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                    SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
                };
                let socket = UdpSocket::bind(local)?;
                socket.connect(server)?;
                socket.set_write_timeout(Some(CALL))?;
                Ok(Socket::Udp(socket))
            }
        }
    }

    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let fresh = |(_, since): &(Socket, Instant)| since.elapsed() < LOOKED_UP;
        let open = match self.socket.take().filter(fresh) {
            Some(open) => open,
            None => (self.open()?, Instant::now()),
        };
        let sent = match &open.0 {
            Socket::Udp(socket) => socket.send(message),
            Socket::Unix(socket) => socket.send(message),
        };
        // After an error, one for a full queue aside, the server is looked for anew.
        if sent.as_ref().map_or_else(is_busy, |_| true) {
            self.socket = Some(open);
        }
        sent.map(drop)
    }
}

/// The first address of a server.
pub(super) fn address(host: &str, port: u16) -> io::Result<SocketAddr> {
    let mut all = (host, port).to_socket_addrs()?;
    all.next()
        .ok_or_else(|| io::Error::other(format!("{host} has no address")))
}

/// Whether a system call has waited as long as it may.
pub(super) fn is_busy(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}

impl Sink for Datagrams {
    fn write(&mut self, lines: &mut Progress<'_>) -> io::Result<()> {
        let mut message = Vec::new();
        for line in lines.left() {
            message.clear();
            syslog::message(line, &mut message);
            loop {
                match self.send(&message) {
                    Ok(()) => lines.written(1),
                    // No datagram is so long.
                    Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => lines.skip(),
                    Err(error) if is_busy(&error) && lines.may_wait() => continue,
                    Err(error) => return Err(error),
                }
                break;
            }
        }
        Ok(())
    }
}
