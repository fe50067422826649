"""Tables for people, and the results file."""

import datetime
import json
import os


def table(headings, rows):
    """Columns as wide as they need; numbers to the right."""
    texts = [[_text(cell) for cell in row] for row in rows]
    widths = [max(len(line[i]) for line in [headings] + texts) for i in range(len(headings))]
    numeric = [all(isinstance(row[i], (int, float)) for row in rows) for i in range(len(headings))]

    def line(cells):
        placed = [cell.rjust(w) if right else cell.ljust(w)
                  for cell, w, right in zip(cells, widths, numeric)]
        return "  ".join(placed).rstrip()

    return "\n".join([line(headings), line(["─" * w for w in widths])] + [line(t) for t in texts])


def _text(cell):
    if cell is None:
        return "–"
    if isinstance(cell, float):
        return f"{cell:.4g}" if abs(cell) < 1000 else f"{cell:.0f}"
    return str(cell)


def targets_table(targets):
    if not targets:
        return "This suite has no targets."
    rows = []
    for t in targets:
        sign = "≤" if t["better"] == "lower" else "≥"
        met = {True: "yes", False: "NO", None: "not resolved"}[t["met"]]
        if t["half_width"]:
            met += f' (±{100 * t["half_width"]:.2g} %)'
        rows.append([t["name"], f'{t["value"]:.3f}', f'{sign} {t["limit"]:g}', met])
    return table(["target", "measured", "limit", "met"], rows)


def write(directory, suite, slug, result):
    """bench/results/SUITE-ISOTIME-HARDWARE.json, the hardware if it matters; returns its path."""
    os.makedirs(directory, exist_ok=True)
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    path = os.path.join(directory, "-".join(filter(None, (suite, now, slug))) + ".json")
    with open(path, "w", encoding="utf-8") as out:
        out.write(as_json(result))
    return path


def as_json(result):
    return json.dumps(result, indent=1, ensure_ascii=False) + "\n"
