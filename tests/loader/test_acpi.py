#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What iasl says to the loader's ACPI tables: it disassembles each without a word of complaint, and what it compiles from
the DSDT's source reads the same again.

    test_acpi.py ACPI_DUMP
"""
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile

SKIPPED = 77
VIOT_MMIO, VIOT_IOMMU = 2, 4  # nodes: a device with registers in memory, a virtio IOMMU with such (ACPI 6.5, 5.2.33)
TABLES = {"RSDP": "RSD PTR", "XSDT": "XSDT", "FACP": "FACP", "APIC": "APIC", "DSDT": "DSDT"}
# vCPUs, devices: none, some, the most; and which of them is an IOMMU, from 1
MACHINES = [(1, 0, 0), (2, 3, 0), (2, 3, 2), (64, 64, 64)]
# Text of the DSDT, of each machine: how often it is there.
WORDS = [('"LNRO0005"', lambda cpus, devices: devices),
         ("Memory32Fixed (ReadWrite,", lambda cpus, devices: devices),
         ("Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive", lambda cpus, devices: devices + 1),
         ('EisaId ("PNP0501")', lambda cpus, devices: 1),
         ("Name (_S5, Package (0x04)", lambda cpus, devices: 1)]


def run(folder, *words):
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def complaints(words):
    """Lines in which iasl is not content; its summary counts errors and warnings."""
    for line in words.splitlines():
        for number, what in re.findall(r"(\d+) (Errors|Warnings)", line):
            if number != "0":
                yield f"{number} {what}"
        if re.search(r"^(Error|Warning)|ACPI (Error|Warning)|[Ii]ncorrect|[Ii]nvalid|Could not", line):
            yield line


def judge_table(folder, name, file=None):
    status, words = run(folder, "iasl", "-d", file or f"{name}.dat")
    found = list(complaints(words))
    if status != 0 or found:
        raise AssertionError(f"{name}: iasl -d: {found or words}")
    with open(f"{folder}/{name}.dsl", encoding="ascii") as text:
        source = text.read()
    if "Invalid" in source or "Warning" in source or "Unknown" in source:
        raise AssertionError(f"{name}: {source}")
    return source


def judge_again(folder, name):
    """The source compiles, and what comes of it reads the same (the compiler's lengths are shorter than ours)."""
    status, words = run(folder, "iasl", "-oa", "-vs", "-p", "again", f"{name}.dsl")
    found = list(complaints(words))
    if status != 0 or found:
        raise AssertionError(f"{name}: iasl: {found or words}")
    judge_table(folder, "again", "again.aml")
    first, again = (statements(f"{folder}/{file}.dsl") for file in (name, "again"))
    assert first == again, f"{name}: {first}\nis not\n{again}"


def statements(path):
    """A source without its comments."""
    with open(path, encoding="ascii") as file:
        return re.sub(r"//[^\n]*|/\*.*?\*/", "", file.read(), flags=re.S).split()


def judge_viot(folder, devices, iommu):
    """An IOMMU by its registers, and all others as endpoints with their numbers and theirs. Not every iasl knows this table."""
    with open(f"{folder}/VIOT.dat", "rb") as file:
        table = file.read()
    n_nodes, at = struct.unpack_from("<HH", table, 36)
    others = [i for i in range(devices) if i != iommu - 1]
    nodes, first = [], at
    for _ in range(n_nodes):
        kind, length = struct.unpack_from("<BxH", table, at)
        nodes.append((kind, *struct.unpack_from("<IQ", table, at + 4), length))
        if kind == VIOT_MMIO:
            assert struct.unpack_from("<H", table, at + 16) == (first,), "behind another node"
        at += length
    assert at == len(table), table
    registers = [0xd0000000 + 0x1000 * i for i in range(devices)]
    assert nodes == [(VIOT_IOMMU, 0, registers[iommu - 1], 16)] + [(VIOT_MMIO, i, registers[i], 24) for i in others], nodes


def judge_machine(dump, cpus, devices, iommu):
    with tempfile.TemporaryDirectory() as folder:
        status, words = run(folder, dump, folder, str(cpus), str(devices), str(iommu))
        assert status == 0, words
        sources = {name: judge_table(folder, name) for name in TABLES if name != "RSDP"}
        judge_again(folder, "DSDT")
        for text, count in WORDS:
            seen = sources["DSDT"].count(text)
            assert seen == count(cpus, devices), f"{text}: {seen} times, not {count(cpus, devices)}"
        assert sources["APIC"].count("[Processor Local APIC]") == cpus, sources["APIC"]
        assert "Hardware Reduced (V5) : 1" in sources["FACP"], sources["FACP"]
        assert "Reset Register Supported (V2) : 1" in sources["FACP"], sources["FACP"]
        assert "CMOS RTC Not Present (V5) : 1" in sources["FACP"], sources["FACP"]
        assert os.path.exists(f"{folder}/VIOT.dat") == (iommu > 0)
        if iommu:
            judge_viot(folder, devices, iommu)


def main():
    if not shutil.which("iasl"):
        print("iasl is not there: apt-get install acpica-tools")
        return 1 if os.environ.get("MUST_RUN") == "1" else SKIPPED
    for cpus, devices, iommu in MACHINES:
        judge_machine(os.path.abspath(sys.argv[1]), cpus, devices, iommu)
        print(f"{cpus} vCPUs, {devices} devices: iasl is content")
    return 0


if __name__ == "__main__":
    sys.exit(main())
