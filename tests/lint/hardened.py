#!/usr/bin/env python3
"""Are the programs that ship hardened as they are compiled to be? Their code is made when they are linked, which could forget it.

    hardened.py [FLAG...] -- PROGRAM...     FLAG: those of the compiler's that count (cmake/hardening.cmake)
    hardened.py --self-test
SPDX-License-Identifier: Apache-2.0
"""
import re
import subprocess
import sys

ZEROED = re.compile(r"%(e[cd]x|e[sd]i|r8d|r9d|r1[01]d),%\1$")  # what a call may leave behind; %eax is an answer
FEW = 10  # functions: what little of it comes with libc, or by chance, is less


def output(*argv):
    return subprocess.run(argv, text=True, capture_output=True, check=True).stdout


def instructions(listing):
    """(mnemonic, operands) of each line that is one."""
    for line in listing.splitlines():
        words = line.split("\t")
        if len(words) > 1 and words[1].strip():
            name, _, operands = words[1].split("#")[0].strip().partition(" ")
            yield name, operands.strip()


def zeroing_returns(listing):
    """Functions that end with two registers or more made zero."""
    found = run = 0
    for name, operands in instructions(listing):
        if name == "xor" and ZEROED.match(operands):
            run += 1
            continue
        found += name == "ret" and run >= 2
        run = 0
    return found


def guarded_calls(listing):
    return sum(name == "call" and "__stack_chk_fail" in operands for name, operands in instructions(listing))


def faults(headers, listing, flags):
    """What is missing of a program, in words."""
    if "DYN (Position-Independent Executable" not in headers:
        yield "is not position independent"
    if "GNU_RELRO" not in headers or not re.search(r"FLAGS_1.*\bNOW\b", headers):
        yield "has relocations that stay writable"
    if not re.search(r"GNU_STACK.* RW  ", headers):
        yield "has a stack that can be executed, or does not say"
    if "-fstack-protector-strong" in flags and guarded_calls(listing) < FEW:
        yield "has no stack protector"
    if "-fzero-call-used-regs=used-gpr" in flags and zeroing_returns(listing) < FEW:
        yield "leaves registers as they are when it returns"


def judge(program, flags):
    headers = output("readelf", "-Wlhd", program)
    machine = re.search(r"Machine: +(.*)", headers)[1]
    counted = flags if "X86-64" in machine else []  # the listing is of that machine
    return [f"{program}: {fault}" for fault in
            faults(headers, output("objdump", "-d", "--no-show-raw-insn", program) if counted else "", counted)]


def self_test():
    good = "\n".join(["  10:\txor    %ecx,%ecx", "  12:\txor    %edi,%edi", "  14:\tret", "  15:\tcall   9 <__stack_chk_fail@plt>"] * FEW)
    headers = ("  Type:   DYN (Position-Independent Executable file)\n  GNU_RELRO\n  GNU_STACK 0x0 0x0 0x0 0x0 RW  0x10\n"
               " (FLAGS_1)   Flags: NOW PIE\n")
    flags = ["-fstack-protector-strong", "-fzero-call-used-regs=used-gpr"]
    assert not list(faults(headers, good, flags))
    for without in ("Position-Independent ", "GNU_RELRO", "NOW ", " RW "):
        assert len(list(faults(headers.replace(without, ""), good, flags))) == 1, without
    for without in ("%edi,%edi", "__stack_chk_fail"):
        assert len(list(faults(headers, good.replace(without, "%eax,%eax"), flags))) == 1, without
        assert not list(faults(headers, good.replace(without, "%eax,%eax"), []))


def main():
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        return 0
    middle = sys.argv.index("--")
    flags, programs = sys.argv[1:middle], sys.argv[middle + 1:]
    found = [fault for program in programs for fault in judge(program, flags)]
    print("\n".join(found) or f"{len(programs)} programs are hardened")
    return 1 if found or not programs else 0


if __name__ == "__main__":
    sys.exit(main())
