//! The NAT in front of one branch: a socket of its own for every mapping.
//!
//! Outside it is an address of this machine with a port that the system chooses; inside, the branch sees
//! its own address. Dropping the mappings is a rebind: the next packet out makes new ones, on
//! other ports, and what still arrives on the old ones is lost.

use socket2::SockRef;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::Instant;

/// A datagram of the gateway that came through the NAT.
pub(crate) struct Arrived {
    /// The branch's address and port.
    pub(crate) local: SocketAddr,
    /// What it carries.
    pub(crate) payload: Vec<u8>,
}

/// One inside address and port, seen outside as the socket's.
struct Mapping {
    inside: SocketAddr,
    socket: Rc<UdpSocket>,
    reader: AbortHandle,
}

impl Drop for Mapping {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// The NAT of one branch.
pub(crate) struct Nat {
    outside: IpAddr,
    mappings: Vec<Mapping>,
    arrivals: mpsc::UnboundedSender<Arrived>,
    dark_until: Instant,
}

impl Nat {
    /// A NAT without mappings that is seen as `outside`, and where what comes through it comes out.
    pub(crate) fn new(outside: IpAddr) -> (Self, mpsc::UnboundedReceiver<Arrived>) {
        let (arrivals, out) = mpsc::unbounded_channel();
        (
            Self {
                outside,
                mappings: Vec::new(),
                arrivals,
                dark_until: Instant::now(),
            },
            out,
        )
    }

    /// Loses every mapping.
    pub(crate) fn forget(&mut self) {
        self.mappings.clear();
    }

    /// Loses every mapping, and every packet until then.
    pub(crate) fn go_dark(&mut self, until: Instant) {
        self.forget();
        self.dark_until = until;
    }

    /// Whether packets go nowhere.
    pub(crate) fn is_dark(&self) -> bool {
        Instant::now() < self.dark_until
    }

    /// The outside port of the mapping made last.
    pub(crate) fn port(&self) -> Option<u16> {
        let socket = self.mappings.last().map(|m| &m.socket)?;
        socket.local_addr().ok().map(|a| a.port())
    }

    /// Sends a datagram of the branch; gives whether it left.
    pub(crate) fn send(
        &mut self,
        inside: SocketAddr,
        gateway: SocketAddr,
        payload: &[u8],
    ) -> io::Result<bool> {
        if self.is_dark() {
            return Ok(false);
        }
        let known = self.mappings.iter().position(|m| m.inside == inside);
        let index = match known {
            Some(index) => index,
            None => self.map(inside, gateway)?,
        };
        // At once, where tokio would first have to learn that it can. A full socket is a lost packet.
        let socket = SockRef::from(&*self.mappings[index].socket);
        Ok(socket.send_to(payload, &gateway.into()).is_ok())
    }

    fn map(&mut self, inside: SocketAddr, gateway: SocketAddr) -> io::Result<usize> {
        let socket = std::net::UdpSocket::bind((self.outside, 0))?;
        socket.set_nonblocking(true)?;
        let socket = Rc::new(UdpSocket::from_std(socket)?);
        let reader = read(Rc::clone(&socket), gateway, inside, self.arrivals.clone());
        let reader = spawn_local(reader).abort_handle();
        self.mappings.push(Mapping {
            inside,
            socket,
            reader,
        });
        Ok(self.mappings.len() - 1)
    }
}

/// Takes in what the gateway sends to a mapping; what others send is filtered.
async fn read(
    socket: Rc<UdpSocket>,
    gateway: SocketAddr,
    local: SocketAddr,
    arrivals: mpsc::UnboundedSender<Arrived>,
) {
    let mut buffer = [0; 2048];
    loop {
        // An error is an ICMP message about a packet sent before: the next one may arrive.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let arrived = Arrived {
            local,
            payload: buffer[..length].to_vec(),
        };
        if from == gateway && arrivals.send(arrived).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    async fn rebinds() {
        let gateway = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = gateway.local_addr().unwrap();
        let inside = "192.168.1.100:4500".parse().unwrap();
        let (mut nat, mut arrivals) = Nat::new(at.ip());
        let mut buffer = [0; 16];
        let mut froms = Vec::new();
        for _ in 0..2 {
            assert!(nat.send(inside, at, b"ping").unwrap());
            let (_, from) = gateway.recv_from(&mut buffer).await.unwrap();
            gateway.send_to(b"pong", from).await.unwrap();
            let arrived = arrivals.recv().await.unwrap();
            assert_eq!((arrived.local, arrived.payload), (inside, b"pong".to_vec()));
            assert_eq!(nat.port(), Some(from.port()));
            froms.push(from);
            nat.forget();
        }
        assert_ne!(froms[0], froms[1]);
    }

    #[tokio::test]
    async fn a_rebind_changes_the_port_and_answers_find_back() {
        tokio::task::LocalSet::new().run_until(rebinds()).await;
    }
}
