# The one table, in a form that documents can take as it is, and the words around it.
# SPDX-License-Identifier: Apache-2.0
from .plan import OURS, REFERENCE, TWIN, WALKER, best_reference, ratio


def aligned(head, rows):
    """A table with bars between its columns, as wide as its words."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join("| " + " | ".join(word.ljust(width) for word, width in zip(line, widths)) + " |" for line in lines)


def number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def ranged(spread, scale=1.0):
    return f"{number(spread['median'] * scale)} ({number(spread['min'] * scale)}..{number(spread['max'] * scale)})"


def bar_words(judged, against):
    """The ratio, the bar with its aim, and the verdict on it: three cells."""
    for words in judged:
        if words["against"] == against:
            bar = number(words["bar"]) + (f" ({number(words['aim'])})" if words["aim"] else "")
            return [ranged(words["ratio"]) if "ratio" in words else "-", bar, words["verdict"]]
    return ["-", "", ""]


def best_words(servers):
    best = best_reference(servers)
    if not best or "iops" not in servers.get(OURS, {}):
        return "-"
    return f"{number(ratio(servers[OURS]['iops'], best[1]['iops'])['median'])} {best[0]}"


def per_request(figures):
    """Microseconds of CPU and context switches of client and servers."""
    for what in ("cpu_us", "switches"):
        client, server = (figures[f"{side}_{what}_per_request"]["median"] for side in ("client", "server"))
        yield f"{number(client)} + {number(server)}"


def bars_table(rows):
    head = ["work", "kIOPS", "MB/s", "p50, p99 us", f"by {REFERENCE}", "bar (aim)", "", "by the best reference",
            "by the twin", "bar (aim)", "", "by messages that walk", "bar", "", "by their figure", "bar", ""]
    lines = []
    for row in rows:
        ours = row["servers"].get(OURS, {})
        if "iops" not in ours:
            figures = ["-", "-", "-"]
        else:
            figures = [ranged(ours["iops"], 1e-3), number(ours["bytes_per_s"]["median"] / 1e6),
                       f"{number(ours['p50_us']['median'])}, {number(ours['p99_us']['median'])}"]
        figure = next((words["against"] for words in row["bars"] if words["against"].startswith("figure")), None)
        lines.append([row["name"], *figures, *bar_words(row["bars"], REFERENCE), best_words(row["servers"]),
                      *bar_words(row["bars"], TWIN), *bar_words(row["bars"], WALKER),
                      *bar_words(row["bars"], figure)])
    return aligned(head, lines)


def servers_table(rows):
    head = ["work", "server", "kIOPS", "MB/s", "p50 us", "p99 us", "CPU us a request, client + server",
            "switches a request, client + server", "bulkhead by it"]
    lines = []
    for row in rows:
        ours = row["servers"].get(OURS, {})
        for name, figures in row["servers"].items():
            if figures.get("absent"):
                continue  # said once, for the whole run
            if "iops" not in figures:
                lines.append([row["name"], name, figures.get("skipped", "-"), "", "", "", "", "", ""])
                continue
            by = "" if name == OURS or "iops" not in ours else ranged(ratio(ours["iops"], figures["iops"]))
            megabytes, p50, p99 = (figures[key]["median"] for key in ("bytes_per_s", "p50_us", "p99_us"))
            lines.append([row["name"], name, ranged(figures["iops"], 1e-3), number(megabytes / 1e6), number(p50), number(p99),
                          *per_request(figures), by])
    return aligned(head, lines)


def parts_table(parts):
    head = ["part", "what", "measured", "bar", ""]
    lines = []
    for name, part in parts.items():
        for row in part.get("rows", []):
            unit = row.get("unit", "")
            span = f" ({number(row['min'])}..{number(row['max'])})" if "min" in row and "max" in row else ""
            sign = "≤" if row.get("better", "less") == "less" else "≥"
            bar = "" if row.get("bar") is None else f"{sign} {row['bar']:g} {unit}"
            lines.append([name, row["row"], f"{number(row['value'])}{span} {unit}".strip(), bar, row["verdict"]])
        for key in ("skipped", "error"):
            if key in part:
                lines.append([name, f"{key}: {part[key]}", "", "", "" if key == "skipped" else "FAILED"])
    return aligned(head, lines)


def compared_table(rows, old):
    """Against an older run's medians: two runs, and so whatever the machine did in between."""
    before = {row["name"]: row["servers"] for row in old.get("rows", []) + old.get("cold", [])}
    head = ["work", "server", "kIOPS then", "kIOPS now", "now by then"]
    lines = []
    for row in rows:
        for name, figures in row["servers"].items():
            then = before.get(row["name"], {}).get(name, {})
            if "iops" in figures and "iops" in then:
                a, b = then["iops"]["median"], figures["iops"]["median"]
                lines.append([row["name"], name, number(a / 1e3), number(b / 1e3), number(b / a) if a else "-"])
    return aligned(head, lines)
