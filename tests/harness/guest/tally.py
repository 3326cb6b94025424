# Runs ctest, shows what goes on, and adds up over several runs. Used by tests/run.
#
#   tally.py ctest NAME STATE LOG -- CTEST [ARG...]   one run; its outcome is added to the file STATE
#   tally.py add STATE OUTCOME NAME [WHY]             OUTCOME: passed, failed or skipped; for what is no ctest
#   tally.py adds STATE FILE                          the same for a file of lines "OUTCOME NAME"
#   tally.py total STATE LOG                          "N passed, N failed, N skipped"; status 1 if any failed
#
# With MUST_RUN=1 a skipped test is a failed one.
# SPDX-License-Identifier: Apache-2.0
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

SLOW = 5.0  # seconds; a test that takes longer gets a line of its own
LINE = re.compile(r"^\s*(\d+)/(\d+) Test\s+#\d+: (\S+) \.*\s*(.*?)\s+([\d.]+) sec")
START = re.compile(r"^\s*Start\s+\d+: (\S+)")
WRONG = re.compile(r"FAILED|NOT HELD|HARM|\[  ERROR   \]|ERROR: |WARNING: |Error: |runtime error: ")
TOLD = 8  # lines of a failed test that are shown, of either kind
TERMINAL = sys.stdout.isatty()
MUST_RUN = os.environ.get("MUST_RUN") == "1"


def load(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return []


def reason(output, outcome):
    """The lines in a test's output that say why: of a failure, what it calls one and how it ended."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if outcome == "skipped":
        told = [line.removeprefix("skipped:").strip() for line in lines if line.startswith("skipped:")]
        return (told or lines[-1:] or ["it said nothing"])[0]
    told = [i for i, line in enumerate(lines) if WRONG.search(line)][:TOLD]
    last = range(max(0, len(lines) - TOLD), len(lines))
    return "\n".join(lines[i][:200] for i in sorted({*told, *last})) or "it said nothing"


def read_junit(path):
    results = []
    for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
        output = case.findtext("system-out") or ""
        status = case.get("status")
        outcome = {"run": "passed", "fail": "failed"}.get(status, "skipped")
        if outcome == "skipped" and case.find("skipped") is None:
            outcome = "failed"
        # Not found, not built: ctest calls that "not run" too.
        if outcome == "skipped" and "SKIP_RETURN_CODE" not in (case.find("skipped").get("message") or ""):
            outcome = "failed"
        why = None if outcome == "passed" else reason(output, outcome)
        if outcome == "skipped" and MUST_RUN:
            outcome = "failed"
        results.append((outcome, case.get("name"), why))
    return results


class Screen:
    """Lines that stay, and on a terminal one that changes."""

    def __init__(self, name):
        self.name = name
        self.live = False

    def stay(self, text):
        self.wipe()
        print(text, flush=True)

    def show(self, text):
        if TERMINAL:
            self.wipe()
            print(f"  {self.name:<10} {text[:66]}", end="", flush=True)
            self.live = True

    def wipe(self):
        if self.live:
            print("\r\033[K", end="")
        self.live = False


def run_ctest(name, log_path, command):
    screen, begin, running = Screen(name), time.monotonic(), {}
    with tempfile.TemporaryDirectory() as directory, open(log_path, "a", encoding="utf-8") as log:
        junit = f"{directory}/junit.xml"
        process = subprocess.Popen([*command, "--output-junit", junit], text=True, errors="backslashreplace",
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        for line in process.stdout:
            log.write(line)
            log.flush()
            started, ended = START.match(line), LINE.match(line)
            if started:
                running[started[1]] = True
            if ended:
                running.pop(ended[3], None)
                outcome, seconds = ended[4], float(ended[5])
                word = "FAILED" if "Failed" in outcome or "Timeout" in outcome or "Exception" in outcome \
                    else "skipped" if "Skipped" in outcome else ""
                if word or seconds >= SLOW:
                    screen.stay(f"  {'':<10} {ended[3]:<54} {seconds:>7.1f} s  {word}".rstrip())
                screen.show(f"{ended[1]}/{ended[2]}  {' '.join(running)}")
        process.wait()
        screen.wipe()
        results = read_junit(junit) if os.path.exists(junit) else \
            [("failed", name, "ctest did not run; see the log")]
    passed = sum(outcome == "passed" for outcome, _, _ in results)
    words = f"{passed} of {len(results)} passed"
    print(f"  {name:<10} {words:<54} {time.monotonic() - begin:>7.1f} s", flush=True)
    return [(outcome, f"{name}: {test}", why) for outcome, test, why in results]


def total(path, log):
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    results = load(path)
    print()
    for wanted in ("skipped", "failed"):
        for outcome, name, why in results:
            if outcome == wanted:
                print(f"  {wanted}  {name}")
                for line in (why or "").splitlines():
                    print(f"          {line}")
    for outcome, _, _ in results:
        counts[outcome] += 1
    if counts["failed"]:
        print(f"\n  The whole log: {log}")
    if counts["failed"] or counts["skipped"]:
        print()
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped", flush=True)
    return 1 if counts["failed"] or not counts["passed"] else 0


def main():
    verb = sys.argv[1]
    if verb == "total":
        return total(*sys.argv[2:4])
    if verb == "add":
        path, outcome, name = sys.argv[2:5]
        if outcome == "skipped" and MUST_RUN:
            outcome = "failed"
        results = [(outcome, name, sys.argv[5] if len(sys.argv) > 5 else None)]
    elif verb == "adds":
        path, outcomes = sys.argv[2:4]
        with open(outcomes, encoding="utf-8") as file:
            lines = [line.strip().partition(" ") for line in file]
        results = [("failed" if outcome == "skipped" and MUST_RUN else outcome, name, None)
                   for outcome, _, name in lines]
    else:
        name, path, log = sys.argv[2:5]
        results = run_ctest(name, log, sys.argv[6:])
    everything = load(path) + [list(result) for result in results]
    with open(path, "w", encoding="utf-8") as file:
        json.dump(everything, file)
    return 1 if any(result[0] == "failed" for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
