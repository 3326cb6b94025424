# Parts of the bench that are programs of their own: each prints a JSON object a line, and its rows join the table.
#
#   {"row": "spawn to ready, p99", "value": 4.2, "unit": "ms", "bar": 10, "better": "less"}
#
# row and value are needed; min, max, aim and note may stand there too. Exit status 77: skipped, its last line says why.
# SPDX-License-Identifier: Apache-2.0
import json
import os
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
BENCH = os.path.dirname(HERE)
SKIPPED = 77
SECONDS = 1800  # for a part that does not end itself

# part: what it measures
PARTS = {
    "host": "starts, deaths, memory and idleness of workers; the round trip of a frame",
    "micro": "instructions of a request",
    "guest": "a Linux guest in QEMU, beside the same guest on qemu-storage-daemon",
}


def judge(row):
    bar, value = row.get("bar"), row["value"]
    if bar is None:
        return ""
    less = row.get("better", "less") == "less"
    aim = row.get("aim")
    if not (value <= bar if less else value >= bar):
        return "MISSED"
    return "aim met" if aim is not None and (value <= aim if less else value >= aim) else "met"


def rows_of(text):
    for line in text.splitlines():
        if not line.startswith("{"):
            continue
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if "row" in row and isinstance(row.get("value"), (int, float)):
            yield {**row, "verdict": judge(row)}


def run(name, build, quick):
    """{"rows": [...]} or {"skipped": why}; "error" when it did not end well."""
    program = os.path.join(BENCH, name, "run")
    if not os.path.exists(program):
        return {"skipped": f"tests/bench/{name}/run is not there"}
    argv = [program, "--build", build] + (["--quick"] if quick else [])
    try:
        done = subprocess.run(argv, text=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"error": str(error)}
    if done.returncode == SKIPPED:
        return {"skipped": (done.stdout.strip().splitlines() or ["it did not say why"])[-1]}
    result = {"rows": list(rows_of(done.stdout))}
    if done.returncode != 0:
        result["error"] = f"status {done.returncode}"
    return result
