"""Times training steps of every workload in every library at hand, and writes the table.

    python benchmarks/run.py [--short] [--threads 1 2] [--only chainrule] [WORKLOAD ...]
    python benchmarks/run.py --table results.json

This process loads no library: it starts others and collects what they answer.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harness.environment import child_environment, machine
from harness.names import MODULES, ON_DISK, chosen
from harness.table import bits_line, grid_lines, page, steady_line
from workloads import GRIDS, SHORT, STEPS

HERE = Path(__file__).parent
PARTS = ("steady", "cold", "grid")
COLD_STEPS, BITS_STEPS = 100, 1000


def ask(job: dict[str, Any], threads: int, limit: float, cache: str | None = None) -> Any:
    """The answer of a fresh process to a job; what went wrong in it is an answer too."""
    command = [sys.executable, str(HERE / "child.py"), json.dumps(job)]
    environment = child_environment(threads, cache)
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=limit
        )
    except subprocess.TimeoutExpired:
        return {"skipped": f"took more than {limit:.0f} s"}
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return {"failed": lines[-1][:300]}
    if '"failed"' in done.stdout:
        print(done.stderr, file=sys.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def run_steady(options: argparse.Namespace, threads: int) -> dict[str, Any]:
    """Every workload's row of times in steady state."""
    rows = {}
    for name in options.steps:
        job = {
            "kind": "steady", "workload": name, "names": options.names, "threads": threads,
            "rounds": options.rounds, "short": options.short, "patience": options.patience,
        }  # fmt: skip
        rows[name] = ask(job, threads, options.limit * len(options.names))
        print(steady_line(name, rows[name]), flush=True)
    return rows


def run_cold(options: argparse.Namespace, threads: int, steady: dict[str, Any]) -> dict[str, Any]:
    """Every workload and contestant in a fresh process with an empty cache.

    Who keeps what it compiled on disk runs a second time.  Times in `steady` say who is too slow.
    """
    rows: dict[str, Any] = {}
    steps = 1 if options.short else COLD_STEPS
    for workload in options.steps[: 2 if options.short else None]:
        rows[workload] = {}
        for name in options.names:
            expected = steady.get(workload, {}).get("contestants", {}).get(name, {}).get("us", 0)
            if expected * steps / 1e6 > options.limit / 4:
                rows[workload][name] = {"skipped": f"{expected / 1e6:.1f} s a step are too slow"}
                continue
            job = {
                "kind": "cold", "workload": workload, "name": name, "modules": MODULES[name],
                "threads": threads, "steps": steps,
            }  # fmt: skip
            with tempfile.TemporaryDirectory() as cache:
                row = ask({**job, "begun": time.monotonic()}, threads, options.limit, cache)
                if name in ON_DISK and "total" in row:
                    job["begun"] = time.monotonic()
                    row["again"] = ask(job, threads, options.limit, cache)
            rows[workload][name] = row
        print(f"{workload}: first steps in fresh processes", flush=True)
    return rows


def run_grid(options: argparse.Namespace, threads: int) -> dict[str, Any]:
    """Total times over a grid of networks."""
    rows = {}
    for name in options.grids:
        job = {
            "kind": "grid", "workload": name, "names": options.names, "threads": threads,
            "rounds": 1 if options.short else 3, "every": 16 if options.short else 1,
        }  # fmt: skip
        rows[name] = ask(job, threads, options.limit * 30)
        print("\n".join(grid_lines(name, rows[name])), flush=True)
    return rows


def run_bits(options: argparse.Namespace) -> dict[str, Any]:
    """Whether every workload ends with the same bits in two processes, and on two threads."""
    rows = {}
    for name in options.steps:
        job = {"kind": "bits", "workload": name, "steps": 10 if options.short else BITS_STEPS}
        runs = [ask({**job, "threads": t}, t, 10 * options.limit) for t in (1, 1, 2)]
        rows[name] = {"runs": runs, "same": len({r.get("sha256") for r in runs}) == 1}
        if not rows[name]["same"]:
            rows[name]["failed"] = "other bits in another process, or on two threads"
        print(f"{name}: {bits_line(rows[name])}", flush=True)
    return rows


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line, with what to run worked out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("workloads", nargs="*", help=", ".join((*STEPS, *GRIDS)))
    parser.add_argument("--short", action="store_true", help="a few steps: does it run at all?")
    parser.add_argument("--threads", type=int, nargs="+", default=[1], metavar="N")
    parser.add_argument("--only", action="append", metavar="NAME", help=", ".join(MODULES))
    parser.add_argument("--torch-compile", action="store_true", help="needs a C++ compiler")
    parser.add_argument("--parts", nargs="+", choices=(*PARTS, "bits"), default=PARTS)
    parser.add_argument("--rounds", type=int, help="blocks of each contestant (15)")
    parser.add_argument(
        "--patience",
        type=float,
        default=5.0,
        metavar="S",
        help="a contestant that used so many seconds sits out later rounds",
    )
    parser.add_argument(
        "--limit",
        type=float,
        default=180.0,
        metavar="S",
        help="seconds for one contestant in one process",
    )
    parser.add_argument("--out", type=Path, metavar="JSON", help="write the results")
    parser.add_argument("--table", type=Path, metavar="JSON",
                        help="write RESULTS.md from such results, and run nothing")  # fmt: skip
    options = parser.parse_args(arguments)
    known = (*STEPS, *GRIDS)
    unknown = [name for name in options.workloads if name not in known]
    if unknown:
        parser.error(f"no workload is called {', '.join(unknown)}: {', '.join(known)}")
    wanted = options.workloads or (SHORT if options.short else known)
    options.steps = [name for name in wanted if name in STEPS]
    options.grids = [name for name in wanted if name in GRIDS]
    options.names = chosen(options.only, options.torch_compile)
    options.rounds = options.rounds or (2 if options.short else 15)
    return options


def failures(result: Any, path: str = "") -> list[str]:
    """Where in the results something broke, and how."""
    if not isinstance(result, dict):
        items = enumerate(result) if isinstance(result, list) else ()
        return [line for i, value in items for line in failures(value, f"{path}[{i}]")]
    own = [f"{path}: {result['failed']}"] if "failed" in result else []
    return own + [
        line for key, value in result.items() for line in failures(value, f"{path} {key}")
    ]


def write(result: dict[str, Any], out: Path | None) -> None:
    """What is known so far: a run that is stopped later keeps its finished parts."""
    if out:
        out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    """Runs what was asked for; 1 where something broke."""
    options = parse()
    if options.table:
        text = page(json.loads(options.table.read_text(encoding="utf-8")))
        (HERE / "RESULTS.md").write_text(text, encoding="utf-8")
        return 0
    result: dict[str, Any] = {"machine": machine(), "short": options.short, "threads": {}}
    print(result["machine"])
    for threads in options.threads:
        row: dict[str, Any] = {"peak": ask({"kind": "peak"}, threads, options.limit)}
        print(f"{threads} thread(s); peak of a core: {row['peak']}", flush=True)
        result["threads"][str(threads)] = row
        if "steady" in options.parts:
            row["steady"] = run_steady(options, threads)
            write(result, options.out)
        if "cold" in options.parts:
            row["cold"] = run_cold(options, threads, row.get("steady", {}))
            write(result, options.out)
        if "grid" in options.parts:
            row["grid"] = run_grid(options, threads)
            write(result, options.out)
    if "bits" in options.parts:
        result["bits"] = run_bits(options)
        write(result, options.out)
    broken = failures(result)
    for line in broken:
        print(f"failed:{line}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
