#!/usr/bin/env python3
"""Throughput, cost and latency of Hawser and of its peers, side by side in one run, between two network namespaces on a veth.

    python3 benches/macro/run.py --hawser PATH --null PATH --relay PATH --load PATH [--wireguard-go PATH] [--wireguard-go-no-offload PATH]
        [--boringtun PATH] [--strongswan] [--no-offload | --offload] [--seconds 3] [--rounds 1] [--only NAME,...] [--loads NAME,...]
        [--keep FILE] [--perf NAME]

Takes root and iperf3. Both gateways, the load and its sink share the machine: only ratios of one run mean something. Each gateway is one shard; the
two are given a core each.

Paths: `plain` (L0: no tunnel), `relay` (L1: TUN to UDP and back in clear, Hawser's own I/O path: `cargo build --release -p hawser-engine --example
relay --features relay`), `null` (L2: Hawser, with AES-GCM in name only: `cargo build --release -p hawser -p hawser-crypto --features
hawser-crypto/null-cipher`), `gcm`, `chacha`, `cbc-sha1` (L3), and the peers. With `--no-offload` nothing is a super-packet on either side: Hawser and the relay
get the option of that name, wireguard-go (which has none) is a build without IFF_VNET_HDR, UDP GSO and GRO; the other peers have no offloads anyway.

Loads: `tcp1`, `tcp8` (streams of iperf3), `back1`, `back8` (the other way), `udp64`, `imix`, `udp1400` (`benches/examples/load.rs`: octets of the inner IP packet; as
fast as it goes), `idle` and `busy` (pings, without and with 20,000 packets a second of 576 octets beside them). `peers1`, `peers1000`: 20,000 packets a second of 64 octets from
the inside to so many branches of `hawser swarm`, four to each in turn.

Printed, medians of the rounds: Mbit/s of IP packets or payload received and gigabytes of it per CPU-second of both gateways (TCP); thousand packets received a second and per
CPU-second of both gateways, in thousands (UDP); of pings the median and the 99th percentile in microseconds. Then the same as ratios to `null` and to wireguard-go. `--keep FILE` collects rounds
of several calls: print them with `--report FILE`.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

A, B = "hb-a", "hb-b"
OUTER = {A: "192.0.2.1", B: "192.0.2.2"}
INNER = {A: "10.77.1.1", B: "10.77.2.1"}
CORE = {A: "0", B: "1"}
PORT = 5301
METRICS = "127.0.0.1:9464"
SUITES = {
    "gcm": "aes128gcm16",
    "chacha": "chacha20poly1305",
    "cbc-sha1": "aes128-sha1",
}
# Private keys (clamped) and public keys of X25519 for WireGuard, made for this bench.
KEYS = {
    A: ("0001" + "01" * 29 + "41", "a4e09292b651c278b9772c569f5fa9bb13d906b46ab68c9df9dc2b4409f8a209"),
    B: ("0002" + "02" * 29 + "42", "ce8d3ad1ccb633ec7b70c17814a5c76ecd029685050d344745ba05870e587d59"),
}


def sh(line, check=True):
    return subprocess.run(line, shell=True, check=check, capture_output=True, text=True).stdout


def spawn(ns, command, log, env=None):
    out = open(log, "w")
    return subprocess.Popen(["ip", "netns", "exec", ns, *command], stdout=out, stderr=out, env={**os.environ, **(env or {})})


def other(ns):
    return B if ns == A else A


def world():
    for ns in (A, B):
        sh(f"ip netns del {ns}", check=False)
        sh(f"ip netns add {ns} && ip -n {ns} link set lo up")
    sh(f"ip link add hb0 netns {A} type veth peer name hb0 netns {B}")
    for ns in (A, B):
        sh(f"ip -n {ns} addr add {OUTER[ns]}/24 dev hb0 && ip -n {ns} link set hb0 up")


class Plain:
    """No tunnel, the inner addresses on the veth."""

    def start(self, directory):
        for ns in (A, B):
            sh(f"ip -n {ns} addr add {INNER[ns]}/32 dev lo")
            sh(f"ip -n {ns} route add {INNER[other(ns)]} dev hb0 src {INNER[ns]}")
        return []


class Relay:
    """TUN to UDP and back, in clear."""

    def __init__(self, program, offload):
        self.program, self.offload = program, offload

    def start(self, directory):
        processes = []
        for ns in (A, B):
            command = ["taskset", "-c", CORE[ns], self.program, "hb-tun", f"{OUTER[ns]}:4500", f"{OUTER[other(ns)]}:4500"]
            processes.append(spawn(ns, command + ([] if self.offload else ["--no-offload"]), f"{directory}/{ns}.log"))
        time.sleep(0.5)
        for ns in (A, B):
            sh(f"ip -n {ns} addr add {INNER[ns]}/32 dev hb-tun && ip -n {ns} link set hb-tun mtu 1400 up")
            sh(f"ip -n {ns} route add {INNER[other(ns)]} dev hb-tun src {INNER[ns]}")
        return processes


class Hawser:
    def __init__(self, program, proposal, offload):
        self.program, self.proposal, self.offload = program, proposal, offload

    def config(self, ns):
        peer = other(ns)
        initiate = f'[templates.initiate]\nremote = "{OUTER[peer]}:500"\nidentity = "{peer}"\nsecret = "bench of sixteen octets"\n'
        secrets = '[[secrets]]\nidentity = "any"\ntemplate = "bench"\nsecret = "bench of sixteen octets"\n'
        return f"""
shards = 1
[listen]
addresses = ["{OUTER[ns]}"]
native_esp = false
[[tenants]]
name = "default"
interface = "hb-tun"
addresses = ["{INNER[ns]}/32"]
[[ike_policies]]
name = "any"
proposals = ["aes128-sha256-x25519"]
[[templates]]
name = "bench"
local_identity = "{ns}"
ike_proposals = ["aes128-sha256-x25519"]
[[templates.children]]
name = "net"
proposals = ["{self.proposal}"]
local = ["{INNER[ns]}/32"]
remote = ["{INNER[peer]}/32"]
{initiate if ns == B else secrets}
"""

    def start(self, directory):
        processes = []
        for ns in (A, B):
            path = f"{directory}/{ns}.toml"
            with open(path, "w") as file:
                file.write(self.config(ns))
            command = ["taskset", "-c", CORE[ns], self.program, "run", "--config", path, "--socket", f"{directory}/{ns}.sock", "--state", directory]
            command += [] if self.offload else ["--no-offload"]
            processes.append(spawn(ns, command, f"{directory}/{ns}.log"))
            time.sleep(0.7)
        return processes


class Hub(Hawser):
    """A gateway at A, and a swarm of so many branches at B."""

    def __init__(self, program, proposal, offload, branches):
        super().__init__(program, proposal, offload)
        self.branches = branches

    def config(self, ns):
        text = super().config(A).replace(f'remote = ["{INNER[B]}/32"]', 'remote = ["10.0.0.0/8"]')
        return text + f'[metrics]\nlisten = "{METRICS}"\n'

    def start(self, directory):
        path = f"{directory}/hub.toml"
        with open(path, "w") as file:
            file.write(self.config(A))
        command = ["taskset", "-c", CORE[A], self.program, "run", "--config", path, "--socket", f"{directory}/hub.sock", "--state", directory]
        gateway = spawn(A, command + ([] if self.offload else ["--no-offload"]), f"{directory}/hub.log")
        time.sleep(0.7)
        command = ["taskset", "-c", CORE[B], self.program, "swarm", "--gateway", f"{OUTER[A]}:4500", "--gateway-identity", A, "--branches", str(self.branches)]
        command += ["--rate", "400", "--hold", "600", "--secret", "bench of sixteen octets", "--ike", "aes128-sha256-x25519", "--esp", self.proposal]
        self.swarm = spawn(B, command + ["--network", f"{INNER[A]}/32"], f"{directory}/swarm.log")
        time.sleep(2.5 + self.branches / 400)
        return [gateway]


class WireGuard:
    def __init__(self, command):
        self.command = command

    def start(self, directory):
        processes = []
        for ns in (A, B):
            name = f"wg{ns[-1]}"
            processes.append(spawn(ns, [*self.command, name], f"{directory}/{ns}.log", {"WG_PROCESS_FOREGROUND": "1"}))
        time.sleep(1)
        for ns in (A, B):
            name, peer = f"wg{ns[-1]}", other(ns)
            configure = (
                f"set=1\nprivate_key={KEYS[ns][0]}\nlisten_port=51820\npublic_key={KEYS[peer][1]}\n"
                f"endpoint={OUTER[peer]}:51820\nallowed_ip={INNER[peer]}/32\n\n"
            )
            with socket.socket(socket.AF_UNIX) as uapi:
                uapi.connect(f"/var/run/wireguard/{name}.sock")
                uapi.sendall(configure.encode())
                answer = uapi.recv(4096)
                assert b"errno=0" in answer, answer
            sh(f"ip -n {ns} addr add {INNER[ns]}/32 dev {name} && ip -n {ns} link set {name} mtu 1400 up")
            sh(f"ip -n {ns} route add {INNER[peer]} dev {name}")
        return processes


class StrongSwan:
    """Userland ESP (kernel-libipsec)."""

    PLUGINS = (
        "random nonce aes sha1 sha2 hmac pem pkcs1 pkcs8 x509 pubkey openssl gmp curve25519 gcm kdf "
        "kernel-libipsec kernel-netlink socket-default vici updown counters"
    )

    def __init__(self, proposal):
        self.proposal = proposal

    def start(self, directory):
        processes = []
        for ns in (A, B):
            peer, own = other(ns), f"{directory}/{ns}"
            os.makedirs(own)
            sh(f"ip -n {ns} addr add {INNER[ns]}/32 dev lo")
            with open(f"{own}/strongswan.conf", "w") as file:
                file.write(
                    f"charon-systemd {{\n load = {self.PLUGINS}\n plugins {{\n vici {{\n socket = unix://{own}/vici\n }}\n }}\n}}\n"
                )
            with open(f"{own}/swanctl.conf", "w") as file:
                file.write(
                    f"connections {{\n bench {{\n version = 2\n encap = yes\n local_addrs = {OUTER[ns]}\n remote_addrs = {OUTER[peer]}\n"
                    f" proposals = aes128-sha256-x25519\n local {{\n auth = psk\n id = {ns}\n }}\n remote {{\n auth = psk\n id = {peer}\n }}\n"
                    f" children {{\n net {{\n esp_proposals = {self.proposal}\n local_ts = {INNER[ns]}/32\n remote_ts = {INNER[peer]}/32\n"
                    f" }}\n }}\n }}\n}}\nsecrets {{\n ike-bench {{\n id = {peer}\n secret = \"bench\"\n }}\n}}\n"
                )
            env = {"STRONGSWAN_CONF": f"{own}/strongswan.conf"}
            processes.append(spawn(ns, ["charon-systemd"], f"{own}/log", env))
        time.sleep(2)
        for ns in (A, B):
            own = f"{directory}/{ns}"
            sh(f"STRONGSWAN_CONF={own}/strongswan.conf swanctl --load-all --file {own}/swanctl.conf --uri unix://{own}/vici")
        own = f"{directory}/{B}"
        sh(f"STRONGSWAN_CONF={own}/strongswan.conf swanctl --initiate --child net --timeout 10 --uri unix://{own}/vici")
        return processes


def cpu_seconds(processes):
    """Of all threads, to the nanosecond."""
    total = 0
    for process in processes:
        for task in os.listdir(f"/proc/{process.pid}/task"):
            with open(f"/proc/{process.pid}/task/{task}/schedstat") as file:
                total += int(file.read().split()[0])
    return total / 1e9


def wait_up(seconds=15):
    end = time.time() + seconds
    while time.time() < end:
        ping = f"ip netns exec {B} ping -c1 -W1 -I {INNER[B]} {INNER[A]}"
        if subprocess.run(ping, shell=True, capture_output=True).returncode == 0:
            return True
    return False


def inside(ns, *command):
    return ["ip", "netns", "exec", ns, *command]


def stream(arguments, args, processes):
    """iperf3: megabits a second, gigabytes a CPU-second."""
    client = inside(B, "iperf3", "-J", "-c", INNER[A], "-B", INNER[B], "-t", str(args.seconds), *arguments)
    before = cpu_seconds(processes)
    run = subprocess.run(client, capture_output=True, text=True, timeout=args.seconds + 30)
    spent = cpu_seconds(processes) - before
    received = json.loads(run.stdout)["end"]["sum_received"]
    return received["bits_per_second"] / 1e6, received["bytes"] / 1e9 / spent if spent > 0 else 0.0


def packets(size, args, processes):
    """Thousand packets a second, and a CPU-second."""
    to = f"{INNER[A]}:{PORT}"
    sink = subprocess.Popen(inside(A, args.load, "sink", to, str(args.seconds + 1)), stdout=subprocess.PIPE, text=True)
    time.sleep(0.2)
    before = cpu_seconds(processes)
    subprocess.run(inside(B, args.load, "send", INNER[B], to, size, str(args.seconds)), check=True, stdout=subprocess.DEVNULL)
    spent = cpu_seconds(processes) - before
    count, _, took = map(float, sink.communicate()[0].split())
    return count / took / 1e3 if took else 0.0, count / spent / 1e3 if spent > 0 else 0.0


def pings(busy, args, processes):
    """Median and 99th percentile of round trips, in microseconds."""
    beside = None
    if busy:
        command = inside(B, args.load, "send", INNER[B], f"{INNER[A]}:{PORT}", "576", str(args.seconds + 1), "20000")
        beside = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        time.sleep(0.3)
    ping = inside(B, "ping", "-i", "0.002", "-c", str(400 * args.seconds), "-I", INNER[B], INNER[A])
    text = subprocess.run(ping, capture_output=True, text=True).stdout
    if beside:
        beside.wait()
    times = sorted(float(line.split("time=")[1].split()[0]) * 1000 for line in text.splitlines() if "time=" in line)
    return times[len(times) // 2], times[len(times) * 99 // 100]


def trains(contender, args, processes):
    """From the inside to the branches: thousand packets a CPU-second of the gateway, and the part that left."""
    count, rate = contender.branches, 20000
    sent_before = sealed()
    before = cpu_seconds(processes)
    command = inside(A, args.load, "send", INNER[A], "10.0.0.1:9", "64", str(args.seconds), str(rate), str(count), "4")
    sent = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    spent = cpu_seconds(processes) - before
    left = sealed() - sent_before
    return left / spent / 1e3, left / sent


def sealed():
    """ESP packets that the gateway has sent; its metrics are a second old at most."""
    time.sleep(1.2)
    text = sh(f"ip netns exec {A} curl -s http://{METRICS}/metrics")
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith('hawser_esp_packets_total{direction="out"}')))


LOADS = {
    "tcp1": ("Mbit/s (GB per CPU-s)", lambda *run: stream(["-P", "1"], *run)),
    "tcp8": ("Mbit/s (GB per CPU-s)", lambda *run: stream(["-P", "8"], *run)),
    "back1": ("Mbit/s (GB per CPU-s)", lambda *run: stream(["-R"], *run)),
    "back8": ("Mbit/s (GB per CPU-s)", lambda *run: stream(["-R", "-P", "8"], *run)),
    "udp64": ("kpps (per CPU-s)", lambda *run: packets("64", *run)),
    "imix": ("kpps (per CPU-s)", lambda *run: packets("imix", *run)),
    "udp1400": ("kpps (per CPU-s)", lambda *run: packets("1400", *run)),
    "idle": ("us p50 (p99)", lambda *run: pings(False, *run)),
    "busy": ("us p50 (p99)", lambda *run: pings(True, *run)),
}


def one(name, contender, args, loads):
    world()
    directory = tempfile.mkdtemp(prefix="hawser-bench-")
    processes = contender.start(directory)
    server = None
    try:
        if isinstance(contender, Hub):
            return {"peers": trains(contender, args, processes)}
        if not wait_up():
            sys.exit(f"no tunnel: see {directory}")
        server = spawn(A, ["iperf3", "-s", "-B", INNER[A]], f"{directory}/iperf3.log")
        time.sleep(0.3)
        with profile(name, args):
            results = {name: LOADS[name][1](args, processes) for name in loads}
    finally:
        for process in [*processes, *([server] if server else []), *([contender.swarm] if isinstance(contender, Hub) else [])]:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
        for ns in (A, B):
            sh(f"ip netns del {ns}", check=False)
    shutil.rmtree(directory, ignore_errors=True)
    return results


class profile:
    """Records the whole machine while a path that was asked for is measured."""

    def __init__(self, name, args):
        self.file = f"{args.perf}.{name}" if args.perf else None

    def __enter__(self):
        if self.file:
            self.perf = subprocess.Popen(["perf", "record", "-q", "-a", "-g", "-F", "997", "-o", self.file])

    def __exit__(self, *_):
        if self.file:
            self.perf.send_signal(signal.SIGINT)
            self.perf.wait()


def contenders(args):
    offload = not args.no_offload
    every = {"plain": Plain()}
    if args.relay:
        every["relay"] = Relay(args.relay, offload)
    if args.null:
        every["null"] = Hawser(args.null, SUITES["gcm"], offload)
    for name, proposal in SUITES.items():
        every[name] = Hawser(args.hawser, proposal, offload)
    wireguard = args.wireguard_go if offload else args.wireguard_go_no_offload
    if wireguard:
        every["wireguard-go"] = WireGuard([wireguard])
    if args.boringtun:
        every["boringtun"] = WireGuard([args.boringtun, "--foreground", "--disable-drop-privileges"])
    if args.strongswan:
        every["strongswan-gcm"] = StrongSwan("aes128gcm16")
        every["strongswan-cbc-sha1"] = StrongSwan("aes128-sha1")
    for name in ("gcm", "cbc-sha1"):
        for branches in (1, 1000):
            every[f"{name}-peers{branches}"] = Hub(args.hawser, SUITES[name], offload, branches)
    only = args.only.split(",") if args.only else [name for name in every if "-peers" not in name]
    return {name: contender for name, contender in every.items() if name in only}


def median(rounds, load, part):
    return statistics.median(r[load][part] for r in rounds)


def table(title, loads, rows):
    print(f"\n| {title} | " + " | ".join(loads) + " |")
    print("|---|" + "---|" * len(loads))
    for name, cells in rows:
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def report(collected):
    hubs = {name: rounds for name, rounds in collected.items() if "-peers" in name}
    paths = {name: rounds for name, rounds in collected.items() if name not in hubs}
    if hubs:
        cells = [(name, [f"{median(r, 'peers', 0):,.0f}", f"{100 * median(r, 'peers', 1):.1f} %"]) for name, r in hubs.items()]
        table("64 octets to the branches", ["kpkt per CPU-s", "left"], cells)
    if not paths:
        return
    loads = [load for load in LOADS if all(load in r for rounds in paths.values() for r in rounds)]
    head = [f"{load} {LOADS[load][0]}" for load in loads]
    fine = lambda value: f"{value:,.2f}" if value < 10 else f"{value:,.0f}"
    cell = lambda rounds, load: f"{fine(median(rounds, load, 0))} ({fine(median(rounds, load, 1))})"
    table("path", head, [(name, [cell(rounds, load) for load in loads]) for name, rounds in paths.items()])
    for base in ("relay", "null", "wireguard-go"):
        if base not in paths:
            continue
        ratio = lambda rounds, load, part: ratios(rounds, paths[base], load, part)
        rows = [(n, [f"{ratio(r, load, 0)} ({ratio(r, load, 1)})" for load in loads]) for n, r in paths.items() if n != base]
        table(f"to {base}", loads, rows)


def ratios(rounds, base, load, part):
    """The median of the ratios of rounds that ran side by side."""
    pairs = [r[load][part] / b[load][part] for r, b in zip(rounds, base) if b[load][part]]
    return f"{statistics.median(pairs):.2f}" if pairs else "-"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--hawser")
    parser.add_argument("--null")
    parser.add_argument("--relay")
    parser.add_argument("--load")
    parser.add_argument("--wireguard-go")
    parser.add_argument("--wireguard-go-no-offload")
    parser.add_argument("--boringtun")
    parser.add_argument("--strongswan", action="store_true")
    parser.add_argument("--no-offload", action="store_true")
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only")
    parser.add_argument("--loads", default=",".join(LOADS))
    parser.add_argument("--keep", help="add the rounds to this file")
    parser.add_argument("--report", help="print what such a file holds, and measure nothing")
    parser.add_argument("--perf", help="record each path into this file and its name")
    args = parser.parse_args()
    if args.report:
        with open(args.report) as file:
            return report(json.load(file))
    for name in ("hawser", "null", "relay", "load"):
        if getattr(args, name):
            setattr(args, name, os.path.abspath(getattr(args, name)))
    collected = {}
    if args.keep and os.path.exists(args.keep):
        with open(args.keep) as file:
            collected = json.load(file)
    # Rounds outside: what else the machine does meets all alike.
    for _ in range(args.rounds):
        for name, contender in contenders(args).items():
            collected.setdefault(name, []).append(one(name, contender, args, args.loads.split(",")))
            print(name, collected[name][-1], file=sys.stderr, flush=True)
    if args.keep:
        with open(args.keep, "w") as file:
            json.dump(collected, file)
    report(collected)


main()
