#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Keeps the rules of the house that no compiler keeps: who may include whom, file sizes, head comments.

    lint.py ROOT          judges the tree at ROOT; one line a fault, exit status 1 when there is any
    lint.py --self-test   makes bad files, one a rule, and sees that each is found

Rooms (docs/ARCHITECTURE.md): proto <- sandbox <- broker | workers <- tests.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

LINES_MAX = 700
LINES_WARN = 500
HEAD_LINES = 25  # a head comment ends before this line
CLANG_FORMAT_MAJOR = 14  # layouts differ between versions; Debian 12's decides

# room: the rooms it may include
ROOMS = {
    "proto": {"proto", "schema"},
    "sandbox": {"proto", "sandbox"},
    "broker": {"proto", "sandbox", "broker"},
    "workers": {"proto", "sandbox", "workers"},
    "tests": {"proto", "sandbox", "broker", "workers", "tests", "schema"},
}

# what is included: the folders whose files may
LIBRARIES = [
    (r"protobuf-c/|protobuf-c\.h$|.*\.pb-c\.h$|proto/wire\.h$",
     ["proto/", "tests/unit/test_wire.c", "tests/unit/test_lane.c", "tests/unit/test_lane_direct.c", "tests/unit/test_lane_raw.c",
      "tests/unit/test_control.c", "tests/unit/test_control_boot.c", "tests/unit/test_control_shmem.c",
      "tests/unit/test_control_stats.c",
      "tests/unit/test_spawn.c", "tests/unit/test_admin.c", "tests/unit/test_vm_config.c"]),
    (r"seccomp\.h$|cap-ng\.h$", ["sandbox/", "tests/"]),
    (r"linux/kvm\.h$", ["broker/kvm/", "tests/"]),
]

NAMES_BANNED = {"internal.h", "common.h", "common.c", "util.h", "util.c", "utils.h", "utils.c", "helpers.h",
                "helpers.c", "misc.h", "misc.c"}
LICENSE = "SPDX-License-Identifier: Apache-2.0"
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X"]) + r")\b")
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')
TEXT = (".c", ".h", ".S", ".proto", ".py", ".sh", ".cmake", ".md", ".scd", ".txt", ".yaml")


def included_room(path, quote):
    """The room an include names, "" for a system header, None for a path that names no room."""
    first = path.split("/")[0]
    if "/" in path and (first in ROOMS or first == "schema"):
        return first
    return None if quote == '"' else ""


def judge_room(name, room, target, target_room):
    if target_room not in ROOMS[room]:
        return f"{room}/ does not include {target_room}/: {target}"
    parts, target_parts = name.split("/"), target.split("/")
    if room == target_room == "workers" and len(parts) > 2 and len(target_parts) > 2:
        mine, theirs = parts[1], target_parts[1]
        if theirs not in (mine, "runtime"):
            return f"workers/{mine}/ does not include another device: {target}"
    return None


def judge_include(name, line):
    match = INCLUDE.match(line)
    if not match:
        return
    quote, target = match.groups()
    room = name.split("/")[0]
    target_room = included_room(target, quote)
    if target_room is None or ".." in target.split("/"):
        yield f'includes start with their room: "{target}"'
    elif target_room:
        fault = judge_room(name, room, target, target_room)
        if fault:
            yield fault
    for pattern, folders in LIBRARIES:
        if re.match(pattern, target) and not any(name.startswith(folder) for folder in folders):
            yield f"{target} is for {folders[0]} alone"


def judge_head(name, lines):
    head = "\n".join(lines[:HEAD_LINES])
    if LICENSE not in head:
        yield f"no line {LICENSE} at its head"
    if name.endswith(".c") and "TRUST:" not in head.split("*/")[0]:
        yield "its head comment does not say TRUST: whose bytes it sees"


def judge_source(name, lines):
    if os.path.basename(name) in NAMES_BANNED:
        yield "such a name says nothing: name the idea"
    if len(lines) > LINES_MAX:
        yield f"{len(lines)} lines, {LINES_MAX} is the most: part it"
    yield from judge_head(name, lines)
    for line in lines:
        yield from judge_include(name, line)


def judge_text(lines):
    for number, line in enumerate(lines, 1):
        match = UNFINISHED.search(line)
        if match:
            yield f"line {number}: {match.group(1)}: finish it"


def files_of(root):
    for folder in sorted(ROOMS) + ["cmake", "docs", "packaging"]:
        for path, folders, names in os.walk(os.path.join(root, folder)):
            folders[:] = sorted(f for f in folders if not f.startswith(".") and f not in ("__pycache__", "corpus"))
            for name in sorted(names):
                yield os.path.relpath(os.path.join(path, name), root)


def judge_tree(root):
    """All faults and all warnings, as "file: sentence"."""
    faults, warnings = [], []
    for name in files_of(root):
        if not name.endswith(TEXT):
            continue
        with open(os.path.join(root, name), encoding="utf-8") as file:
            lines = file.read().splitlines()
        found = list(judge_text(lines))
        if name.split("/")[0] in ROOMS and name.endswith((".c", ".h")):
            found += judge_source(name, lines)
            if LINES_WARN < len(lines) <= LINES_MAX:
                warnings.append(f"{name}: {len(lines)} lines: ask why")
        if name.endswith(".proto") and LICENSE not in "\n".join(lines[:HEAD_LINES]):
            found.append(f"no line {LICENSE} at its head")
        faults += [f"{name}: {fault}" for fault in found]
    return faults + judge_layout(root), warnings


def judge_layout(root):
    tool = shutil.which("clang-format")
    if not tool or not os.path.exists(os.path.join(root, ".clang-format")):
        return []
    version = subprocess.run([tool, "--version"], capture_output=True, text=True, check=True).stdout
    if not re.search(rf"version {CLANG_FORMAT_MAJOR}\.", version):
        return []
    names = [n for n in files_of(root) if n.split("/")[0] in ROOMS and n.endswith((".c", ".h"))]
    if not names:
        return []
    done = subprocess.run([tool, "--dry-run", "-Werror"] + names, cwd=root, capture_output=True, text=True)
    bad = sorted({line.split(":")[0] for line in done.stderr.splitlines() if ": error:" in line})
    return [f"{name}: not as clang-format lays it out: run clang-format -i" for name in bad]


# ---- self-test: each rule against a file that breaks it, and a tree that breaks none ----

HEAD = "/* A fixture.\n * TRUST: none. SPDX-License-Identifier: Apache-2.0 */\n"
BAD = [
    ("proto/a.c", '#include "sandbox/b.h"\n', "proto/ does not include sandbox/"),
    ("sandbox/a.c", '#include "broker/b.h"\n', "sandbox/ does not include broker/"),
    ("broker/core/a.c", '#include "workers/runtime/b.h"\n', "broker/ does not include workers/"),
    ("workers/blk/a.c", '#include "broker/core/b.h"\n', "workers/ does not include broker/"),
    ("workers/blk/a.c", '#include "workers/rng/b.h"\n', "another device"),
    ("workers/runtime/a.c", '#include "workers/rng/b.h"\n', "another device"),
    ("workers/blk/a.c", '#include "tests/unit/unit.h"\n', "workers/ does not include tests/"),
    ("broker/a.h", '#include "b.h"\n', "start with their room"),
    ("broker/core/a.h", '#include "broker/../workers/b.h"\n', "start with their room"),
    ("broker/a.c", "#include <broker/b.h>\n#include <workers/b.h>\n", "broker/ does not include workers/"),
    ("broker/a.c", "#include <protobuf-c/protobuf-c.h>\n", "for proto/ alone"),
    ("broker/a.c", '#include "schema/lane.pb-c.h"\n', "broker/ does not include schema/"),
    ("workers/runtime/a.c", '#include "proto/wire.h"\n', "for proto/ alone"),
    ("tests/unit/test_blk.c", '#include "schema/lane.pb-c.h"\n', "for proto/ alone"),
    ("broker/a.c", "#include <seccomp.h>\n", "for sandbox/ alone"),
    ("workers/runtime/a.c", "#include <cap-ng.h>\n", "for sandbox/ alone"),
    ("broker/core/a.c", "#  include <linux/kvm.h>\n", "for broker/kvm/ alone"),
    ("proto/a.c", "\n" * 699, "700 is the most"),
    ("proto/utils.c", "", "name the idea"),
    ("broker/internal.h", "", "name the idea"),
    ("proto/a.c", "/* TO" + "DO: later */\n", "finish it"),
    ("cmake/a.cmake", "# FIX" + "ME\n", "finish it"),
    ("docs/A.md", "XX" + "X\n", "finish it"),
]
BAD_WHOLE = [
    ("proto/a.c", "/* TRUST: none */\n", "no line SPDX"),
    ("proto/a.h", "#pragma once\n", "no line SPDX"),
    ("proto/schema/a.proto", 'syntax = "proto3";\n', "no line SPDX"),
    ("proto/a.c", "/* SPDX-License-Identifier: Apache-2.0 */\n", "TRUST"),
    ("proto/a.c", "/* SPDX-License-Identifier: Apache-2.0 */\n/* TRUST: not in the head comment */\n", "TRUST"),
]
GOOD = [
    ("proto/a.c", '#include "proto/wire.h"\n#include <protobuf-c/protobuf-c.h>\n#include "schema/lane.pb-c.h"\n'),
    ("sandbox/a.c", '#include <cap-ng.h>\n#include <seccomp.h>\n#include "proto/base/fd.h"\n'),
    ("broker/kvm/a.c", '#include <linux/kvm.h>\n#include "broker/core/queue.h"\n#include "sandbox/spawn.h"\n'),
    ("broker/core/a.c", "#include <linux/seccomp.h>\n#include <sys/socket.h>\n"),
    ("workers/blk/a.c", '#include "workers/blk/blk_req.h"\n#include "workers/runtime/link.h"\n'),
    ("tests/unit/test_wire.c", '#include "schema/lane.pb-c.h"\n#include "workers/blk/b.h"\n#include "broker/b.h"\n'),
    ("proto/b.c", "\n" * 698),
]


def found_in(files):
    with tempfile.TemporaryDirectory() as root:
        for name, text in files:
            path = os.path.join(root, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        return judge_tree(root)[0]


def layout_is_judged():
    """A badly laid out file is found, where the tool is the one that decides."""
    with tempfile.TemporaryDirectory() as root:
        os.makedirs(os.path.join(root, "proto"))
        with open(os.path.join(root, ".clang-format"), "w", encoding="utf-8") as file:
            file.write("BasedOnStyle: LLVM\n")
        good = judge_layout(root)
        with open(os.path.join(root, "proto", "a.c"), "w", encoding="utf-8") as file:
            file.write("int   a ;\n")
        bad = judge_layout(root)
    tool = shutil.which("clang-format")
    decides = tool and re.search(rf"version {CLANG_FORMAT_MAJOR}\.",
                                 subprocess.run([tool, "--version"], capture_output=True, text=True).stdout)
    return not good and len(bad) == (1 if decides else 0)


def self_test():
    failed = 0
    for name, text, words in [(n, HEAD + t if n.endswith((".c", ".h")) else t, w) for n, t, w in BAD] + BAD_WHOLE:
        found = found_in([(name, text)])
        if not any(words in fault for fault in found):
            print(f"{name} with {text[-60:]!r}: expected a fault with \"{words}\", found {found}")
            failed += 1
    found = found_in([(name, HEAD + text) for name, text in GOOD])
    if found:
        print(f"good files: found {found}")
        failed += 1
    if not layout_is_judged():
        print("layout is not judged")
        failed += 1
    print(f"{len(BAD) + len(BAD_WHOLE)} bad files, {len(GOOD)} good ones, {failed} surprises")
    return 1 if failed else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    if len(sys.argv) != 2 or not os.path.isdir(os.path.join(sys.argv[1], "proto")):
        print(__doc__)
        return 2
    faults, warnings = judge_tree(sys.argv[1])
    for warning in warnings:
        print(f"warning: {warning}")
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
