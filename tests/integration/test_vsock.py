# Streams between programs of a real Linux guest and Unix sockets of the host.
# SPDX-License-Identifier: Apache-2.0
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from guest.claims import claim, main, needs_bulkhead, newest_qemu, require
from guest.deadline import wait_until
from guest.vsock import SCENARIO, Echo, Vsock, in_background, receive_pattern, send_pattern

MIB = 1 << 20
SERVE = 7  # ports of the guest's servers
SERVE_MESSAGES = 8


def boot(t, binary=None, qemu_extra="", extra=""):
    needs_bulkhead()
    vsock = Vsock(t.directory, qemu_extra=qemu_extra, extra=extra)
    serving = t.backend([vsock])
    guest = t.boot(serving, scenario=SCENARIO, memory_mib=768, binary=binary)
    return vsock, serving, guest


def serve_in_guest(guest, kind=""):
    port = SERVE_MESSAGES if kind else SERVE
    guest.run(f"guest_vsock serve {port} {kind} >/run/serve{port} 2>&1 </dev/null & until grep -q serving /run/serve{port}; do :; done")


def answer_sender(listener, length):
    """Takes what the guest sends, and says so."""
    sock = listener.accept()[0]
    with sock:
        sock.settimeout(120)
        came = receive_pattern(sock, length)
        sock.sendall(b"k")
        sock.recv(1)  # until the guest has closed
        return came


def feed(listener, length):
    with listener.accept()[0] as sock:
        sock.settimeout(120)
        send_pattern(sock, length)


def ask_guest(vsock, wish, length):
    """A client of the host: "g": bytes from the guest; "s": to it."""
    with vsock.connect(SERVE) as sock:
        sock.sendall(f"{wish}{length}\n".encode())
        if wish == "g":
            return receive_pattern(sock)
        send_pattern(sock, length)
        require(sock.recv(1) == b"k", "the guest did not confirm")
        return length


def both_ways(t, vsock, guest, length):
    with vsock.listen(52) as listener:
        came = in_background(answer_sender, listener, length)
        guest.run(f"guest_vsock send 52 {length}", 900)
        require(came(900) == length, "not all of it came to the host")
        t.stage(f"{length // MIB} MiB of the guest's connection reached the host")
        fed = in_background(feed, listener, length)
        guest.run(f"guest_vsock receive 52 {length}", 900)
        fed(900)
        t.stage(f"and {length // MIB} MiB came back on another")
    require(ask_guest(vsock, "g", length) == length, "not all of it came to the client")
    ask_guest(vsock, "s", length)
    t.stage("and as much each way on a client's")


@claim(seconds=90)
def vsock_carries_bytes_both_ways(t):
    vsock, _, guest = boot(t)
    bits = guest.run("cat /sys/bus/virtio/drivers/vmw_vsock_virtio_transport/*/features")
    require(bits[1] == "1", f"the guest agreed to the features {bits}")  # Linux has no word for the first, STREAM
    serve_in_guest(guest)
    both_ways(t, vsock, guest, 16 * MIB)
    guest.run("guest_vsock refused 99")
    try:
        vsock.connect(99)
        raise AssertionError("a port of the guest answers, and nobody listens there")
    except ConnectionError:
        t.stage("where nobody listens both sides are told so")
    guest.reboot()
    serve_in_guest(guest)
    both_ways(t, vsock, guest, MIB)


@claim(seconds=120)
def vsock_carries_bytes_on_the_newest_qemu(t):
    vsock, _, guest = boot(t, binary=newest_qemu())
    serve_in_guest(guest)
    both_ways(t, vsock, guest, 4 * MIB)


@claim(seconds=1800, long=True)
def vsock_carries_a_gigabyte_each_way(t):
    vsock, _, guest = boot(t)
    serve_in_guest(guest)
    both_ways(t, vsock, guest, 1024 * MIB)


# A guest that must use the DMA API: its driver agrees to VIRTIO_F_ACCESS_PLATFORM, and nothing is translated.
@claim(seconds=90)
def vsock_works_where_the_platform_must_be_asked(t):
    vsock, _, guest = boot(t, qemu_extra=",iommu_platform=on")
    bits = guest.run("cat /sys/bus/virtio/drivers/vmw_vsock_virtio_transport/*/features").strip()
    t.stage(f"feature bit 33 of the guest is {bits[33]}")
    serve_in_guest(guest)
    both_ways(t, vsock, guest, MIB)


@claim(seconds=150)
def a_thousand_vsock_connections_each_way(t):
    vsock, _, guest = boot(t)
    echo = Echo(vsock.listen(52))
    answer = guest.run("guest_vsock many 52 1000", 120)
    require("connections=1000" in answer, answer)
    require(echo.peak == 1000, f"{echo.peak} at once on the host")
    t.stage("1000 connections of the guest at once, each with an echo of its own")
    echo.stop()
    serve_in_guest(guest)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(vsock.connect(SERVE)) for _ in range(1000)]
        t.stage("1000 connections of the host")
        for i, client in enumerate(clients):
            client.sendall(b"e%7d" % i)
        for i, client in enumerate(clients):
            got = b""
            while len(got) < 7:
                more = client.recv(7 - len(got))
                require(more, f"connection {i} was closed")
                got += more
            require(got == b"%7d" % i, f"connection {i} has {got!r}")
    t.stage("each with an echo of its own")


@claim(seconds=90)
def vsock_messages_stay_apart(t):
    vsock, _, guest = boot(t)
    echo = Echo(vsock.listen(53, socket.SOCK_SEQPACKET))
    require("messages=200" in guest.run("guest_vsock messages 53 200", 60), "not all of them came back")
    echo.stop()
    t.stage("200 messages of the guest came back one by one")
    serve_in_guest(guest, "seq")
    with vsock.connect(SERVE_MESSAGES, socket.SOCK_SEQPACKET) as client:
        for length in (1, 2, 4051, 4052, 4053, 8104, 65535, 65536, 7):
            message = os.urandom(length)
            client.sendall(message)
            require(client.recv(100000) == message, f"a message of {length} bytes is another one")
    t.stage("and so did those of a client")


@claim(seconds=90)
def a_slow_reader_stalls_its_own_vsock_stream_only(t):
    vsock, _, guest = boot(t)
    serve_in_guest(guest)
    with vsock.listen(54) as listener:
        filled = guest.run("guest_vsock fill 54 >/run/fill 2>&1 </dev/null & until grep -q filled /run/fill; do sleep 0.1; done; cat /run/fill", 60)
        sent = int(re.search(r"filled=(\d+)", filled)[1])
        t.stage(f"a host that does not read stopped its guest after {sent // 1024} KiB")
        require(ask_guest(vsock, "g", 4 * MIB) == 4 * MIB, "another stream is held up")
        ask_guest(vsock, "s", 4 * MIB)
        t.stage("8 MiB of others passed")
        with listener.accept()[0] as sock:
            sock.settimeout(60)
            require(receive_pattern(sock) == sent, "the host has not what the guest has sent")
    with vsock.connect(SERVE) as slow:
        slow.sendall(b"w")
        slow.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < 64 * MIB:
                sent += slow.send(b"x" * 65536)
        require(sent < 64 * MIB, "a guest that does not read takes everything")
        t.stage(f"a guest that does not read stopped its client after {sent // 1024} KiB")
        require(ask_guest(vsock, "g", 4 * MIB) == 4 * MIB, "another stream is held up")
        ask_guest(vsock, "s", 4 * MIB)
        t.stage("8 MiB of others passed")


@claim(seconds=90)
def vsock_directions_are_shut_one_by_one(t):
    vsock, _, guest = boot(t)

    def read_then_answer(listener):
        with listener.accept()[0] as sock:
            sock.settimeout(60)
            came = receive_pattern(sock)
            send_pattern(sock, 100000)
            return came

    with vsock.listen(55) as listener:
        came = in_background(read_then_answer, listener)
        guest.run("guest_vsock shut 55")
        require(came() == 100000, "not all came before the end")


def worker_pid(serving):
    return serving.ps()["vsock0"]["pid"]


def proxy_pid(serving):
    """The one whose title names our VM."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
            title = file.read().split(b"\0")[0].decode(errors="replace")
            if title == f"bulkhead-vsock-proxy: {serving.vm}/vsock0":
                return int(pid)
    return 0


def dies_and_comes_back(t, vsock, serving, guest, who, kill):
    """Under a load both ways; a connection at rest is told, too."""
    serving.errors_expected = "vsock0|worker|companion"
    serve_in_guest(guest)
    with vsock.listen(56) as listener:
        guest.run("guest_vsock hold 56 >/run/hold 2>&1 </dev/null & until grep -q held /run/hold; do sleep 0.1; done")
        resting = listener.accept()[0]
        resting.settimeout(30)
        load = vsock.connect(SERVE)
        load.sendall(b"g%d\n" % (4096 * MIB))
        require(receive_pattern(load, MIB) == MIB, "no load")
        kill()
        t.stage(f"{who} was killed under a load")
        with contextlib.suppress(ConnectionResetError):
            while load.recv(1 << 20):
                pass
        with contextlib.suppress(ConnectionResetError):
            require(resting.recv(1) == b"", "a connection at rest had a byte")
        t.stage("both connections of the host have ended")
        ended = guest.run("until grep -q end= /run/hold; do sleep 0.1; done; cat /run/hold", 60)
        t.stage(f"that of the guest as well: {ended.split()[-1]}")
    wait_until(lambda: worker_pid(serving), 20, "a new worker", alive=serving.child.must_run)

    def again():
        try:
            return ask_guest(vsock, "g", MIB) == MIB
        except (OSError, AssertionError):
            return False
    wait_until(again, 30, "a new connection", alive=serving.child.must_run)
    both_ways(t, vsock, guest, MIB)


@claim(seconds=120)
def a_vsock_worker_killed_under_load_resets_both_sides(t):
    vsock, serving, guest = boot(t)
    proxy = proxy_pid(serving)
    for _ in range(3):
        dies_and_comes_back(t, vsock, serving, guest, "the worker", lambda: os.kill(worker_pid(serving), signal.SIGKILL))
        guest.run("kill $(pidof guest_vsock) 2>/dev/null; true")  # if any is left: its connections are gone
    require(proxy_pid(serving) == proxy, "the proxy is another one")


@claim(seconds=120)
def a_vsock_proxy_killed_under_load_resets_both_sides(t):
    vsock, serving, guest = boot(t)
    proxy = proxy_pid(serving)
    require(proxy, "no proxy is to be seen")
    dies_and_comes_back(t, vsock, serving, guest, "the proxy", lambda: os.kill(proxy, signal.SIGKILL))
    require(proxy_pid(serving) not in (0, proxy), "the proxy is the same")


@claim(seconds=90)
def a_vsock_directory_that_is_removed_costs_its_listeners_only(t):
    vsock, _, guest = boot(t)
    serve_in_guest(guest)
    with vsock.connect(SERVE) as client:
        client.sendall(b"e")
        subprocess.run(["rm", "-rf", vsock.folder], check=True)
        guest.run("guest_vsock refused 52")
        client.sendall(b"still")
        require(client.recv(5) == b"still", "the connection that was there has ended")


if __name__ == "__main__":
    sys.exit(main())
