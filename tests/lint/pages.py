#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Keeps the manual true where it can be compared: pages, keys, verbs and options that are named exist, and the other way round.

    pages.py ROOT PROGRAM   one line a fault, exit status 1 when there is any; PROGRAM: the bulkhead command
    pages.py --self-test    judges pages with one fault each, and sees that each is found
"""
import glob
import os
import re
import subprocess
import sys

PAGE = re.compile(r"\*(bulkhead[a-z.-]*)\*\((\d)\)")
LINK = re.compile(r"\]\(([A-Za-z_/.-]+\.md)\)|\b(docs/[A-Z_]+\.md)\b")
SECTION = re.compile(r"^A device of type \*(\w+)\*", re.M)


def judge_pages(pages):
    """pages: text by "name.section". Each that is named is there, and each worker's is named by another."""
    named = {name: {f"{page}.{section}" for page, section in PAGE.findall(text)} for name, text in pages.items()}
    for name, others in sorted(named.items()):
        for other in sorted(others - set(pages)):
            yield f"{name} names {other}, which is not there"
    for name in sorted(pages):
        if not any(name in others for page, others in named.items() if page != name):
            yield f"nothing names {name}"


def terms_of(text):
    """The keys that a part of bulkhead.yaml(5) explains: lines of nothing but them."""
    lines = re.findall(r"^\t*((?:\*\w+\*(?:, )?)+)(?: \(required\))?$", text, re.M)
    return {key for line in lines for key in re.findall(r"\*(\w+)\*", line)}


def judge_keys(manual, common, options):
    """common: keys of any device and of the VM; options: those of each type."""
    marks = list(SECTION.finditer(manual))
    parts = {mark[1]: manual[mark.start():following.start() if following else manual.index("\n# EXAMPLES")]
             for mark, following in zip(marks, marks[1:] + [None])}
    for key in sorted(common - terms_of(manual[:marks[0].start()] if marks else manual)):
        yield f"bulkhead.yaml.5 does not explain {key}"
    for kind, keys in sorted(options.items()):
        there = terms_of(parts.get(kind, ""))
        for key in sorted(keys - there):
            yield f"bulkhead.yaml.5 does not explain {key} of {kind}"
        for key in sorted(there - keys):
            yield f"bulkhead.yaml.5 explains {key} of {kind}, which there is not"


def judge_verbs(manual, verbs):
    """verbs: the options of each, as the command itself says them."""
    for verb, options in sorted(verbs.items()):
        if not re.search(rf"^\*{verb}\*", manual, re.M):
            yield f"bulkhead.1 does not explain the verb {verb}"
        usage = "".join(re.findall(rf"^\*bulkhead\* \*{verb}\*.*?(?=^\*bulkhead\*|^#)", manual, re.M | re.S))
        for option in sorted(options - {"--help"}):
            if f"*{option}*" not in usage:
                yield f"bulkhead.1: the synopsis of {verb} has no {option}"
            if not re.search(rf"^\*{option}\*", manual, re.M):
                yield f"bulkhead.1 does not explain {option}"
        for option in sorted(set(re.findall(r"\*(--[a-z-]+)\*", usage)) - options):
            yield f"bulkhead.1: the synopsis of {verb} has {option}, which it does not know"


def judge_links(texts, there):
    """texts: the prose by path; there: does a path exist?"""
    for path, text in sorted(texts.items()):
        for beside, whole in LINK.findall(text):
            target = whole or os.path.normpath(os.path.join(os.path.dirname(path), beside))
            if not there(target):
                yield f"{path} names {target}, which is not there"


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def keys_of(root):
    """The VM's and any device's keys, and each type's."""
    common = set(re.findall(r'CYAML_FIELD_\w+\(\s*"(\w+)"', read(f"{root}/broker/ctl/config_schema.c")))
    options = {os.path.basename(path)[:-2]: set(re.findall(r'\.key = "(\w+)"', read(path)))
               for path in glob.glob(f"{root}/proto/device/*.c")}
    return common, {kind: keys for kind, keys in options.items() if keys}


def verbs_of(program):
    def ask(*words):
        return subprocess.run([program, *words], capture_output=True, text=True, check=True).stdout
    verbs = re.findall(r"^  ([a-z][a-z-]*)\b", ask("--help"), re.M)
    return {verb: set(re.findall(r"^  (--[a-z-]+)", ask("help", verb), re.M)) for verb in verbs if verb != "help"}


def judge(root, program):
    pages = {os.path.basename(path)[:-4]: read(path) for path in glob.glob(f"{root}/docs/man/*.scd")}
    yield from judge_pages(pages)
    yield from judge_keys(pages["bulkhead.yaml.5"], *keys_of(root))
    yield from judge_verbs(pages["bulkhead.1"], verbs_of(program))
    prose = [os.path.join(root, "README.md"), *glob.glob(f"{root}/docs/*.md")]
    yield from judge_links({os.path.relpath(path, root): read(path) for path in prose},
                           lambda path: os.path.exists(os.path.join(root, path)))


KEYS = "# DEVICES\n\n*name* (required)\n\tIts name.\n\nA device of type *net* has also:\n\n*mtu*\n\tBytes.\n\n# EXAMPLES\n"
VERBS = "*bulkhead* *ps* [*--json*]++\n*bulkhead* *help*\n\n# VERBS\n\n*ps*\n\tLists.\n\n*--json*\n\tPrints JSON.\n"
GOOD = [
    lambda: judge_pages({"bulkhead.1": "*bulkhead-x*(8)", "bulkhead-x.8": "*bulkhead*(1)"}),
    lambda: judge_keys(KEYS, {"name"}, {"net": {"mtu"}}),
    lambda: judge_verbs(VERBS, {"ps": {"--json", "--help"}}),
    lambda: judge_links({"docs/A.md": "[B](B.md), docs/B.md"}, "docs/B.md".__eq__),
]
BAD = [
    ("bulkhead-y.8, which is not there", lambda: judge_pages({"bulkhead.1": "*bulkhead-y*(8)", "bulkhead-x.8": "*bulkhead*(1)"})),
    ("nothing names bulkhead-x.8", lambda: judge_pages({"bulkhead.1": "", "bulkhead-x.8": "*bulkhead*(1), *bulkhead-x*(8)"})),
    ("not explain kind", lambda: judge_keys(KEYS, {"name", "kind"}, {"net": {"mtu"}})),
    ("not explain mac of net", lambda: judge_keys(KEYS, {"name"}, {"net": {"mtu", "mac"}})),
    ("explains mtu of net, which", lambda: judge_keys(KEYS, {"name"}, {"net": {"mac"}})),
    ("not explain the verb top", lambda: judge_verbs(VERBS, {"top": set()})),
    ("of ps has no --all", lambda: judge_verbs(VERBS, {"ps": {"--json", "--all"}})),
    ("does not explain --all", lambda: judge_verbs(VERBS, {"ps": {"--json", "--all"}})),
    ("has --json, which", lambda: judge_verbs(VERBS, {"ps": set()})),
    ("docs/C.md, which is not there", lambda: judge_links({"docs/A.md": "[C](C.md)"}, "docs/B.md".__eq__)),
]


def self_test():
    surprises = [f"good: {fault}" for case in GOOD for fault in case()]
    surprises += [f"not found: {words}" for words, case in BAD if not any(words in fault for fault in case())]
    print("\n".join(surprises + [f"{len(BAD)} faults, {len(surprises)} surprises"]))
    return 1 if surprises else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    if len(sys.argv) != 3:
        print(__doc__)
        return 2
    faults = list(judge(*sys.argv[1:]))
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
