#!/usr/bin/env python3
"""What `bulkhead run` refuses of a VM of its own: one line with the remedy, exit code 1, and nothing is left behind; and
that `bulkhead doctor` says it in advance.

    test_refusals.py BULKHEAD TEST_GUEST LYING_KVM
TRUST: its own files.
SPDX-License-Identifier: Apache-2.0
"""
import os
import shutil
import stat
import sys

from own_vm import NOBODY, TEST_GUEST, Case, bzimage, doctor, main

LYING_KVM = os.path.abspath(sys.argv.pop(3))  # the others are own_vm's
WARNING = ": warning: "  # what the jail of this host lacks is said as ever


class Refusal(Case):
    def refused(self, config, pattern, before=(), as_user=None, **more):
        """One line says why, and what to do."""
        got = self.run_it(config, 1, before, **self.user(as_user), **more)
        lines = [line for line in got.stderr.splitlines() if WARNING not in line]
        self.assertEqual(len(lines), 1, got.stderr)
        self.assertIn("error: ", lines[0])
        self.assertRegex(lines[0], pattern)
        self.assertEqual(got.stdout, "")
        self.assert_nothing_left()
        return lines[0]

    def foretold(self, config, check, pattern, before=(), as_user=None, **more):
        checks, got = doctor(config, before, **self.user(as_user), **more)
        self.assertEqual(got.returncode, 1, got.stdout)
        self.assertEqual(checks[check]["verdict"], "missing", checks[check])
        self.assertRegex(checks[check]["found"] + ": " + checks[check]["remedy"], pattern)

    def found_in_the_configuration(self, config, pattern):
        """By all who read it: run, check and doctor."""
        refused = self.refused(config, r"own\.yaml:\d+:\d+: error: " + pattern)
        _, got = doctor(config)
        self.assertEqual((got.returncode, got.stderr.strip()), (1, refused))

    def user(self, number):
        return {} if number is None else {"user": number, "group": number, "extra_groups": []}

    def lying(self, lie):
        return {"env": {**os.environ, "LD_PRELOAD": LYING_KVM, "LYING_KVM": lie}}


class Kernels(Refusal):
    def test_a_text(self):
        config = self.config(kernel=self.file("text", b"a text and no kernel\n" * 500))
        self.refused(config, "cannot boot: the kernel file is no kernel: name a bzImage")
        self.foretold(config, "its kernel", "no kernel: name a bzImage")

    def test_an_empty_file(self):
        self.found_in_the_configuration(self.config(kernel=self.file("empty", b"")), "kernel .*empty is empty: name another")

    def test_a_folder(self):
        self.found_in_the_configuration(self.config(kernel=self.dir), "kernel .* is not a file: name the kernel itself")

    def test_none(self):
        self.found_in_the_configuration(self.config(kernel="none"), "kernel .*none cannot be opened .*: correct the path")

    def test_one_that_is_cut_short(self):
        config = self.config(kernel=self.file("cut", bzimage()[:-16]))
        self.refused(config, "cannot boot: the kernel file is cut short: copy the kernel again")
        self.foretold(config, "its kernel", "cut short: copy the kernel again")

    def test_one_of_another_architecture(self):
        image = bytearray(8192)
        image[0x38:0x3c] = b"ARM\x64"
        config = self.config(kernel=self.file("Image", image))
        self.refused(config, "cannot boot: .* is a kernel for arm64 .*: name one for this machine")
        self.foretold(config, "its kernel", "arm64: name one of x86_64")

    def test_one_that_is_packed(self):
        config = self.config(kernel=self.file("vmlinuz.gz", b"\x1f\x8b" + bytes(8192)))
        self.refused(config, "cannot boot: .* is packed by gzip: unpack it")
        self.foretold(config, "its kernel", "compressed by gzip: name")

    def test_an_elf_without_its_entry(self):
        with open(TEST_GUEST, "rb") as file:
            guest = file.read()
        self.assertEqual(guest.count(b"Xen\0"), 1)
        config = self.config(kernel=self.file("vmlinux", guest.replace(b"Xen\0", b"Zen\0")))
        said = "without a PVH entry: name a bzImage, or make it with CONFIG_PVH=y"
        self.refused(config, "cannot boot: the kernel file is an ELF file " + said)
        self.foretold(config, "its kernel", "ELF " + said)
        self.assertEqual(doctor(self.config())[0]["its kernel"]["verdict"], "ok")

    def test_linux_on_a_kvm_that_cannot_run_it(self):
        if "software" not in doctor()[0]["KVM"]["found"]:
            self.skipTest("this KVM has a processor's help")
        config = self.config(kernel=self.file("bzImage", bzimage()))
        got = self.run_it(config, 1)
        self.assert_one_error(got, r"cannot boot: this KVM \(.*software.*\) cannot run Linux; use a host whose processor")
        self.assert_nothing_left()
        self.foretold(config, "its kernel", "cannot run Linux; use a host with vmx or svm")
        self.assertIn("no ordinary Linux", self.run_it(self.config("hello"), 0).stderr)


class Kvm(Refusal):
    def no_kvm(self, command):
        """Words that run the command behind them where /dev is another."""
        return ["unshare", "--mount", "sh", "-c", f"{command} || exit 99; exec \"$@\"", os.path.join(self.dir, "sh")]

    def test_there_is_none(self):
        before = self.no_kvm("mkdir -p $0.dev && mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3")
        self.refused(self.config(), "there is no /dev/kvm; .*kvm_intel or kvm_amd", before)
        self.foretold(self.config(), "/dev/kvm", "there is no /dev/kvm: .*(modprobe|virtualization)", before)

    def test_something_else_is_in_its_place(self):
        before = self.no_kvm("mount --bind /dev/null /dev/kvm")
        self.refused(self.config(), "/dev/kvm is not KVM .*; remove", before)
        self.foretold(self.config(), "KVM", "/dev/kvm is not KVM .*: remove", before)

    def test_no_permission(self):
        if os.stat("/dev/kvm").st_mode & stat.S_IROTH:
            self.skipTest("everybody may open /dev/kvm here")
        os.mkdir(self.run_dir)
        os.chown(self.run_dir, NOBODY, NOBODY)
        config = self.config(kernel=shutil.copy(TEST_GUEST, os.path.join(self.dir, "guest")))
        self.refused(config, f"no permission to open /dev/kvm for user {NOBODY}; .*usermod -aG", as_user=NOBODY)
        self.foretold(config, "/dev/kvm", f"no permission .* user {NOBODY}: .*(chgrp|usermod)", as_user=NOBODY)

    def test_another_hypervisor_has_it(self):
        self.refused(self.config(), "/dev/kvm is busy; .*stop it", **self.lying("errno=16"))
        self.foretold(self.config(), "/dev/kvm", "busy: .*stop it", **self.lying("errno=16"))

    def test_it_speaks_another_version(self):
        self.refused(self.config(), "version 11 of its API and not 12; use a Linux kernel", **self.lying("version=11"))
        self.foretold(self.config(), "KVM", "version 11 .*: use a Linux kernel", **self.lying("version=11"))

    def test_it_lacks_something(self):
        lie = self.lying("lacks=36")  # KVM_CAP_IOEVENTFD
        self.refused(self.config(), "lacks KVM_CAP_IOEVENTFD: .*; use a newer kernel", **lie)
        self.foretold(self.config(), "KVM", "lacks KVM_CAP_IOEVENTFD: .*: use a newer kernel", **lie)


class Room(Refusal):
    def test_more_memory_than_the_host_has(self):
        self.found_in_the_configuration(self.config(more="memory: 60000G"),
                                        "memory is 60000G: this host has .*: give the VM less")

    def test_more_memory_than_strict_overcommit_promises(self):
        for name, text in (("never", "2\n"), ("meminfo", "MemTotal: 8 kB\nCommitLimit: 65536 kB\nCommitted_AS: 16384 kB\n")):
            self.file(name, text.encode())
        before = ["unshare", "--mount", "sh", "-c",
                  "mount --bind $0/never /proc/sys/vm/overcommit_memory && mount --bind $0/meminfo /proc/meminfo || exit 99; "
                  "exec \"$@\"", self.dir]
        self.refused(self.config(), "memory is 64 MiB and this host has left 48 MiB, .*; give less, or raise", before)
        self.foretold(self.config(), "its place on this host", "64 MiB .*48 MiB.*give less", before)

    def test_more_memory_than_our_own_limits(self):
        for option, pattern in (("--as=62000000", "address space .*[;:] give less, or start with ulimit -v unlimited"),
                                ("--fsize=62000000", "files .*[;:] give less, or start with ulimit -f unlimited")):
            with self.subTest(option):
                self.refused(self.config(), "memory is 64 MiB and our " + pattern, ["prlimit", option])
                self.foretold(self.config(), "its place on this host", pattern, ["prlimit", option])

    def test_more_memory_than_its_addresses_reach(self):
        config = self.config(more="memory: 3073M")
        pattern = "33 bits .*RAM ends at 0x100100000.* this host has 32[;:] give the VM at most 3072 MiB"
        self.refused(config, pattern, **self.lying("width=32"))
        self.foretold(config, "its address width", pattern, **self.lying("width=32"))
        self.assertEqual(self.run_it(self.config("hello", more="memory: 3072M"), 0, **self.lying("width=32")).stdout,
                         "ok hello 1\nend\n")

    def test_too_few_bits_for_the_regions_of_its_devices(self):
        config = self.config("hello")
        with open(config, "a") as f:
            f.write("- {name: sample0, type: sample, size: 1M, shmem: map}\n")
        said = "33 bits .*the shared memory regions end at 0x100200000.* this host has 32[;:] give it smaller shared memory"
        self.refused(config, said, **self.lying("width=32"))
        self.foretold(config, "its address width", said, **self.lying("width=32"))
        self.assertRegex(doctor(config)[0]["its address width"]["found"], "33 bits needed: the shared memory regions end")

    def with_window(self, start, size, memory="3072M"):
        config = self.config("hello", more=f"memory: {memory}")
        with open(config, "a") as f:
            f.write(f"- {{name: rng1, type: rng, memory: {{windows: [{{start: {start:#x}, size: {size}}}]}}}}\n")
        return config

    def test_a_window_outside_of_its_memory(self):
        self.found_in_the_configuration(
            self.with_window(0x3fff000, "8K", "64M"), "device rng1: the window of 8192 bytes at 0x3fff000 is not in one piece of the VM's memory, "
            "which begins at 0x0 and ends at 0x4000000[;:] move it there, or part it")

    def test_a_window_that_ends_where_the_host_s_addresses_do(self):
        """The regions end there, and windows with them: a page more lies nowhere."""
        config = self.with_window((3 << 30) - 4096, "4K")
        self.assertEqual(self.run_it(config, 0, **self.lying("width=32")).stdout, "ok hello 1\nend\n")
        self.found_in_the_configuration(self.with_window((3 << 30) - 4096, "8K"), "device rng1: the window of 8192 bytes at 0xbffff000")
        config = self.with_window(1 << 32, "4K", "3073M")
        pattern = "33 bits .*RAM ends at 0x100100000.* this host has 32[;:] give the VM at most 3072 MiB"
        self.refused(config, pattern, **self.lying("width=32"))
        self.foretold(config, "its address width", pattern, **self.lying("width=32"))

    def test_a_host_too_narrow_for_any_vm(self):
        self.refused(self.config(), "32 bits .* this host has 31; ", **self.lying("width=31"))
        self.foretold(self.config(), "its address width", "32 bits .* this host has 31", **self.lying("width=31"))

    def test_more_vcpus_than_kvm_allows(self):
        config = self.config(more="memory: 64M\nvcpus: 2")
        self.refused(config, "vcpus is 2 and this host's KVM allows 1; give at most so many", **self.lying("vcpus=1"))
        self.foretold(config, "its place on this host", "vcpus is 2 .* allows 1: give", **self.lying("vcpus=1"))

    def test_more_vcpus_than_any_vm_has(self):
        self.found_in_the_configuration(self.config(more="memory: 64M\nvcpus: 65"), "vcpus is 65: use 1 to 64")

    def test_more_devices_than_interrupts(self):
        path = self.config()
        with open(path, "a") as f:
            f.writelines(f"- {{name: more{i}, type: rng}}\n" for i in range(40))
        self.refused(path, "devices.*; ")
        self.foretold(path, "this VM", "devices")


if __name__ == "__main__":
    main()
