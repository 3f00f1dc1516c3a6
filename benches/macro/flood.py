#!/usr/bin/env python3
"""What a flood of IKE_SA_INIT from spoofed addresses costs the tunnels that are up.

    python3 benches/macro/flood.py --hawser PATH [--rate 300000] [--seconds 20] [--branches 200] [--every 50] [--shards 1]

Takes root. A gateway in one network namespace, `hawser swarm` and the flood in another, a veth between them. The branches ping a host behind the
gateway through their tunnels, each every `--every` milliseconds; first without the flood, then under it. Prints a table: pings, those that were
lost, their median and 99th percentile, what of the flood was sent, what the gateway's admission sockets dropped, what it answered with a cookie.
The flood is one thread of this script on the last core; what it reaches is printed, not assumed.
"""

import argparse
import ctypes
import json
import os
import random
import socket
import struct
import subprocess
import tempfile
import time

HQ, NET = "hb-flood-hq", "hb-flood-net"
GATEWAY, OTHER = "192.0.2.1", "192.0.2.2"
SECRET = "bench of sixteen octets"
IKE = "aes128-sha1-modp1024"
PACKETS = 50_000
BURST = 300
METRICS = "127.0.0.1:9464"


def sh(line, check=True):
    return subprocess.run(line, shell=True, check=check, capture_output=True, text=True).stdout


def enter(namespace):
    """Moves this thread into a network namespace."""
    with open(f"/var/run/netns/{namespace}") as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), 0x40000000) != 0:
            raise OSError(ctypes.get_errno(), f"entering {namespace}")


def rig():
    tear_down()
    for line in (
        f"ip netns add {HQ}",
        f"ip netns add {NET}",
        f"ip -n {HQ} link add wan type veth peer name wan netns {NET}",
        f"ip -n {HQ} address add {GATEWAY}/24 dev wan",
        f"ip -n {NET} address add {OTHER}/24 dev wan",
        *(f"ip -n {name} link set {link} up" for name in (HQ, NET) for link in ("lo", "wan")),
        f"ip -n {HQ} route add default via {OTHER}",
        # The branches' NATs; and where the answers to the flood end.
        f"ip -n {NET} route add local 10.99.0.0/16 dev lo",
        f"ip -n {NET} route add blackhole 198.18.0.0/15",
        f"ip netns exec {NET} sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0",
    ):
        sh(line)


def tear_down():
    for name in (HQ, NET):
        sh(f"ip netns del {name}", check=False)


def start_gateway(args, directory):
    with open(f"{directory}/hq.toml", "w") as file:
        file.write(
            f"""shards = {args.shards}
[listen]
addresses = ["{GATEWAY}"]
native_esp = false
[metrics]
listen = "{METRICS}"
[[tenants]]
name = "default"
interface = "hb-tun"
addresses = ["192.168.100.1/24"]
[[ike_policies]]
name = "any"
proposals = ["{IKE}"]
[[templates]]
name = "branches"
local_identity = "hq"
ike_proposals = ["{IKE}"]
[[templates.children]]
name = "net"
proposals = ["aes128gcm16"]
local = ["192.168.100.0/24"]
remote = ["10.0.0.0/8"]
[[secrets]]
identity = "any"
template = "branches"
secret = "{SECRET}"
"""
        )
    return spawn(HQ, [args.hawser, "run", "--config", f"{directory}/hq.toml", "--socket", f"{directory}/sock"], f"{directory}/gateway.log")


def spawn(namespace, command, log):
    out = open(log, "w")
    return subprocess.Popen(["ip", "netns", "exec", namespace, *command], stdout=out, stderr=out)


def swarm(args, directory, hold):
    command = [args.hawser, "swarm", "--json", "--gateway", f"{GATEWAY}:4500", "--gateway-identity", "hq", "--branches", str(args.branches)]
    command += ["--rate", "200", "--hold", str(hold), "--secret", SECRET, "--ike", IKE, "--esp", "aes128gcm16", "--sources", "10.99.0.0/16"]
    command += ["--ping", "192.168.100.1", "--ping-every", str(args.every)]
    return spawn(NET, command, f"{directory}/swarm.json")


def init_request():
    """An IKE_SA_INIT of aes128-sha1-modp1024, as a branch sends it, with a SPI and values of its own."""
    def transform(more, kind, number, attribute=b""):
        return struct.pack("!BBHBBH", 3 if more else 0, 0, 8 + len(attribute), kind, 0, number) + attribute
    transforms = transform(1, 1, 12, struct.pack("!HH", 0x800E, 128)) + transform(1, 2, 2) + transform(1, 3, 2) + transform(0, 4, 2)
    proposal = struct.pack("!BBHBBBB", 0, 0, 8 + len(transforms), 1, 1, 0, 4) + transforms
    payloads = struct.pack("!BBH", 34, 0, 4 + len(proposal)) + proposal
    payloads += struct.pack("!BBHHH", 40, 0, 136, 2, 0) + random.randbytes(128)
    payloads += struct.pack("!BBH", 0, 0, 36) + random.randbytes(32)
    header = random.randbytes(8) + bytes(8) + struct.pack("!BBBBII", 33, 0x20, 34, 0x08, 0, 28 + len(payloads))
    return header + payloads


def checksum(octets):
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def frame(hardware):
    """One of them in a UDP datagram to port 500 from an address that answers do not come back from, with its Ethernet header."""
    message = init_request()
    udp = struct.pack("!HHHH", random.randrange(1024, 65536), 500, 8 + len(message), 0) + message
    source = bytes([198, random.choice((18, 19)), random.randrange(256), random.randrange(1, 255)])
    header = bytearray(struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + source + socket.inet_aton(GATEWAY))
    header[10:12] = struct.pack("!H", checksum(bytes(header)))
    return hardware + bytes(header) + udp


def flood(rate, seconds):
    """Sends; how many datagrams a second it was."""
    enter(NET)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    address = lambda name: bytes.fromhex(json.loads(sh(f"ip -j -n {name} link show wan"))[0]["address"].replace(":", ""))
    hardware = address(HQ) + address(NET) + b"\x08\x00"
    frames = [frame(hardware) for _ in range(PACKETS)]
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    wire.setsockopt(263, 20, 1)  # SOL_PACKET, PACKET_QDISC_BYPASS
    wire.bind(("wan", 0))
    send, sent, begin, refused = wire.send, 0, time.perf_counter(), 0
    while (elapsed := time.perf_counter() - begin) < seconds:
        if sent > elapsed * rate:
            continue
        at = sent % PACKETS
        for octets in frames[at : at + BURST]:
            try:
                send(octets)
            except OSError:
                refused += 1
        sent += BURST
    return (sent - refused) / seconds


def counters(directory):
    text = sh(f"ip netns exec {HQ} curl -s http://{METRICS}/metrics")
    sums = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            sums[name] = float(value)
    # The kernel's: the last column is what a socket had no room for.
    sockets = [line.split() for line in sh(f"ip netns exec {HQ} cat /proc/net/udp").splitlines()[1:]]
    sums["dropped"] = sum(int(fields[-1]) for fields in sockets)
    sums["dropped_4500"] = sum(int(fields[-1]) for fields in sockets if fields[1].endswith(":1194"))
    return sums


def measure(args, rate):
    rig()
    directory = tempfile.mkdtemp(prefix="hawser-flood-")
    gateway = start_gateway(args, directory)
    try:
        time.sleep(1.5)
        arrival = args.branches / 200 + 3
        branches = swarm(args, directory, args.seconds + 8)
        time.sleep(arrival)
        before = counters(directory)
        sent = flood_process(rate, args.seconds) if rate else time.sleep(args.seconds) or 0
        after = counters(directory)
        branches.wait(120)
        with open(f"{directory}/swarm.json") as file:
            text = file.read()
        report = json.loads(text[text.index("{") :])
    finally:
        gateway.terminate()
        try:
            gateway.wait(8)
        except subprocess.TimeoutExpired:
            gateway.kill()
        tear_down()
    grown = {name: after[name] - before.get(name, 0) for name in after}
    answered, lost = report["pings"]["count"], report["pings_lost"]
    row = [
        f"{sent:,.0f}", f"{grown['hawser_cookies_total'] / args.seconds:,.0f}", f"{grown['dropped'] / args.seconds:,.0f}", f"{grown['dropped_4500']:,.0f}",
        f"{report['up']} of {args.branches}", f"{answered:,}", f"{lost:,}", f"{100 * lost / max(answered + lost, 1):.3f}",
        f"{report['pings']['p50_ms']:.2f}", f"{report['pings']['p99_ms']:.2f}",
    ]
    print("| " + " | ".join(row) + " |", flush=True)


def flood_process(rate, seconds):
    """In a process of its own, which may change its namespace."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, str(flood(rate, seconds)).encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    return float(os.read(reading, 64) or b"nan")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--hawser", required=True)
    parser.add_argument("--rate", type=int, default=300_000)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--branches", type=int, default=200)
    parser.add_argument("--every", type=int, default=50)
    parser.add_argument("--shards", type=int, default=1)
    args = parser.parse_args()
    args.hawser = os.path.abspath(args.hawser)
    names = ["flood a second", "cookies a second", "not read a second", "of port 4500", "up", "pings answered", "lost", "lost, %", "p50 ms", "p99 ms"]
    print("| " + " | ".join(names) + " |\n|" + "---|" * len(names), flush=True)
    for rate in (0, args.rate):
        measure(args, rate)


main()
