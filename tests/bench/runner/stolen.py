# What the host of a virtual machine gave to others of the CPU time that was wanted here: "steal" of /proc/stat (proc(5)). Where it is
# much, absolute figures say more of that hour than of what was measured.
# SPDX-License-Identifier: Apache-2.0
import statistics

BUSY = (0, 1, 2, 5, 6)  # user, nice, system, irq, softirq; 3 and 4 are times in which nothing was wanted
STEAL = 7


def times(path="/proc/stat"):
    """(busy, stolen) since boot, in ticks of all CPUs together."""
    with open(path, encoding="ascii") as file:
        fields = [int(word) for word in file.readline().split()[1:]]
    fields += [0] * (STEAL + 1 - len(fields))
    return sum(fields[i] for i in BUSY), fields[STEAL]


def share(before, after):
    """Of what was wanted between two looks: 0 to 1."""
    busy, stolen = (b - a for a, b in zip(before, after))
    return stolen / (busy + stolen) if busy + stolen > 0 else 0.0


def words(shares):
    return (f"the host kept {statistics.median(shares):.0%} ({min(shares):.0%}..{max(shares):.0%}) of the CPU time that was wanted "
            "while a row was measured")
