# How fast the machine is just now at what a small request is made of (pace.c). A virtual machine's processors may be half as fast in one
# hour as in the next, and that is no steal: figures of somebody else's machine say something only beside these.
# SPDX-License-Identifier: Apache-2.0
import json
import os
import statistics
import subprocess

NAMES = {"call_us": "a system call took {} us", "wake_same_us": "to wake a process on the same CPU {}", "wake_other_us": "on another {}"}
# What they were where the figures that are constants come from.
THEIRS = "0.13, 1.2 to 1.8 and 7 (quiet) to 25 on the machine of the constant figures"


def look(build, cpus="0"):
    """{name: microseconds}; empty where it cannot be had."""
    program = os.path.join(build, "tests", "bulkhead-bench-pace")
    try:
        done = subprocess.run([program, cpus.split(",")[0].split("-")[0]], text=True, capture_output=True, stdin=subprocess.DEVNULL,
                              timeout=60, check=True)
        return {name: us for name, us in json.loads(done.stdout).items() if us is not None}
    except (OSError, subprocess.SubprocessError, ValueError):
        return {}


def words(looks):
    """Of all looks of a run; none: nothing is said."""
    said = []
    for name, sentence in NAMES.items():
        values = [look[name] for look in looks if name in look]
        if values:
            said.append(sentence.format(f"{statistics.median(values):.3g} ({min(values):.3g}..{max(values):.3g})"))
    return f"{', '.join(said)}: {THEIRS}" if said else None
