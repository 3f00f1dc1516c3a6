//! Datagrams in numbers for the macro bench, where iperf3 would be the limit.
//!
//! `load send FROM TO SIZE SECONDS [PER_SECOND [PEERS TRAIN]]` sends IP packets of SIZE octets (or `imix`: 64, 576 and 1,400 octets, 7 to 4 to 1), each
//! alone, many a system call; TO is the first of PEERS hosts, 256 addresses from each other, of which each gets TRAIN packets in turn.
//! `load sink AT SECONDS` says how many packets and octets came, and in what time, from the first to the last.

use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSocketState};
use rustix::net::addr::SocketAddrArg as _;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};
use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error>;

/// Octets of IPv4 and UDP headers.
const HEADERS: usize = 28;
/// Octets of IP packets: the simple IMIX.
const IMIX: [usize; 12] = [64, 576, 64, 576, 64, 64, 576, 64, 576, 64, 64, 1400];
/// Packets in a system call.
const BATCH: usize = 64;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["send", from, to, size, seconds, rest @ ..] => {
            let sizes = match *size {
                "imix" => IMIX.to_vec(),
                size => vec![size.parse()?],
            };
            let number = |at: usize, or: u32| rest.get(at).map_or(Ok(or), |n| n.parse());
            let load = Load {
                from: from.parse()?,
                to: to.parse()?,
                sizes,
                seconds: seconds.parse()?,
                per_second: number(0, 0)?,
                peers: number(1, 1)?,
                train: number(2, BATCH as u32)?,
            };
            load.send()
        }
        ["sink", at, seconds] => sink(at, seconds.parse()?),
        _ => Err(
            "load send FROM TO SIZE SECONDS [PER_SECOND [PEERS TRAIN]] | load sink AT SECONDS"
                .into(),
        ),
    }
}

struct Load {
    from: Ipv4Addr,
    to: SocketAddrV4,
    sizes: Vec<usize>,
    seconds: f64,
    /// 0: as many as go.
    per_second: u32,
    peers: u32,
    train: u32,
}

impl Load {
    fn peer(&self, number: u32) -> SocketAddrAny {
        let ip = Ipv4Addr::from_bits(self.to.ip().to_bits() + (number << 8));
        SocketAddrV4::new(ip, self.to.port()).as_any()
    }

    fn send(&self) -> Result<(), Failure> {
        let socket = UdpSocket::bind((self.from, 0))?;
        let octets = [0x55; 1500];
        let peers: Vec<_> = (0..self.peers).map(|number| self.peer(number)).collect();
        let (begin, mut sent) = (Instant::now(), 0u32);
        while begin.elapsed().as_secs_f64() < self.seconds {
            if self.per_second > 0 {
                let due = f64::from(sent) / f64::from(self.per_second);
                let ahead = due - begin.elapsed().as_secs_f64();
                std::thread::sleep(Duration::from_secs_f64(ahead.max(0.0)));
            }
            let slices: [[IoSlice<'_>; 1]; BATCH] = std::array::from_fn(|i| {
                let size = self.sizes[(sent as usize + i) % self.sizes.len()];
                [IoSlice::new(&octets[..size - HEADERS])]
            });
            let mut controls: Vec<_> = (0..BATCH).map(|_| SendAncillaryBuffer::default()).collect();
            let mut messages: Vec<_> = (slices.iter().zip(&mut controls).zip(0u32..))
                .map(|((slice, control), i)| {
                    let peer = (sent + i) / self.train % self.peers;
                    MMsgHdr::new_with_addr(&peers[peer as usize], slice, control)
                })
                .collect();
            // Of what a full queue does not take nothing is sent again.
            let taken = sendmmsg(&socket, &mut messages, SendFlags::empty()).unwrap_or(1);
            sent = sent.wrapping_add(taken as u32);
        }
        println!("{sent}");
        Ok(())
    }
}

fn sink(at: &str, seconds: f64) -> Result<(), Failure> {
    let socket = UdpSocket::bind(at)?;
    let state = UdpSocketState::new((&socket).into())?;
    let mut buffers = vec![[0u8; 1 << 16]; BATCH_SIZE];
    let mut metas = [RecvMeta::default(); BATCH_SIZE];
    let (begin, mut first, mut last) = (Instant::now(), None, Instant::now());
    let (mut packets, mut octets) = (0, 0);
    while begin.elapsed().as_secs_f64() < seconds {
        let mut slices: Vec<_> = buffers.iter_mut().map(|b| IoSliceMut::new(b)).collect();
        let Ok(count) = state.recv((&socket).into(), &mut slices, &mut metas) else {
            std::thread::sleep(Duration::from_micros(200));
            continue;
        };
        last = Instant::now();
        first.get_or_insert(last);
        for meta in &metas[..count] {
            let count = meta.len.div_ceil(meta.stride.max(1));
            packets += count;
            octets += meta.len + HEADERS * count;
        }
    }
    let took = first.map_or(0.0, |first| (last - first).as_secs_f64());
    println!("{packets} {octets} {took}");
    Ok(())
}
