"""The page RESULTS.md, from the results of a run; and a line of each row as it comes in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from . import markdown
from .names import MODULES

Cell = Callable[[dict[str, Any]], str]
ALONE = 0.9  # processor seconds a second that whoever is not disturbed gets at least


def number(value: float) -> str:
    """Three figures that count, without an exponent: 0.0123, 1.23, 12.3, 1,230."""
    if value == 0:
        return "0"
    shown = float(f"{value:.3g}")
    size = abs(shown)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{shown:,.{digits}f}" if size >= 0.01 else f"{shown:g}"


def taking_part(rows: Iterable[dict[str, Any]], key: str) -> list[str]:
    """The contestants that have a figure in any of the rows, in the order of the tables."""
    present = {name for row in rows for name, cell in row.items() if key in cell}
    return [name for name in MODULES if name in present]


def table(head: str, rows: dict[str, dict[str, Any]], key: str, cell: Cell) -> list[str]:
    """A Markdown table: a line for each row, a column for each contestant with a figure."""
    names = taking_part(rows.values(), key)
    cells = [
        [title, *(cell(row[name]) if key in row.get(name, {}) else "-" for name in names)]
        for title, row in rows.items()
    ]
    return markdown.table([head, *names], cells)


def best(row: dict[str, Any], library: str) -> float | None:
    """The shortest time of a step among a library's contestants."""
    times = [c["us"] for n, c in row.items() if n.split()[0].split(".")[0] == library and "us" in c]
    return min(times, default=None)


def compared(rows: dict[str, Any]) -> list[str]:
    """By how much the best PyTorch and the best JAX are slower than Chainrule's best."""
    lines: list[list[str]] = []
    for name, row in rows.items():
        base = row.get("base")
        if base is None:
            continue
        ours = row["contestants"][base]
        cells = []
        for library in ("torch", "jax"):
            time = best(row["contestants"], library)
            cells.append("-" if time is None else f"{number(time / ours['us'])}x")
        lines.append([name, base, *cells, f"{ours['of_peak']:.0%}"])
    head = ["workload", "measured by", "torch / it", "jax / it", "of peak"]
    return markdown.table(head, lines, words=2)


def out_of(rows: dict[str, dict[str, Any]]) -> list[str]:
    """Who did not take part where, and why: one line a reason, and a heading if there is any."""
    reasons: dict[str, list[str]] = {}
    for title, row in rows.items():
        for name, cell in row.items():
            reason = cell.get("skipped") or cell.get("failed")
            if reason:
                reasons.setdefault(f"{name}: {reason}", []).append(title)
    if not reasons:
        return []
    lines = [
        f"- {reason} ({'everywhere' if len(titles) == len(rows) else ', '.join(titles)})"
        for reason, titles in reasons.items()
    ]
    return ["", "Did not take part:", "", *lines]


def busy(rows: dict[str, dict[str, Any]]) -> list[str]:
    """A warning where something else had the processor: those times are too long."""
    short = [
        f"{title} ({cell['cores']:.2f} of a core for {name})"
        for title, row in rows.items()
        for name, cell in row.items()
        if cell.get("cores", 1.0) < ALONE
    ]
    return ["", f"Something else kept the machine busy: {', '.join(short)}."] if short else []


def steady_part(rows: dict[str, Any]) -> list[str]:
    """The tables of steady state."""
    cells = {name: row["contestants"] for name, row in rows.items() if "contestants" in row}
    lines = ["### A step in steady state, microseconds", ""]
    lines += [*table("workload", cells, "us", lambda c: number(c["us"])), *busy(cells)]
    lines += ["", "### The share of the core's measured peak", ""]
    lines += table("workload", cells, "us", lambda c: f"{c['of_peak']:.1%}")
    lines += ["", "### The best of each library against Chainrule, times", "", *compared(rows)]
    lines += [*out_of(cells), "", "The workloads:", ""]
    return [*lines, *[f"- {row['title']}" for row in rows.values() if "title" in row], ""]


def cold_part(rows: dict[str, dict[str, Any]]) -> list[str]:
    """The tables of fresh processes."""
    again = {
        name: {k: c["again"] for k, c in row.items() if "total" in c.get("again", {})}
        for name, row in rows.items()
    }
    parts: list[tuple[str, dict[str, dict[str, Any]], Cell]] = [
        ("The first step, milliseconds", rows, lambda c: number(c["first_step"] * 1e3)),
        ("The first step in a second process", again, lambda c: number(c["first_step"] * 1e3)),
        ("From the start of the process to 100 steps, seconds", rows, lambda c: number(c["total"])),
        ("The same without import", rows, lambda c: number(c["without_import"])),
        ("Peak memory, MB", rows, lambda c: number(c["peak_mb"])),
    ]
    lines = []
    for title, shown, cell in parts:
        lines += [f"### {title}", "", *table("workload", shown, "total", cell), ""]
    return [*lines[:-1], *out_of(rows), ""]


def grid_part(grids: dict[str, Any]) -> list[str]:
    """The tables of whole trainings."""
    lines = []
    for name, grid in grids.items():
        rows = {row["title"]: row["contestants"] for row in grid.get("rows", [])}
        lines += [f"### {name}: ten epochs with compile time, milliseconds", ""]
        lines += table("network", rows, "seconds", lambda c: number(c["seconds"] * 1e3))
        lines += [*out_of(rows), ""]
    return lines


def bits_line(row: dict[str, Any]) -> str:
    """What was found out about the bits of one workload."""
    first = row["runs"][0]
    if "sha256" not in first:
        return str(first.get("skipped", first.get("failed")))
    word = "the same" if row["same"] else "OTHER"
    return f"{word} bits after {first['steps']:,} steps, loss {first['last_loss']:.6g}"


def bits_part(rows: dict[str, Any]) -> list[str]:
    """Twice on one thread and once on two, each in a process of its own."""
    lines = ["## Twice on one thread, once on two, each in a process of its own", ""]
    return [*lines, *[f"- {name}: {bits_line(row)}" for name, row in rows.items()], ""]


def page(result: dict[str, Any]) -> str:
    """RESULTS.md as a text."""
    machine = result["machine"]
    packages = ", ".join(f"{name} {v}" for name, v in machine["versions"].items())
    where = f"{machine['processor']}, {machine['cores']} cores; Python {machine['python']}"
    lines = [
        "# Results", "",
        "Written by `python benchmarks/run.py --table`; [README.md](README.md) says how. What it "
        "costs to see a training: [INSIGHT.md](INSIGHT.md).", "",
        f"{where}; {packages}.", "",
    ]  # fmt: skip
    if result["short"]:
        lines += ["A short run: it shows that everything works, and its times mean nothing.", ""]
    makers = {"steady": steady_part, "cold": cold_part, "grid": grid_part}
    for threads, row in result["threads"].items():
        peak = row["peak"].get("gflops", 0.0)
        lines += [f"## Threads: {threads}", "", f"Measured peak of a core: {peak:.0f} GFLOP/s.", ""]
        for part, maker in makers.items():
            if row.get(part):
                lines += maker(row[part])
    lines += bits_part(result["bits"]) if "bits" in result else []
    return "\n".join(lines).rstrip() + "\n"


def steady_line(name: str, row: dict[str, Any]) -> str:
    """A row of steady state on one line."""
    cells = row.get("contestants")
    if cells is None:
        return f"{name:<13} {row}"
    shown = [f"{n} {number(c['us'])}" for n, c in cells.items() if "us" in c]
    return f"{name:<13} us: {', '.join(shown) or 'nobody takes part'}"


def grid_lines(name: str, grid: dict[str, Any]) -> list[str]:
    """A grid, a line for each of its networks."""
    if "rows" not in grid:
        return [f"{name:<13} {grid}"]
    return [
        f"{name:<13} {row['title']}: ms: " + ", ".join(
            f"{n} {number(c['seconds'] * 1e3)}"
            for n, c in row["contestants"].items() if "seconds" in c
        )
        for row in grid["rows"]
    ]  # fmt: skip
