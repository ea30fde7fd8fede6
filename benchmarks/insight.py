"""What it costs to see a training: watching, the report, a long run's page, and rules that hit.

    python benchmarks/insight.py            # measures, prints the tables
    python benchmarks/insight.py --write    # and puts them into INSIGHT.md

Watching: recipes of `chainrule train` are trained with and without a Watch, in turns (A B A B ...),
after one training that is not counted, so that the compiler's cache is filled; medians count, and
of the differences the median of those between neighbours.
The page of a run: what `chainrule report` writes, and in Chromium, where that and playwright are
installed, from the request until the verdict can be read, and until every chart is drawn.  Rules:
every training of tests/diagnosis with a planted fault, and every healthy one, is judged.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from chainrule import diagnose, set_num_threads
from chainrule.cli import recipe as recipes
from chainrule.cli.report import write_report
from chainrule.cli.train import choose
from chainrule.train import Run, Watch
from harness.markdown import page, table

RUNS = {
    "digits": choose("digits", {"patience": None}),
    "moons": choose("moons", {"patience": None}),
    "digits, 4 layers of 512": choose("digits", {"layers": (512,) * 4, "epochs": 10}),
}
TURNS, LONG, LOOKS = 15, 100_000, 1000
TESTS = Path(__file__).parents[1] / "tests"
PAGE = Path(__file__).with_name("INSIGHT.md")
ABOUT = (
    f"Watching: medians of {TURNS} trainings each, in turns; where a difference lies within what "
    "the machine's other work makes, it means nothing, and what the Watch measures of itself is "
    "the better figure. Pages: medians of 3."
)


def trained(recipe: recipes.Recipe, watch: Watch | None, run: Run | None = None) -> float:
    """Seconds of a fit of a recipe, without compiling."""
    parts = recipes.build(recipe)
    trainer = recipes.trainer(parts, recipe, [] if watch is None else [watch])
    trainer.run = run
    gc.collect()  # what the fit before left is not counted here
    began = time.perf_counter()
    trainer.fit(parts.train, validation=parts.validation, epochs=recipe.epochs,
                batch_size=recipe.batch_size)  # fmt: skip
    return time.perf_counter() - began - trainer.compile_seconds


def watching(name: str) -> list[str]:
    """A row: seconds without and with a Watch, the difference, what it says of itself, looks."""
    recipe = RUNS[name]
    trained(recipe, Watch())
    without, watched, told = [], [], []
    for _ in range(TURNS):
        without.append(trained(recipe, None))
        watch = Watch()
        watched.append(trained(recipe, watch))
        told.append(watch.overhead)
    a, b = statistics.median(without), statistics.median(watched)
    more = statistics.median(y / x - 1 for x, y in zip(without, watched, strict=True))
    return [name, f"{a:.3f}", f"{b:.3f}", f"{100 * more:+.1f} %",
            f"{100 * statistics.median(told):.1f} %", str(len(watch.looks))]  # fmt: skip


def long_run(run: Run) -> None:
    """Gives a run a log of so many epochs, and looks for some of them."""
    rows = [
        {"epoch": i, "step": 25 * i, "loss": 0.7 / math.sqrt(i) * (1 + 0.1 * math.sin(i)),
         "val_loss": 0.8 / math.sqrt(i) + 1e-6 * i, "val_accuracy": 1 - 0.4 / math.sqrt(i),
         "lr": 0.01 * (1 - i / LONG), "grad_norm": 0.1, "seconds": 0.01}
        for i in range(1, LONG + 1)
    ]  # fmt: skip
    run.rewrite_log(rows)
    path = run.path / "layers.jsonl"
    first = json.loads(path.read_text(encoding="utf-8").splitlines()[0])
    looks = [{**first, "step": 25 * LONG // LOOKS * i + 1} for i in range(LOOKS)]
    path.write_text("".join(json.dumps(x) + "\n" for x in looks), encoding="utf-8")


def browser() -> Any:
    """Chromium, started; None where it or playwright is not installed."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    if path is None:
        return None
    return sync_playwright().start().chromium.launch(executable_path=path, args=["--no-sandbox"])


def opening(chromium: Any, path: Path) -> list[str]:
    """Seconds until the verdict can be read, and until every chart is drawn: medians."""
    if chromium is None:
        return ["not measured", "not measured"]
    read, drawn = [], []
    for _ in range(3):
        page = chromium.new_page(viewport={"width": 1100, "height": 900})
        began = time.perf_counter()
        page.goto(path.as_uri(), wait_until="domcontentloaded")
        page.wait_for_selector(".verdict")
        read.append(time.perf_counter() - began)
        for plot in page.query_selector_all(".plot[data-chart]"):
            plot.scroll_into_view_if_needed()
            page.wait_for_function("e => e.dataset.drawn === 'yes'", arg=plot, timeout=60_000)
        drawn.append(time.perf_counter() - began)
        page.close()
    return [f"{statistics.median(x):.2f}" for x in (read, drawn)]


def reports(folder: Path, chromium: Any) -> list[list[str]]:
    """A row for each run: epochs, size of its page, seconds to write and to open it."""
    found = []
    for name, recipe in {**RUNS, f"moons, {LONG:,} log rows": RUNS["moons"]}.items():
        run = Run.create("run", folder, config={"recipe": recipe.to_config()})
        trained(recipe, Watch(), run)
        if "log rows" in name:
            long_run(run)
        times = []
        for _ in range(3):
            began = time.perf_counter()
            path = write_report(run)
            times.append(time.perf_counter() - began)
        size = path.stat().st_size / 1e6
        found.append([name, f"{len(run.rows):,}", f"{size:.2f}", f"{statistics.median(times):.2f}",
                      *opening(chromium, path.resolve())])  # fmt: skip
    return found


def rules() -> list[list[str]]:
    """Rows: planted faults that were found, and healthy trainings that were called ill."""
    sys.path[:0] = [str(TESTS), str(TESTS / "diagnosis")]
    import stories
    import test_trainings

    set_num_threads(1)
    found = {n: rule in [f.id for f in diagnose(make())]
             for n, (rule, make) in test_trainings.PLANTED.items()}  # fmt: skip
    false = [n for n, make in test_trainings.HEALTHY.items() if not diagnose(make()).healthy]
    held = [(rule, s) for rule, several in stories.FAULTS.items() for s in several]
    told = sum(rule in [f.id for f in diagnose(s)] for rule, s in held)
    missed = ", ".join(n for n, ok in found.items() if not ok) or "none"
    return [
        ["faults planted in trainings", str(len(found)), f"{sum(found.values())} found",
         f"missed: {missed}"],
        ["faults planted in records", str(len(held)), f"{told} found", ""],
        ["healthy trainings", str(len(test_trainings.HEALTHY)), f"{len(false)} false alarms",
         ", ".join(false)],
    ]  # fmt: skip


def figures() -> str:
    """All tables."""
    chromium = browser()
    with tempfile.TemporaryDirectory() as folder:
        pages = reports(Path(folder), chromium)
    if chromium is not None:
        chromium.close()
    return "\n".join([
        "## Watching", "",
        *table(["run", "without, s", "watched, s", "difference", "as it says itself", "looks"],
               [watching(n) for n in RUNS]), "",
        "## The report", "",
        *table(["run", "log rows", "page, MB", "to write, s", "verdict readable, s",
                "every chart drawn, s"], pages), "",
        "## Rules", "",
        *table(["what", "how many", "outcome", "which"], rules()),
    ])  # fmt: skip


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write INSIGHT.md")
    options = parser.parse_args()
    text = figures()
    print(text)
    if options.write:
        title = "Insight: what it costs to see a training"
        packages = ("chainrule", "numpy", "llvmlite")
        PAGE.write_text(page(title, "insight.py", ABOUT, packages, text), encoding="utf-8")


if __name__ == "__main__":
    main()
