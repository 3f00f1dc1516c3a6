#!/usr/bin/env python3
"""Thousands of branches against one gateway, in a network namespace of their own: what a handshake and a tunnel at rest cost.

    python3 benches/macro/swarm.py --hawser PATH [--branches 100,1000,10000] [--gateway hawser,strongswan] [--ike modp1024,x25519]
        [--rate 500] [--hold 30] [--shards 1] [--perf FILE] [--explain 200]

Takes root. `hawser swarm` plays the branches: as many processes of it as the limit of open files asks for. Prints a table: branches
up, handshakes a second, their median and 99th percentile, CPU time of the gateway a handshake, memory of the gateway a tunnel, CPU of the gateway
while the tunnels are held (DPD of each branch every 60 s, keepalives every 20 s). With `--explain N` each branch pings once a second, and N times
meanwhile Hawser is asked `explain` of some branch: the median and 99th percentile of its answers, in milliseconds.
"""

import argparse
import http.client
import json
import os
import random
import resource
import signal
import socket
import subprocess
import tempfile
import time

NS = "hb-swarm"
GATEWAY = "127.0.0.1"
SECRET = "bench of sixteen octets"
GROUPS = {
    "modp1024": "aes128-sha1-modp1024",
    "modp2048": "aes128-sha256-modp2048",
    "x25519": "aes128-sha256-x25519",
    "ecp256": "aes128-sha256-ecp256",
}
SPARE = 400


def sh(line, check=True):
    return subprocess.run(line, shell=True, check=check, capture_output=True, text=True).stdout


def spawn(command, log, env=None):
    out = open(log, "w")
    return subprocess.Popen(["ip", "netns", "exec", NS, *command], stdout=out, stderr=out, env={**os.environ, **(env or {})})


def hawser(args, ike, directory):
    with open(f"{directory}/hq.toml", "w") as file:
        file.write(
            f"""shards = {args.shards}
[listen]
addresses = ["{GATEWAY}"]
native_esp = false
[[tenants]]
name = "default"
interface = "hb-tun"
addresses = ["192.168.100.1/24"]
[[ike_policies]]
name = "any"
proposals = ["{ike}"]
[[templates]]
name = "branches"
local_identity = "hq"
ike_proposals = ["{ike}"]
[[templates.children]]
name = "net"
proposals = ["aes128-sha1"]
local = ["192.168.100.0/24"]
remote = ["10.0.0.0/8"]
[[secrets]]
identity = "any"
template = "branches"
secret = "{SECRET}"
"""
        )
    command = [args.hawser, "run", "--config", f"{directory}/hq.toml", "--socket", f"{directory}/sock"]
    return spawn(command, f"{directory}/gateway.log")


def strongswan(args, ike, directory):
    plugins = (
        "random nonce aes sha1 sha2 hmac pem pkcs1 pkcs8 x509 pubkey openssl gmp curve25519 gcm kdf "
        "kernel-libipsec kernel-netlink socket-default vici updown counters"
    )
    with open(f"{directory}/strongswan.conf", "w") as file:
        file.write(
            f"charon-systemd {{\n load = {plugins}\n threads = 16\n cookie_threshold = 0\n block_threshold = 0\n init_limit_half_open = 0\n"
            " ikesa_table_size = 16384\n ikesa_table_segments = 256\n"
            f" plugins {{\n vici {{\n socket = unix://{directory}/vici\n }}\n }}\n}}\n"
        )
    with open(f"{directory}/swanctl.conf", "w") as file:
        file.write(
            f"connections {{\n bench {{\n version = 2\n local_addrs = {GATEWAY}\n proposals = {ike}\n unique = never\n local {{\n auth = psk\n"
            " id = hq\n }\n remote {\n auth = psk\n id = %any\n }\n children {\n net {\n esp_proposals = aes128-sha1\n"
            f" local_ts = 192.168.100.0/24\n remote_ts = 10.0.0.0/8\n }}\n }}\n }}\n}}\nsecrets {{\n ike-bench {{\n secret = \"{SECRET}\"\n }}\n}}\n"
        )
    # Its routes need an address of the network behind it; Hawser has one on its own interface.
    sh(f"ip -n {NS} address add 192.168.100.1/24 dev lo")
    env = {"STRONGSWAN_CONF": f"{directory}/strongswan.conf"}
    process = spawn(["charon-systemd"], f"{directory}/gateway.log", env)
    time.sleep(2)
    sh(f"STRONGSWAN_CONF={directory}/strongswan.conf swanctl --load-all --file {directory}/swanctl.conf --uri unix://{directory}/vici")
    return process


def used(pid):
    """CPU seconds and resident bytes."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    with open(f"/proc/{pid}/status") as file:
        resident = next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), resident * 1024


class Admin(http.client.HTTPConnection):
    """The gateway's admin socket."""

    def __init__(self, path):
        super().__init__("hawser")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def explained(path, branches, count):
    """How long `explain` of a branch takes, in milliseconds, the shortest first."""
    times = []
    for branch in random.choices(range(branches), k=count):
        begin = time.perf_counter()
        admin = Admin(path)
        admin.request("GET", f"/v1/peer/explain?peer=branch{branch}.example")
        answer = admin.getresponse()
        told = json.loads(answer.read())
        times.append(1000 * (time.perf_counter() - begin))
        assert answer.status == 200 and told["peer"]["status"] == "up", told
        time.sleep(0.05)
    return sorted(times)


def swarms(args, ike, branches, hold, directory):
    """One process for as many branches as may have a socket; each of them has its share of the rate."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - SPARE
    count = -(-branches // most)
    processes = []
    for part in range(count):
        first, last = branches * part // count, branches * (part + 1) // count
        command = [args.hawser, "swarm", "--json", "--gateway", f"{GATEWAY}:4500", "--gateway-identity", "hq"]
        command += ["--branches", str(last - first), "--rate", str(round(args.rate / count)), "--hold", str(hold)]
        command += ["--first", str(first)] if first else []
        command += ["--secret", SECRET, "--ike", ike, "--esp", "aes128-sha1", "--sources", f"127.{part + 1}.0.0/16"]
        command += ["--ping", "192.168.100.1", "--ping-every", "1000"] if args.explain else []
        processes.append((last - first, spawn(command, f"{directory}/swarm{part}.json")))
    return processes


def run(args, name, group, branches):
    sh(f"ip netns del {NS}", check=False)
    sh(f"ip netns add {NS} && ip -n {NS} link set lo up")
    directory, ike = tempfile.mkdtemp(prefix="hawser-swarm-"), GROUPS[group]
    gateway = {"hawser": hawser, "strongswan": strongswan}[name](args, ike, directory)
    try:
        time.sleep(1.5)
        before = used(gateway.pid)
        begin = time.time()
        # The swarms say when all are up by ending their arrival; what is held is measured here, over all of them.
        settle = 5
        processes = swarms(args, ike, branches, args.hold + settle + 2, directory)
        time.sleep(branches / args.rate)
        while time.time() < begin + branches / args.rate + 60:
            cpu, _ = used(gateway.pid)
            time.sleep(0.5)
            if used(gateway.pid)[0] - cpu < 0.1:
                break
        arrived = used(gateway.pid)
        time.sleep(settle)
        perf = None
        if args.perf:
            perf = subprocess.Popen(["perf", "record", "-q", "-g", "-F", "997", "-o", args.perf, "-p", str(gateway.pid)])
        rest, at = used(gateway.pid), time.time()
        explains = explained(f"{directory}/sock", branches, args.explain) if args.explain else []
        time.sleep(max(0, at + args.hold - time.time()))
        end, held = used(gateway.pid), time.time() - at
        if perf:
            perf.send_signal(signal.SIGINT)
            perf.wait()
        reports = []
        for part, (_, process) in enumerate(processes):
            process.wait(180)
            with open(f"{directory}/swarm{part}.json") as file:
                text = file.read()
                reports.append(json.loads(text[text.index("{") :]))
    finally:
        gateway.terminate()
        try:
            gateway.wait(8)
        except subprocess.TimeoutExpired:
            gateway.kill()
        sh(f"ip netns del {NS}", check=False)
    up = sum(r["up"] for r in reports)
    # Where several processes share the work, the worst of their percentiles is shown.
    p50 = max(r["handshakes"]["p50_ms"] for r in reports)
    p99 = max(r["handshakes"]["p99_ms"] for r in reports)
    rate = sum(r["handshakes_per_second"] for r in reports)
    return {
        "gateway": name,
        "group": group,
        "branches": branches,
        "up": up,
        "per_second": rate,
        "p50_ms": p50,
        "p99_ms": p99,
        "cpu_ms_a_handshake": 1000 * (arrived[0] - before[0]) / max(up, 1),
        "kib_a_tunnel": (end[1] - before[1]) / 1024 / max(up, 1),
        "percent_of_a_core_at_rest": 100 * (end[0] - rest[0]) / held,
        **({"explain_p50_ms": explains[len(explains) // 2], "explain_p99_ms": explains[len(explains) * 99 // 100]} if explains else {}),
        "failed": sum(sum(r["handshakes_failed"].values()) for r in reports),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--hawser", required=True)
    parser.add_argument("--gateway", default="hawser")
    parser.add_argument("--ike", default="modp1024")
    parser.add_argument("--branches", default="100,1000,10000")
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--hold", type=int, default=30)
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--explain", type=int, default=0, metavar="N", help="ask Hawser so often why a branch is as it is, under load")
    parser.add_argument("--perf", help="record the gateway at rest into this file")
    args = parser.parse_args()
    args.hawser = os.path.abspath(args.hawser)
    names = ["gateway", "group", "branches", "up", "per_second", "p50_ms", "p99_ms", "cpu_ms_a_handshake", "kib_a_tunnel", "percent_of_a_core_at_rest", *(["explain_p50_ms", "explain_p99_ms"] if args.explain else []), "failed"]
    print("| " + " | ".join(name.replace("_", " ") for name in names) + " |\n|" + "---|" * len(names), flush=True)
    for group in args.ike.split(","):
        for name in args.gateway.split(","):
            for branches in args.branches.split(","):
                figures = run(args, name, group, int(branches))
                cells = [f"{v:,.2f}" if isinstance(v, float) else f"{v:,}" if isinstance(v, int) else v for v in figures.values()]
                print("| " + " | ".join(cells) + " |", flush=True)


main()
