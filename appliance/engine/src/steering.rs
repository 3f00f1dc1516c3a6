//! Which socket of a reuseport group a datagram lands on (DESIGN.md, *Bucket in the SPI*).
//!
//! A group has the sockets of N shards and then N sockets for admission, in the order they were
//! bound, and on the NAT traversal port one more for keepalives: these wake nobody. Its classic BPF program sees the UDP payload and returns the index of a socket: what
//! carries a SPI of ours goes to the shard of its bucket, an IKE_SA_INIT request to an admission
//! socket, so that a flood of them cannot fill the buffers that ESP arrives in.

use libc::sock_filter;

/// Which of the two ports a group serves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Port {
    /// 500: IKE without marker.
    Ike,
    /// 4500: ESP, or IKE behind the non-ESP marker (RFC 3948 2.2).
    Nat,
}

impl Port {
    /// Where the IKE header begins.
    const fn ike_offset(self) -> u32 {
        match self {
            Self::Ike => 0,
            Self::Nat => 4,
        }
    }
}

// Offsets in the IKE header (RFC 7296 3.1).
const SPI_I: u32 = 0;
const SPI_I_LAST: u32 = 7;
const SPI_R: u32 = 8;
const FLAGS: u32 = 19;
const IKE_HEADER_LEN: u32 = 28;
/// The sender is the original initiator of the IKE SA: SPIr is ours.
const FLAG_INITIATOR: u32 = 0x08;

const LD_LEN: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_LEN) as u16;
const LD_WORD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const LD_BYTE: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16;
const LD_BYTE_AT_X: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_IND) as u16;
const LDX_IP_HEADER_LEN: u16 = (libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH) as u16;
const JUMP_GE: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const JUMP_EQ: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const JUMP_SET: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
const MOD: u16 = (libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K) as u16;
const ADD: u16 = (libc::BPF_ALU | libc::BPF_ADD | libc::BPF_K) as u16;
const RETURN_A: u16 = (libc::BPF_RET | libc::BPF_A) as u16;
const RETURN_K: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// One instruction, with names instead of jump distances.
enum Line {
    Label(&'static str),
    Do(u16, u32),
    /// Code, operand, where to if true, where to if false; "" is the next line.
    Jump(u16, u32, &'static str, &'static str),
}
use Line::{Do, Jump, Label};

/// The program for a group of `shards` shard sockets followed by as many admission sockets.
pub(crate) fn program(port: Port, shards: u8) -> Vec<sock_filter> {
    assemble(&match port {
        Port::Ike => ike(0, shards),
        Port::Nat => [esp_or_marker(shards), ike(Port::Nat.ike_offset(), shards)].concat_lines(),
    })
}

/// Port 4500: the first word is a SPI, or zero as marker of IKE. The length comes first: a load
/// past the end would return socket 0. One octet is a keepalive, or nothing of use.
fn esp_or_marker(shards: u8) -> Vec<Line> {
    vec![
        Do(LD_LEN, 0),
        Jump(JUMP_EQ, 1, "", "longer"),
        Do(RETURN_K, 2 * u32::from(shards)),
        Label("longer"),
        Jump(JUMP_GE, 4, "", "too short"),
        Do(LD_WORD, 0),
        Jump(JUMP_EQ, 0, "ike", ""),
        Do(LD_BYTE, 0),
        Do(MOD, shards.into()),
        Do(RETURN_A, 0),
    ]
}

/// An IKE header at offset `at`.
fn ike(at: u32, shards: u8) -> Vec<Line> {
    let n = u32::from(shards);
    vec![
        Label("ike"),
        Do(LD_LEN, 0),
        Jump(JUMP_GE, at + IKE_HEADER_LEN, "", "too short"),
        Do(LD_BYTE, at + FLAGS),
        Jump(JUMP_SET, FLAG_INITIATOR, "spi r", ""),
        // We are the original initiator: SPIi is ours, also before there is a SPIr.
        Do(LD_BYTE, at + SPI_I),
        Do(MOD, n),
        Do(RETURN_A, 0),
        Label("spi r"),
        Do(LD_WORD, at + SPI_R),
        Jump(JUMP_EQ, 0, "", "ours"),
        Do(LD_WORD, at + SPI_R + 4),
        Jump(JUMP_EQ, 0, "admission", ""),
        Label("ours"),
        Do(LD_BYTE, at + SPI_R),
        Do(MOD, n),
        Do(RETURN_A, 0),
        Label("admission"),
        Do(LD_BYTE, at + SPI_I_LAST),
        Do(MOD, n),
        Do(ADD, n),
        Do(RETURN_A, 0),
        Label("too short"),
        Do(RETURN_K, n),
    ]
}

/// The filter of a raw ESP socket: everything for `shard` and nothing else. Raw sockets of IPv4
/// see the IP header, those of IPv6 do not. What is too short for a SPI goes to shard 0, to be
/// counted.
pub(crate) fn raw_filter(v4: bool, shard: u8, shards: u8) -> Vec<sock_filter> {
    let all = u32::MAX;
    let spi = match v4 {
        // The shortest IPv4 header and a SPI; with options more is needed, and the load past the
        // end drops what has not got it.
        true => vec![
            Do(LD_LEN, 0),
            Jump(JUMP_GE, 24, "", "too short"),
            Do(LDX_IP_HEADER_LEN, 0),
            Do(LD_BYTE_AT_X, 0),
        ],
        false => vec![
            Do(LD_LEN, 0),
            Jump(JUMP_GE, 4, "", "too short"),
            Do(LD_BYTE, 0),
        ],
    };
    let choice = vec![
        Do(MOD, shards.into()),
        Jump(JUMP_EQ, shard.into(), "", "other"),
        Do(RETURN_K, all),
        Label("other"),
        Do(RETURN_K, 0),
        Label("too short"),
        Do(RETURN_K, if shard == 0 { all } else { 0 }),
    ];
    assemble(&[spi, choice].concat_lines())
}

trait ConcatLines {
    fn concat_lines(self) -> Vec<Line>;
}

impl ConcatLines for [Vec<Line>; 2] {
    fn concat_lines(self) -> Vec<Line> {
        self.into_iter().flatten().collect()
    }
}

/// Turns names into distances. Every name used above exists, and no program is longer than a jump.
fn assemble(lines: &[Line]) -> Vec<sock_filter> {
    let mut labels = Vec::new();
    let mut next = 0u8;
    for line in lines {
        match line {
            Label(name) => labels.push((*name, next)),
            Do(..) | Jump(..) => next += 1,
        }
    }
    let distance = |from: usize, name: &str| {
        let target = labels.iter().find(|(label, _)| *label == name);
        target.map_or(0, |(_, at)| at - from as u8 - 1)
    };
    let mut program = Vec::with_capacity(next.into());
    for line in lines {
        let here = program.len();
        match *line {
            Label(_) => {}
            Do(code, k) => program.push(sock_filter {
                code,
                jt: 0,
                jf: 0,
                k,
            }),
            Jump(code, k, yes, no) => {
                let (jt, jf) = (distance(here, yes), distance(here, no));
                program.push(sock_filter { code, jt, jf, k });
            }
        }
    }
    program
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// Runs a program as the kernel does: a load past the end ends it with 0.
    fn run(program: &[sock_filter], packet: &[u8]) -> u32 {
        let byte = |at: u32| packet.get(at as usize).copied().map(u32::from);
        let (mut a, mut x, mut pc) = (0u32, 0u32, 0usize);
        loop {
            let i = &program[pc];
            pc += 1;
            let jump = |yes: bool| usize::from(if yes { i.jt } else { i.jf });
            match i.code {
                LD_LEN => a = packet.len() as u32,
                LD_WORD => {
                    let Some(word) = packet.get(i.k as usize..i.k as usize + 4) else {
                        return 0;
                    };
                    a = u32::from_be_bytes(word.try_into().unwrap());
                }
                LD_BYTE => match byte(i.k) {
                    Some(b) => a = b,
                    None => return 0,
                },
                LD_BYTE_AT_X => match byte(i.k + x) {
                    Some(b) => a = b,
                    None => return 0,
                },
                LDX_IP_HEADER_LEN => match byte(i.k) {
                    Some(b) => x = 4 * (b & 15),
                    None => return 0,
                },
                JUMP_GE => pc += jump(a >= i.k),
                JUMP_EQ => pc += jump(a == i.k),
                JUMP_SET => pc += jump(a & i.k != 0),
                MOD => a %= i.k,
                ADD => a += i.k,
                RETURN_A => return a,
                RETURN_K => return i.k,
                other => panic!("unknown code {other:#x}"),
            }
        }
    }

    /// DESIGN.md's rule in plain words, to compare with.
    pub(crate) fn expected(port: Port, n: u32, d: &[u8]) -> u32 {
        let ike = match port {
            Port::Ike => d,
            Port::Nat if d.len() == 1 => return 2 * n,
            Port::Nat if d.len() < 4 => return n,
            Port::Nat if d[..4] != [0; 4] => return u32::from(d[0]) % n,
            Port::Nat => &d[4..],
        };
        if ike.len() < 28 {
            n
        } else if ike[19] & 8 == 0 {
            u32::from(ike[0]) % n
        } else if ike[8..16] == [0; 8] {
            n + u32::from(ike[7]) % n
        } else {
            u32::from(ike[8]) % n
        }
    }

    #[test]
    fn named_datagrams_go_where_they_must() {
        let n = 4;
        let mut init = [0u8; 28];
        init[..8].copy_from_slice(&[0xaa, 1, 2, 3, 4, 5, 6, 7]);
        init[19] = 8;
        let ike = |d: &[u8]| run(&program(Port::Ike, n), d);
        let nat = |d: &[u8]| run(&program(Port::Nat, n), d);
        let marked = |d: &[u8]| nat(&[&[0; 4], d].concat());

        assert_eq!(
            (ike(&init), marked(&init)),
            (4 + 3, 4 + 3),
            "a request without SPIr"
        );
        init[19] = 0x20;
        assert_eq!(
            (ike(&init), marked(&init)),
            (2, 2),
            "a COOKIE answer to our request"
        );
        init[19] = 8;
        init[15] = 1;
        assert_eq!(
            (ike(&init), marked(&init)),
            (0, 0),
            "SPIr with only the last byte"
        );
        init[8] = 7;
        assert_eq!((ike(&init), marked(&init)), (3, 3), "SPIr");
        assert_eq!(nat(&[9, 0, 0, 0, 0, 0, 0, 1]), 1, "ESP");
        assert_eq!(
            (nat(&[0xff]), nat(&[1, 2]), nat(&[]), ike(&[0xff])),
            (8, 4, 4, 4),
            "keepalive, nothing of use"
        );
        assert_eq!(ike(&init[..27]), 4, "cut");
        assert_eq!(marked(&init[..27]), 4, "cut behind the marker");
    }

    proptest! {
        #[test]
        fn the_program_is_the_rule(
            n in 1u8..=128,
            nat: bool,
            marker: bool,
            no_spi_r: bool,
            mut d in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let port = if nat { Port::Nat } else { Port::Ike };
            if marker {
                d.iter_mut().take(4).for_each(|b| *b = 0);
            }
            if no_spi_r {
                d.iter_mut().skip(8 + port.ike_offset() as usize).take(8).for_each(|b| *b = 0);
            }
            prop_assert_eq!(run(&program(port, n), &d), expected(port, n.into(), &d));
        }

        #[test]
        fn exactly_one_raw_socket_takes_a_packet(
            n in 1u8..=16,
            options in 0u8..=10,
            spi: [u8; 4],
        ) {
            let mut v4 = vec![0u8; usize::from(20 + 4 * options)];
            v4[0] = 0x45 + options;
            v4.extend_from_slice(&spi);
            for shard in 0..n {
                let want = if spi[0] % n == shard { u32::MAX } else { 0 };
                prop_assert_eq!(run(&raw_filter(true, shard, n), &v4), want);
                prop_assert_eq!(run(&raw_filter(false, shard, n), &spi), want);
            }
        }
    }

    #[test]
    fn what_is_too_short_for_a_spi_goes_to_shard_0() {
        assert_eq!(run(&raw_filter(false, 0, 3), &[1, 2]), u32::MAX);
        assert_eq!(run(&raw_filter(false, 1, 3), &[1, 2]), 0);
        assert_eq!(run(&raw_filter(true, 0, 3), &[0x45; 22]), u32::MAX);
    }
}
