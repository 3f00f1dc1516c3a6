#!/usr/bin/env python3
"""Throughput of Hawser and of its peers, side by side in one run, between two network namespaces on a veth.

    python3 benches/macro/run.py --hawser PATH [--seconds 4] [--rounds 3] [--only NAME,...]
        [--wireguard-go PATH] [--boringtun PATH] [--strongswan]

Takes root and iperf3. Both ends and iperf3 share the machine: only ratios of one run mean something. For each path and load it prints the
median of the rounds: Mbit/s of payload received, and gigabytes of it per CPU-second of both gateways together. Load names: tcp1 (one
stream), tcp8, back1 (one stream the other way), udp1372 and udp36 (datagrams of 1400 and 64 octets with their headers).
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
SUITES = {
    "hawser-gcm": "aes128gcm16",
    "hawser-chacha": "chacha20poly1305",
    "hawser-cbc-sha1": "aes128-sha1",
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
    """L0: no tunnel, the inner addresses on the veth."""

    def start(self, directory):
        for ns in (A, B):
            sh(f"ip -n {ns} addr add {INNER[ns]}/32 dev lo")
            sh(f"ip -n {ns} route add {INNER[other(ns)]} dev hb0 src {INNER[ns]}")
        return []


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
            command = [self.program, "run", "--config", path, "--socket", f"{directory}/{ns}.sock"]
            command += [] if self.offload else ["--no-offload"]
            processes.append(spawn(ns, command, f"{directory}/{ns}.log"))
            time.sleep(0.7)
        return processes


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


LOADS = {
    "tcp1": ["-P", "1"],
    "tcp8": ["-P", "8"],
    "back1": ["-R"],
    "udp1372": ["-u", "-b", "0", "-l", "1372"],
    "udp36": ["-u", "-b", "0", "-l", "36"],
}


def cpu_seconds(processes):
    total = 0
    for process in processes:
        with open(f"/proc/{process.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def wait_up(seconds=15):
    end = time.time() + seconds
    while time.time() < end:
        ping = f"ip netns exec {B} ping -c1 -W1 -I {INNER[B]} {INNER[A]}"
        if subprocess.run(ping, shell=True, capture_output=True).returncode == 0:
            return True
    return False


def load(name, seconds, processes):
    client = ["ip", "netns", "exec", B, "iperf3", "-J", "-c", INNER[A], "-B", INNER[B], "-t", str(seconds)]
    before = cpu_seconds(processes)
    run = subprocess.run([*client, *LOADS[name]], capture_output=True, text=True, timeout=seconds + 30)
    spent = cpu_seconds(processes) - before
    end = json.loads(run.stdout)["end"]
    if name.startswith("udp"):
        total = end.get("sum_received") or end["sum"]
        received = total["bytes"] * (1 - total.get("lost_percent", 0) / 100 if "sum_received" not in end else 1)
        bits = received * 8 / total["seconds"]
    else:
        received = end["sum_received"]["bytes"]
        bits = end["sum_received"]["bits_per_second"]
    return bits / 1e6, received / 1e9 / spent if spent > 0 else 0.0


def one(contender, seconds, loads):
    world()
    directory = tempfile.mkdtemp(prefix="hawser-bench-")
    processes = contender.start(directory)
    try:
        if not wait_up():
            sys.exit(f"no tunnel: see {directory}")
        processes_of_gateway = processes
        server = spawn(A, ["iperf3", "-s", "-B", INNER[A]], f"{directory}/iperf3.log")
        time.sleep(0.3)
        results = {name: load(name, seconds, processes_of_gateway) for name in loads}
        server.kill()
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
        for ns in (A, B):
            sh(f"ip netns del {ns}", check=False)
    shutil.rmtree(directory, ignore_errors=True)
    return results


def contenders(args):
    every = {"plain": Plain()}
    for name, proposal in SUITES.items():
        every[name] = Hawser(args.hawser, proposal, True)
    every["hawser-gcm-no-offload"] = Hawser(args.hawser, SUITES["hawser-gcm"], False)
    if args.wireguard_go:
        every["wireguard-go"] = WireGuard([args.wireguard_go])
    if args.boringtun:
        every["boringtun"] = WireGuard([args.boringtun, "--foreground", "--disable-drop-privileges"])
    if args.strongswan:
        every["strongswan-gcm"] = StrongSwan("aes128gcm16")
        every["strongswan-cbc-sha1"] = StrongSwan("aes128-sha1")
    only = args.only.split(",") if args.only else list(every)
    return {name: contender for name, contender in every.items() if name in only}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--hawser", required=True)
    parser.add_argument("--wireguard-go")
    parser.add_argument("--boringtun")
    parser.add_argument("--strongswan", action="store_true")
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only")
    parser.add_argument("--loads", default=",".join(LOADS))
    args = parser.parse_args()
    loads = args.loads.split(",")
    collected = {}
    # Rounds outside: what else the machine does meets all alike.
    for _ in range(args.rounds):
        for name, contender in contenders(args).items():
            collected.setdefault(name, []).append(one(contender, args.seconds, loads))
    print("| path | " + " | ".join(f"{name} Mbit/s (GB per CPU-s)" for name in loads) + " |")
    print("|---|" + "---|" * len(loads))
    for name, rounds in collected.items():
        cells = []
        for load_name in loads:
            speed = statistics.median(r[load_name][0] for r in rounds)
            yield_ = statistics.median(r[load_name][1] for r in rounds)
            cells.append(f"{speed:,.0f} ({yield_:.2f})")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


main()
