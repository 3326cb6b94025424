#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Keeps docs/SECURITY.md and the rules of docs/TESTING.md honest: every test that they name exists, every line of the record has a
verdict and a test, every rule for transports a test or a reason.

    record.py ROOT        one line a fault, exit status 1 when there is any
    record.py --self-test judges pages with one fault each, and sees that each is found
"""
import os
import re
import sys

RECORD_MIN = 40
RULES = 27  # of virtio for transports
VERDICTS = ("prevented", "contained", "n.a.")
SOURCES = (".c", ".py", ".txt", ".patch", "")  # a test's name stands in its source, or in the CMakeLists.txt that adds it


def rows_of(page):
    """The rows of all tables under "The record": lists of four cells."""
    record = page.split("## The record", 1)[-1]
    for line in record.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and cells[0] != "was" and not set(line) <= set("|- "):
            yield cells


def named_tests(page):
    """What stands in the last column of any table, in backquotes."""
    for line in page.splitlines():
        if line.startswith("|"):
            yield from re.findall(r"`([a-z][a-z0-9_]*)`", line.strip().strip("|").split("|")[-1])


def words_of(root):
    """Every word of every test's source."""
    words = set()
    for path, folders, names in os.walk(os.path.join(root, "tests")):
        folders[:] = [f for f in folders if f not in ("corpus", "__pycache__", "lint")]
        for name in names:
            if os.path.splitext(name)[1] in SOURCES:
                with open(os.path.join(path, name), encoding="utf-8", errors="replace") as file:
                    words.update(re.findall(r"[a-z][a-z0-9_]+", file.read()))
    return words


def judge(page, words):
    rows = list(rows_of(page))
    if len(rows) < RECORD_MIN:
        yield f"the record has {len(rows)} lines, {RECORD_MIN} are the least"
    for cells in rows:
        if len(cells) != 4:
            yield f"not four cells: {cells[0]}"
            continue
        verdict = next((v for v in VERDICTS if cells[2].startswith(v)), None)
        if not verdict:
            yield f"no verdict: {cells[0]}"
        elif verdict != "n.a." and "`" not in cells[3]:
            yield f"nothing holds it: {cells[0]}"
    for name in sorted(set(named_tests(page))):
        if name not in words:
            yield f"there is no test {name}"


def judge_rules(page, words):
    """page: docs/TESTING.md."""
    rules = page.partition("## Transport rules\n")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in rules.splitlines() if re.match(r"\| \d", line)]
    if [row[0] for row in rows] != [str(i + 1) for i in range(RULES)]:
        yield f"not the {RULES} rules in their order"
    for row in rows:
        if "`" not in row[-1] and not row[-1].startswith("not here"):
            yield f"nothing holds rule {row[0]}"
    for name in sorted(set(named_tests(rules))):
        if name not in words:
            yield f"there is no test {name}"


def self_test_rules():
    good = "## Transport rules\n" + "".join(f"| {i + 1} | a | b | `it_holds` |\n" for i in range(RULES)) + "\n## More\n| 1 | `x` |\n"
    bad = {
        "not the": good.replace("| 2 |", "| 3 |", 1),
        "nothing holds rule 7": good.replace("| 7 | a | b | `it_holds` |", "| 7 | a | b | hope |"),
        "there is no test": good.replace("`it_holds`", "`it_does_not`", 1),
    }
    if list(judge_rules(good, {"it_holds"})):
        sys.exit("good rules are refused")
    for words, page in bad.items():
        faults = list(judge_rules(page, {"it_holds"}))
        if len(faults) != 1 or not faults[0].startswith(words):
            sys.exit(f"not found: {words}: {faults}")
    print(f"{len(bad)} bad tables of rules, each found")


def self_test():
    good = "## The record\n| was | where | here | held by |\n|---|---|---|---|\n" + \
        "| a | b | prevented: c | `it_holds` |\n" * RECORD_MIN
    bad = {
        "the record has": good.replace("| a | b | prevented: c | `it_holds` |\n", "", 1),
        "not four cells": good + "| a | b | prevented |\n",
        "no verdict": good + "| a | b | mended | `it_holds` |\n",
        "nothing holds it": good + "| a | b | contained | hope |\n",
        "there is no test": good + "| a | b | prevented | `it_does_not` |\n",
    }
    if list(judge(good, {"it_holds"})):
        sys.exit("a good page is refused")
    for words, page in bad.items():
        faults = list(judge(page, {"it_holds"}))
        if len(faults) != 1 or not faults[0].startswith(words):
            sys.exit(f"not found: {words}: {faults}")
    print(f"{len(bad)} bad pages, each found")


def main():
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        self_test_rules()
        return 0
    root = sys.argv[1]
    words = words_of(root)
    faults = []
    for page, judges in (("SECURITY.md", judge), ("TESTING.md", judge_rules)):
        with open(os.path.join(root, "docs", page), encoding="utf-8") as file:
            faults += [f"docs/{page}: {fault}" for fault in judges(file.read(), words)]
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
