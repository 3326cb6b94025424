#!/usr/bin/env python3
"""A whole VM whose broker and spawner are watched by strace: no byte that either says to anybody, or copies into a worker, is part of
an address of theirs.

    test_run_addresses.py BULKHEAD TEST_GUEST

An address is 8 bytes of either order, or a varint, that lie where the broker or the spawner has something mapped: by what the
kernel lists while the VM runs, and by each mmap that strace saw. Their layout is not random here: so a number of the
guest's that looks like one by chance does so always, or never.
TRUST: its own guest's words.
SPDX-License-Identifier: Apache-2.0
"""
import glob
import os
import re
import shutil
import subprocess
import sys

from own_vm import BULKHEAD, DEADLINE_S, Case, main

SAYS = ("write", "writev", "pwrite64", "pwritev", "sendto", "sendmsg", "sendmmsg", "process_vm_writev", "execve", "execveat")
MAPS = ("mmap", "mremap", "brk")
STRACE = ["setarch", "-R", "strace", "-ff", "-qq", "-v", "-xx", "-s", str(1 << 24), "-e", "signal=none", "-e", f"trace={','.join(SAYS + MAPS)}"]
LOWEST = 1 << 32  # an address of ours is no smaller
WORKER = "bulkhead-worker".encode().hex()


class Watched:
    """What strace says of a process or thread; a worker's own words are left out."""

    def __init__(self, path):
        self.tid = int(path.rsplit(".", 1)[1])
        self.worker = False
        self.said = {}  # system call and descriptor: bytes
        self.mapped = []
        self.heap = 0  # where it begins
        with open(path, encoding="ascii") as file:
            for line in file:
                self.take(line)

    def take(self, line):
        call, _, rest = line.partition("(")
        if self.worker:
            return
        if call in SAYS:
            assert '"...' not in rest, "strace leaves bytes out"
            text = "".join(re.findall(r'"((?:\\x[0-9a-f]{2})*)"', rest)).replace("\\x", "")
            self.said.setdefault((call, rest.split(",")[0]), bytearray()).extend(bytes.fromhex(text))
            self.worker = call.startswith("exec") and WORKER in text
        elif call in MAPS:
            self.map(call, rest)

    def map(self, call, rest):
        at = re.search(r"= (0x[0-9a-f]+)$", rest)
        if not at:
            return
        start, lengths = int(at[1], 16), re.findall(r", (\d+)", rest)
        if call == "brk":
            self.heap = self.heap or start
            self.mapped.append((self.heap, start))
        else:
            self.mapped.append((start, start + int(lengths[1 if call == "mremap" else 0])))


def merged(ranges):
    result = []
    for start, end in sorted(ranges):
        if start < LOWEST or start >> 63:
            continue
        if result and start <= result[-1][1]:
            result[-1][1] = max(result[-1][1], end)
        else:
            result.append([start, end])
    return result


def numbers(said):
    """Each that may be an address of a process, of which the highest two bytes are zero: where, and its value."""
    for i in range(len(said) - 7):
        if said[i + 6] == 0 and said[i + 7] == 0:
            yield i, int.from_bytes(said[i:i + 8], "little")
        if said[i] == 0 and said[i + 1] == 0:
            yield i, int.from_bytes(said[i:i + 8], "big")
    for match in re.finditer(rb"[\x80-\xff]{4,}[\x00-\x7f]", said):
        value = 0
        for n, byte in enumerate(reversed(match[0][-10:])):
            value = value << 7 | byte & 0x7f
            if n >= 4:
                yield match.end() - 1 - n, value


def found(said, ranges):
    """The addresses in it, and where."""
    return [(at, value) for at, value in numbers(said) if any(start <= value < end for start, end in ranges)]


class Addresses(Case):
    def start_watched(self, words):
        config = self.config(words)
        files = {name: os.path.join(self.dir, name) for name in ("disk", "pmem")}
        for path in files.values():
            with open(path, "wb") as f:
                f.truncate(4 << 20)
            os.chmod(path, 0o666)
        with open(config, "a") as f:
            f.write(f"- {{name: disk0, type: blk, path: {files['disk']}}}\n- {{name: sample0, type: sample, size: 1M, shmem: map}}\n"
                    f"- {{name: pmem0, type: pmem, path: {files['pmem']}, size: 4M, shmem: map}}\n")
        self.trace = os.path.join(self.dir, "trace")
        child = subprocess.Popen([*STRACE, "-o", self.trace, BULKHEAD, "run", "--no-trace", "--run-dir", self.run_dir, config],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)
        self.children.append(child)
        return child

    def watched(self):
        return [Watched(path) for path in sorted(glob.glob(self.trace + ".*"))]

    def listed(self):
        """What the broker and the spawner have mapped now."""
        ranges = []
        for process in self.watched():
            if process.worker or not os.path.exists(f"/proc/{process.tid}"):
                continue
            with open(f"/proc/{process.tid}/maps") as maps:
                ranges += [tuple(int(word, 16) for word in line.split()[0].split("-")) for line in maps]
        return ranges

    def end(self, child):
        said, log = child.communicate(timeout=DEADLINE_S)
        self.assertEqual(child.returncode, 0, said + log)
        self.assertIn("end\n", said)

    def told(self, ranges):
        """By whom, how and to which descriptor an address is said; and all bytes that were looked at, by system call."""
        processes = self.watched()
        ranges = merged(ranges + [one for process in processes for one in process.mapped])
        addresses, n_bytes = [], {}
        for process in processes:
            for (call, to), said in process.said.items():
                n_bytes[call] = n_bytes.get(call, 0) + len(said)
                addresses += [(process.tid, call, to, at, hex(value)) for at, value in found(bytes(said), ranges)]
        return addresses, n_bytes, len([process for process in processes if process.worker])

    def test_no_byte_that_a_worker_is_told_is_of_an_address(self):
        child = self.start_watched("blk=1 rounds=2 rng=2 region=20 pmem=3 foreign=5 echo")
        while self.line(child) != "echo\n":
            pass
        ranges = self.listed()
        child.stdin.write(".")
        child.stdin.flush()
        self.end(child)
        addresses, n_bytes, n_workers = self.told(ranges)
        self.assertEqual(addresses, [])
        # The guest waits for each block: the first goes straight into the area, those behind it through the pipe.
        self.assertGreater(n_bytes["process_vm_writev"], 4096, n_bytes)
        self.assertGreater(n_bytes["writev"], 32 * 4096, n_bytes)
        self.assertGreaterEqual(n_workers, 8)

    def test_an_address_that_the_guest_says_is_found(self):
        child = self.start_watched("say")
        while self.line(child) != "say\n":
            pass
        ranges = self.listed()
        secret = max((end - start, start) for start, end in ranges if end - start <= 64 << 20)[1] + 0x4711
        child.stdin.write(f"{secret:016x}")
        child.stdin.flush()
        self.end(child)
        addresses, _, _ = self.told(ranges)
        self.assertEqual({(call, value) for _, call, _, _, value in addresses}, {("process_vm_writev", hex(secret))})
        self.assertEqual(len(addresses), 1)

    def test_an_address_is_found_in_each_of_its_forms(self):
        ranges, secret = [(0x7f0123400000, 0x7f0123500000)], 0x7f0123456789
        varint = bytes([*(secret >> 7 * i & 0x7f | 0x80 for i in range(6)), secret >> 42])
        for form in (secret.to_bytes(8, "little"), secret.to_bytes(8, "big"), varint):
            for before in (b"", b"A", b"\xff\0\x80"):
                self.assertEqual([value for _, value in found(before + form + b"AAAA", ranges)], [secret])
                self.assertEqual(found(before + form[:-1], ranges), [])


if __name__ == "__main__":
    if not (shutil.which("strace") and shutil.which("setarch")):
        print("skipped: needs strace and setarch")
        sys.exit(1 if os.environ.get("MUST_RUN") else 77)
    main()
