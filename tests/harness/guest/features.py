# The rule of each feature bit, as docs/FEATURES.md has it (a test holds that page and broker/core/features.c the same), and the sets that
# `bulkhead ps` tells, held against it.
# SPDX-License-Identifier: Apache-2.0
import os
import re

from .claims import TOP, require

ACCESS_PLATFORM = 33
SETS = ("offered", "agreed", "worker")


def rules(device_type):
    """{bit: (name, who offers it, guest sees it, VMM sees it, worker sees it)} of a device type."""
    found = {}
    with open(os.path.join(TOP, "docs/FEATURES.md"), encoding="utf-8") as page:
        for line in page:
            cells = [cell.strip() for cell in line.strip("|\n ").split("|")]
            if len(cells) == 10 and cells[0].isdigit() and cells[2] in ("all", device_type):
                found[int(cells[0])] = (cells[1], cells[3], *(cell == "yes" for cell in cells[4:7]))
    require(found, "docs/FEATURES.md has no table")
    return found


def bits(number):
    return {bit for bit in range(64) if number >> bit & 1}


def sets_of(device):
    """Of a device of `ps --json`."""
    return {name: bits(int(device[f"features_{name}"], 16)) for name in SETS}


def held(t, device, guest):
    """Shows the three sets of a device that a VMM has attached to, and the guest's own words (a text of 64 digits), and holds them against
    the table: each set has only what its row lets it have, and the worker is told all of its type's that is agreed."""
    table, sets = rules(device["type"]), sets_of(device)
    theirs = {bit for bit, digit in enumerate(guest.strip()) if digit == "1"}
    for number, (name, column) in enumerate((("offered", 2), ("agreed", 3), ("worker", 4))):
        wrong = {bit for bit in sets[name] if bit not in table or not table[bit][column]}
        require(not wrong, f"{device['device']}: {name}: bits {sorted(wrong)} are not for that set, by docs/FEATURES.md")
        t.stage(f"{device['device']}: {('offered to the guest', 'agreed with the VMM', 'told to the worker')[number]}: "
                + " ".join(f"{bit}:{table[bit][0]}" for bit in sorted(sets[name])))
    mine = {bit for bit in sets["agreed"] if table[bit][4]}
    require(sets["worker"] == mine, f"{device['device']}: the worker is told {sorted(sets['worker'])}, and agreed are {sorted(mine)}")
    own = {bit for bit in table if re.match("worker|broker", table[bit][1])}
    require(sets["agreed"] & own == theirs & sets["offered"] & own,
            f"{device['device']}: agreed are {sorted(sets['agreed'])}, and the guest has {sorted(theirs)}")
    return sets, theirs
