# A network device behind a real Linux guest carries frames, by whatever is on the other end of its wire.
# SPDX-License-Identifier: Apache-2.0
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from guest.claims import claim, main, needs, needs_bulkhead, require
from guest.deadline import wait_until
from guest.share import Share, make_folder
from guest.net import SCENARIO, Namespace, Net, Peer, Server, Sink, address, dhcp, worker_of

FEATURE_CSUM, FEATURE_MTU, FEATURE_TSO4, FEATURE_MERGEABLE, FEATURE_MANY = 0, 3, 11, 15, 22

# What a worker says of it, by what it does at that moment: it reads, it sends, or it waits with frames not yet read.
PEER_IS_GONE = "the peer of the stream (is gone|takes no more frames)|the host's end is gone"


def net_features(guest):
    bits = guest.run("cat /sys/class/net/eth0/device/features").strip()
    return {bit for bit, value in enumerate(bits) if value == "1"}


def needs_namespaces():
    needs(os.geteuid() == 0, "network namespaces with taps need root")
    needs(os.path.exists("/dev/net/tun"), "there is no /dev/net/tun")
    made = subprocess.run(["ip", "netns", "list"], capture_output=True)
    needs(made.returncode == 0, "ip is not installed: apt-get install iproute2")


def write_file(path, mib, seed):
    """Bytes that differ from page to page; returns their digest."""
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        for i in range(mib):
            piece = hashlib.shake_128(f"{seed} {i}".encode()).digest(1 << 20)
            file.write(piece)
            digest.update(piece)
    return digest.hexdigest()


def digest_of(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def ping(guest, to, count, size, seconds=60):
    answer = guest.run(f"ping -c {count} -i 0.05 -s {size} -W 5 {to}", seconds)
    require(f"{count} packets received" in answer, f"pings of {size} bytes were lost: {answer}")


def stream_of(t, mtu):
    peer = Peer(f"{t.directory}/peer.sock")
    t.undo.callback(peer.close)
    serving = t.backend([Net("net0", f"backend: stream, path: {peer.path}", mtu=mtu)])
    guest = t.boot(serving, scenario=SCENARIO)
    address(guest, "10.9.0.2/24")
    require(guest.run("cat /sys/class/net/eth0/mtu").strip() == str(mtu), "the guest has another MTU")
    return peer, serving, guest


def lose_peer(t, peer, serving, guest):
    """It comes back, and the guest goes on as it was; what a dead worker has counted is not forgotten."""
    serving.errors_expected = PEER_IS_GONE
    for _ in range(2):
        worker, at = worker_of(serving, "net0"), len(serving.child.lines)
        peer.go()
        serving.child.wait_for_line("its stream is down until its peer is back", 20, at)
        peer.come()
        wait_until(lambda w=worker: worker_of(serving, "net0") not in (0, w), 20, "a new worker")
        ping(guest, peer.ADDRESS, 5, 56)
    require(serving.ps()["net0"]["counters"]["in_long"] == 2, "counters were forgotten with a worker")
    t.stage("the peer went away and came back, twice, and so did the wire")


@claim(seconds=90)
def frames_of_a_stream_reach_the_guest_and_leave_it(t):
    needs_bulkhead()
    peer, serving, guest = stream_of(t, 1280)
    require(FEATURE_MERGEABLE in net_features(guest), "mergeable buffers were not negotiated")
    for size in (0, 56, 1280 - 28):
        ping(guest, peer.ADDRESS, 10, size)
    require(peer.longest == 14 + 1280, f"the longest frame had {peer.longest} bytes")
    t.stage(f"{peer.pings} pings of three sizes were answered, as long as an MTU of 1280 lets them be")
    peer.say(b"x" * 13, b"y" * 1299, b"z" * 60000)
    counters = wait_until(lambda: (c := serving.ps()["net0"]["counters"])["in_long"] == 2 and c, 20, "frames that were counted")
    require((counters["in_short"], counters["out_short"]) == (1, 0), f"counted as well: {counters}")
    t.stage("what was too short and too long went nowhere, and ps says how many")
    lose_peer(t, peer, serving, guest)
    guest.reboot()
    address(guest, "10.9.0.2/24")
    ping(guest, peer.ADDRESS, 10, 56)
    t.stage("and again after a reboot")


def needs_passt():
    needs(shutil.which("passt"), "passt is not installed: apt-get install passt")
    routes = subprocess.run(["ip", "route", "show", "default"], capture_output=True, text=True).stdout
    needs(routes, "passt gives a guest the host's own address, and this host has no default route")


# By one connection: Debian 12's passt resets longer ones from a guest, of QEMU's own network device as of ours; and bytes to a guest that it
# has sent twice it goes on sending as long as the connection lasts (docs/PERFORMANCE.md).
PART_MIB = 64


def parts(mib):
    return enumerate((min(PART_MIB, mib - at) for at in range(0, mib, PART_MIB)), 1)


def send(t, guest, host, sink, mib):
    """Different bytes by each connection."""
    for n, part in parts(mib):
        guest.run(f"mount -t tmpfs -o size={part + 8}M files /mnt && guest_load fill /mnt/up 0 {part}M {n}", 60 + part)
        want = guest.run("sha256sum /mnt/up", 60 + part).split()[0]
        guest.run(f"nc {host} {sink.port} </mnt/up && umount /mnt", 60 + part)
        require(sink.await_taken(n) == (part << 20, want), "what came from the guest is not what it sent")
    t.stage(f"{mib} MiB went to the host, each byte right")


def fetch_and_send(t, guest, host, mib):
    """A file to the guest and another one back, both by TCP with the host. Returns the server and its directory."""
    directory = f"{t.directory}/files"
    os.mkdir(directory)
    server, sink = Server(directory), Sink()
    t.undo.callback(server.close)
    t.undo.callback(sink.close)
    for n, part in parts(mib):
        want = write_file(f"{directory}/down", part, f"down {n}")
        got = guest.run(f"wget -q -O - http://{host}:{server.port}/down | sha256sum", 60 + part).split()[0]
        require(got == want, "what came from the host is not what it sent")
    t.stage(f"{mib} MiB came from the host, each byte right")
    send(t, guest, host, sink, mib)
    return server, directory


def gateway_of(guest):
    return guest.run("ip route | sed -n 's/^default via \\([0-9.]*\\).*/\\1/p'").strip()


def by_passt(t, mib, mtu):
    needs_bulkhead()
    needs_passt()
    serving = t.backend([Net("net0", "backend: passt", mtu=mtu)])
    guest = t.boot(serving, scenario=SCENARIO, memory_mib=512 + 2 * mib)
    got = dhcp(guest)
    host = gateway_of(guest)
    t.stage(f"DHCP gave {got}, and {host} is the host")
    server, directory = fetch_and_send(t, guest, host, mib)
    return serving, guest, host, server, directory


def survive_deaths(t, serving, guest, host, server, directory):
    """One connection lives on while workers are killed in the middle of it."""
    want = write_file(f"{directory}/long", 24, "long")
    command = f"wget -q -O - http://{host}:{server.port}/long | sha256sum"
    token = guest.agent.start(command)
    for _ in range(3):
        # The agent is busy with the transfer: what has come is seen on the host.
        start = serving.ps()["net0"]["bytes_to_guest"]
        wait_until(lambda s=start: serving.ps()["net0"]["bytes_to_guest"] > s + (2 << 20), 60, "two more MiB")
        pid = worker_of(serving, "net0")
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda p=pid: worker_of(serving, "net0") not in (0, p), 20, "a new worker")
    answer = guest.agent.finish(token, 120, command)
    require(answer.status == 0 and answer.output.split()[0] == want, f"the transfer: {answer.output}")
    t.stage("24 MiB came by one connection over three deaths of the worker, each byte right")


def lose_passt(t, serving, guest):
    """Its connections are gone with it, and new ones pass by the next one."""
    runs = r"companion runs dev=net0 companion=passt pid=(\d+)"
    serving.errors_expected = PEER_IS_GONE
    at = len(serving.child.lines)
    os.kill(int(serving.child.wait_for_line(runs, 5).group(1)), signal.SIGKILL)
    serving.child.wait_for_line(runs, 20, at)
    dhcp(guest)
    t.stage("passt was killed: another one gives the guest its address again")


@claim(seconds=120)
def files_pass_by_passt_even_when_workers_die(t):
    serving, guest, host, server, directory = by_passt(t, 16, 65520)  # the longest frames: more than a socket takes at once
    survive_deaths(t, serving, guest, host, server, directory)
    lose_passt(t, serving, guest)


@claim(seconds=600, long=True)
def a_gigabyte_passes_both_ways(t):
    by_passt(t, 1024, 1500)


def two_guests(t, namespace, pairs=1, mtu=1500, more=()):
    guests = []
    for i in range(2):
        tap = namespace.tap(f"tap{i}", many=pairs > 1)
        net = Net("net0", f"backend: tap, tap: {tap}", pairs=pairs, mtu=mtu, mac=f"52:54:00:12:34:0{i}")
        serving = t.backend([net, *more], vm=f"{os.path.basename(t.directory)}-{i}", prefix=namespace.prefix,
                            run_dir=f"{t.directory}/r{i}")
        guests.append((serving, t.boot(serving, name=f"guest{i}", scenario=SCENARIO, processors=pairs, ready=False)))
    for i, (_, guest) in enumerate(guests):
        guest.wait_ready()
        address(guest, f"10.9.1.{2 + i}/24")
    t.stage("two guests of two VMs are up, each with a tap on one bridge")
    return guests


def tcp_between(t, sender, receiver, to, mib):
    for guest in (sender, receiver):
        guest.run(f"mount -t tmpfs -o size={mib + 8}M files /mnt")
    sender.run(f"guest_load fill /mnt/file 0 {mib}M 3")
    # An end of its input is a half-closed connection, by which the other nc ends.
    token = receiver.agent.start("mkfifo /tmp/open; nc -l -p 5001 <>/tmp/open >/mnt/file; rm /tmp/open")
    sender.run(f"for i in $(seq 50); do nc {to} 5001 </mnt/file && exit 0; usleep 100000; done; exit 1", 120)
    answer = receiver.agent.finish(token, 120, "nc")
    require(answer.status == 0, f"the receiver: {answer.output}")
    receiver.run(f"guest_load check /mnt/file 0 {mib}M 3")
    for guest in (sender, receiver):
        guest.run("umount /mnt")
    t.stage(f"{mib} MiB by TCP from one guest to the other, each byte right")


def iperf3_folder(t):
    """The host's iperf3 with what it is linked with, for guests to run from a share."""
    program = shutil.which("iperf3")
    needs(program, "iperf3 is not installed: apt-get install iperf3")
    folder = make_folder(f"{t.directory}/tools")
    for path in [program, *re.findall(r"/\S+", subprocess.run(["ldd", program], capture_output=True, text=True).stdout)]:
        shutil.copy(path, folder)
    return folder


def iperf3_between(t, tools, client, server, to):
    program = []
    for guest in (client, server):
        at = tools.mount(guest)
        loader = guest.run(f"ls {at} | grep ^ld-linux").strip()
        program = f"{at}/{loader} --library-path {at} {at}/iperf3"
    for words, streams in (("", 1), ("-P 4", 4)):
        # It serves one client, and a client that finds nobody would have to come again: it listens first.
        server.run(f"({program} -s -1 >/run/served 2>&1 </dev/null & echo $! >/run/serves); "
                   "until cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -q ':1451 .* 0A '; do usleep 10000; done", 60)
        said = client.run(f"{program} -c {to} -t 2 {words} -J; true", 60)
        result = json.loads(said)
        if "error" in result:
            require(False, f"iperf3, {streams} at once: {result['error']}; its server: {server.run('cat /run/served')}")
        received = result["end"]["sum_received"]["bytes"]
        require(received > streams * (1 << 20), f"iperf3 with {streams} streams had {received} bytes through")
        server.run("while [ -e /proc/$(cat /run/serves) ]; do usleep 10000; done", 60)
        t.stage(f"iperf3, {streams} at once: {received >> 20} MiB in 2 s")


@claim(seconds=150)
def guests_of_two_vms_talk_by_taps(t):
    needs_bulkhead()
    needs_namespaces()
    tools = Share("tools", iperf3_folder(t), read_only=True, xattr=False)
    namespace = Namespace(os.path.basename(t.directory), mtu=9000)
    t.undo.callback(namespace.close)
    (serving, first), (_, second) = two_guests(t, namespace, pairs=2, mtu=9000, more=[tools])
    require({FEATURE_CSUM, FEATURE_MTU, FEATURE_TSO4, FEATURE_MANY} <= net_features(first), "not negotiated")
    require(serving.ps()["net0"]["queues_running"] == 4, "not both pairs are in use")
    ping(first, "10.9.1.3", 10, 9000 - 28)
    ping(second, namespace.ADDRESS, 10, 56)
    t.stage("pings between them, as long as an MTU of 9000 lets them be, and with the host; two pairs each")
    tcp_between(t, first, second, "10.9.1.3", 16)
    iperf3_between(t, tools, first, second, "10.9.1.3")


if __name__ == "__main__":
    sys.exit(main())
