# The picture: bulkhead's IOPS by each other server's, a group of bars a row of work, made by gnuplot.
# SPDX-License-Identifier: Apache-2.0
import os
import shutil
import subprocess
import tempfile

from .plan import OURS, ratio

HEAD = """
set terminal svg size 1200,560 font "sans,12" background "white"
set output "{output}"
set title "{title}"
set ylabel "bulkhead's IOPS by the other's"
set logscale y 2
set yrange [{low}:{high}]
set style data histograms
set style histogram errorbars gap 1 lw 1
set style fill solid 0.8 border -1
set boxwidth 0.9
set grid ytics
set xtics nomirror
set key outside top center horizontal
set bmargin 7
set datafile missing "?"
"""


def columns(rows):
    """server -> one (median, min, max) or None a row."""
    names = [name for name in dict.fromkeys(n for row in rows for n in row["servers"]) if name != OURS]
    found = {}
    for name in names:
        cells = []
        for row in rows:
            ours, theirs = row["servers"].get(OURS, {}), row["servers"].get(name, {})
            if "iops" in ours and "iops" in theirs:
                by = ratio(ours["iops"], theirs["iops"])
                cells.append((by["median"], by["min"], by["max"]))
            else:
                cells.append(None)
        if any(cells):
            found[name] = cells
    return found


def quoted(text):
    return '"' + text.replace("\\", "").replace('"', "").replace("_", " ") + '"'


def label(row):
    """Operation, size and depth, one below the other."""
    return '"' + "\\n".join(row["case"].split(":")) + '"'


def data_of(rows, found):
    """A line a row of work: its label; median, least and most by each server; the bar of each."""
    lines = []
    for i, row in enumerate(rows):
        cells = ["%g %g %g" % cell[i] if cell[i] else "? ? ?" for cell in found.values()]
        bars = {words["against"]: words["bar"] for words in row["bars"]}
        lines.append(" ".join([label(row), *cells, *(str(bars.get(name, "?")) for name in found)]))
    return "\n".join(lines) + "\n"


def plots(data, found):
    """The columns, then the bars as marks upon them; gnuplot gives a group of n columns and a gap the width 1."""
    n = len(found)
    for i, name in enumerate(found):
        column = 2 + 3 * i
        yield f'"{data}" using {column}:{column + 1}:{column + 2}{":xtic(1)" if i == 0 else ""} title {quoted(name)}'
    for i in range(n):
        place = (i - (n - 1) / 2) / (n + 1)
        yield (f'"{data}" using ($0+{place:g}):{2 + 3 * n + i} with points pt 2 ps 1.2 lw 3 lc rgb "red" '
               + ('title "bar"' if i == 0 else "notitle"))
    yield "1 with lines lc black lw 2 notitle"


def draw(rows, title, output):
    """True, or why there is no picture."""
    found = columns(rows)
    if not shutil.which("gnuplot"):
        return "gnuplot is not installed"
    if not found:
        return "nothing to compare"
    seen = [value for cells in found.values() for cell in cells if cell for value in cell if value > 0]
    with tempfile.TemporaryDirectory() as directory:
        data = os.path.join(directory, "rows")
        with open(data, "w", encoding="utf-8") as file:
            file.write(data_of(rows, found))
        script = HEAD.format(output=output, title=title, low=min(seen) * 0.7, high=max(max(seen) * 1.4, 1.4))
        script += "plot " + ", ".join(plots(data, found)) + "\n"
        done = subprocess.run(["gnuplot"], input=script, text=True, capture_output=True, check=False)
    return True if done.returncode == 0 else f"gnuplot: {done.stderr.strip()[:200]}"
