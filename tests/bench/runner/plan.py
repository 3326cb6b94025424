# What is measured and what it is held against: the rows, their bars and aims, and constants that others have published.
# SPDX-License-Identifier: Apache-2.0
import statistics

REFERENCE, TWIN, OURS = "qsd-threads", "twin", "bulkhead"
TWIN_MAPPED = "twin-mapped"  # no bar is set by it
WALKER = "twin-messages"  # walks its ring by messages
REFERENCES = ["qsd-threads", "qsd-io_uring", "qsd-native"]
PEERS = REFERENCES + [TWIN, TWIN_MAPPED, WALKER]

# IOPS of libvfio-user's DMA messages walking such a queue, measured once on a machine like the one the bars were made
# on: constants, which no hour of another machine has to have. The same bars are held against WALKER, a peer of the run.
MESSAGES_WALK = {"batch 1": 25000, "batch 32": 35000, "64 KiB": 20000}


class Bar:
    """A ratio that the median must reach, and one that it would like to."""

    def __init__(self, against, least, aim=None, constant=None):
        self.against, self.least, self.aim, self.constant = against, least, aim, constant


class Row:
    def __init__(self, name, case, bars=()):
        self.name, self.case, self.bars = name, case, list(bars)

    def queues(self):
        return next((int(w[7:]) for w in self.case.split(":") if w.startswith("queues=")), 1)


def _walk(key, least):
    """By messages that walk: as they are in this run, and as they once were."""
    return Bar(WALKER, least), Bar(f"figure, {key}", least, constant=MESSAGES_WALK[key])


def _pair(size, block, depth, *bars):
    """The row once with reads and once with writes."""
    return [Row(f"{size} random {op}, depth {depth}", f"{op}:{block}:{depth}", bars) for op in ("read", "write")]


ROWS = [
    *_pair("4 KiB", "4k", 1, Bar(REFERENCE, 0.9, 1.2), Bar(TWIN, 0.35, 0.5), *_walk("batch 1", 1)),
    *_pair("4 KiB", "4k", 32, Bar(REFERENCE, 2.0, 3.5), Bar(TWIN, 0.45, 0.7), *_walk("batch 32", 8)),
    *_pair("4 KiB", "4k", 128, Bar(REFERENCE, 3.0, 4.5), Bar(TWIN, 0.55, 0.8)),
    *_pair("64 KiB", "64k", 8, Bar(REFERENCE, 0.9, 1.2), Bar(TWIN, 0.6, 0.85), *_walk("64 KiB", 2.5)),
    *_pair("1 MiB", "1M", 4, Bar(REFERENCE, 0.7, 1.0), Bar(TWIN, 0.7, 0.9)),
]

# Without bars: with --more.
MORE = [
    Row("4 KiB mixed, depth 32", "mixed:4k:32"),
    Row("4 KiB sequential read, depth 32", "read:4k:32:seq"),
    Row("4 KiB sequential write, depth 32", "write:4k:32:seq"),
    Row("4 KiB read, depth 8", "read:4k:8"),
    Row("4 KiB write, depth 8", "write:4k:8"),
    Row("4 KiB read, depth 32, packed ring", "read:4k:32:packed"),
    Row("4 KiB write, depth 32, packed ring", "write:4k:32:packed"),
    Row("4 KiB read, depth 32, two queues", "read:4k:32:queues=2"),
    Row("4 KiB write, depth 32, two queues", "write:4k:32:queues=2"),
]

# A file on a real disk, past the page cache.
COLD = [Row(f"cold disk, 4 KiB random {op}, depth {depth}", f"{op}:4k:{depth}")
        for op in ("read", "write") for depth in (1, 32)]


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "rounds": values}


def ratio(ours, theirs):
    """The spread of the rounds' ratios: what slows a whole round is not in it."""
    return spread([a / b for a, b in zip(ours["rounds"], theirs["rounds"]) if b > 0] or [0.0])


def verdict(value, bar):
    if value < bar.least:
        return "MISSED"
    return "aim met" if bar.aim and value >= bar.aim else "met"


def judge(row, servers):
    """Every bar of the row: {against, bar, aim, ratio, verdict}. servers: name -> the client's figures."""
    judged, ours = [], servers.get(OURS)
    for bar in row.bars:
        words = {"against": bar.against, "bar": bar.least, "aim": bar.aim}
        theirs = {"iops": spread([bar.constant])} if bar.constant else servers.get(bar.against)
        if not ours or "iops" not in ours or not theirs or "iops" not in theirs:
            words["verdict"] = "not measured"
        else:
            against = bar.constant and {"rounds": [bar.constant] * len(ours["iops"]["rounds"])} or theirs["iops"]
            words["ratio"] = ratio(ours["iops"], against)
            words["verdict"] = verdict(words["ratio"]["median"], bar)
        judged.append(words)
    return judged


def best_reference(servers):
    """The fastest of the reference's ways on this row, by median: (name, figures), or None."""
    measured = [(name, servers[name]) for name in REFERENCES if "iops" in servers.get(name, {})]
    return max(measured, key=lambda pair: pair[1]["iops"]["median"], default=None)
