"""How long a fit takes: chainrule.sklearn.MLPClassifier against scikit-learn's, at equal settings.

    python benchmarks/estimators.py            # measures, prints the tables
    python benchmarks/estimators.py --write    # and puts them into ESTIMATORS.md

Every measurement is made by a process of its own with the threads of all libraries set.  In one
process the two take turns, fit by fit (A B A B ...), each seed once, and medians count.  The first
fit of a process is told apart: with an empty compiler cache (cold), and with the cache that it left
(warm).  Imports are not counted, compiling is.  Scores are of a held-out quarter.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

from harness.environment import child_environment
from harness.markdown import page, table

DATA = ("iris", "wine", "breast_cancer", "digits")
SEEDS = 5
NAMES = {"sklearn": "scikit-learn", "float64": "chainrule", "float32": "chainrule, float32"}
PAGE = Path(__file__).with_name("ESTIMATORS.md")
ABOUT = (
    f"Defaults throughout (one hidden layer of 100, Adam), {SEEDS} seeds after a first fit that is "
    "not counted, inputs scaled. In float64 both go through the same weights, so scores and epochs "
    "are equal; scores are mean ± standard deviation over seeds."
)


def split(name: str) -> list[Any]:
    """Scaled inputs and classes: three quarters to learn from, one to be scored by."""
    from sklearn import datasets
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    x, held, y, known = train_test_split(x, y, test_size=0.25, random_state=0, stratify=y)
    scaler = StandardScaler().fit(x)
    return [scaler.transform(x), y, scaler.transform(held), known]


def makers(names: list[str]) -> dict[str, Any]:
    """What makes the estimator of each contestant, for a seed."""
    from sklearn import neural_network

    from chainrule.sklearn import MLPClassifier

    all_of_them = {
        "sklearn": lambda seed: neural_network.MLPClassifier(random_state=seed),
        "float64": lambda seed: MLPClassifier(random_state=seed),
        "float32": lambda seed: MLPClassifier(random_state=seed, dtype="float32"),
    }
    return {n: all_of_them[n] for n in names}


def measured(name: str, contestants: list[str], seeds: int) -> dict[str, Any]:
    """Seconds, scores and epochs of every fit, the contestants taking turns."""
    x, y, held, known = split(name)
    names = ("seconds", "processor", "scores", "epochs")
    found: dict[str, Any] = {c: {n: [] for n in names} for c in contestants}
    for seed in range(seeds):
        for contestant, make in makers(contestants).items():
            model = make(seed)
            begin, used = time.perf_counter(), time.process_time()
            model.fit(x, y)
            found[contestant]["seconds"].append(time.perf_counter() - begin)
            found[contestant]["processor"].append(time.process_time() - used)
            found[contestant]["scores"].append(model.score(held, known))
            found[contestant]["epochs"].append(model.n_iter_)
    return found


def child(name: str, contestants: list[str], seeds: int, threads: int, cache: str) -> Any:
    """`measured` in a fresh process."""
    command = [sys.executable, __file__, "--child", name, *contestants, "--seeds", str(seeds)]
    done = subprocess.run(
        command, env=child_environment(threads, cache), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def rows(name: str, threads: int) -> dict[str, Any]:
    """All that is measured of one data set."""
    found: dict[str, Any] = {"data": name, "threads": threads, "first": {}}
    with tempfile.TemporaryDirectory() as cache:
        for contestant in ("sklearn", "float64"):
            for state in ("cold", "warm"):
                got = child(name, [contestant], 1, threads, cache)
                one = got[contestant]
                found["first"][contestant, state] = one["seconds"][0], one["processor"][0]
        found["steady"] = child(name, list(NAMES), SEEDS + 1, threads, cache)
    return found


def steady(all_rows: list[dict[str, Any]]) -> list[list[str]]:
    """A row for each estimator: its fits after the first, against scikit-learn's."""
    found = []
    for row in all_rows:
        base = typical(row["steady"]["sklearn"])
        for c, title in NAMES.items():
            got = row["steady"][c]
            ms, used = typical(got)
            score = f"{statistics.mean(got['scores']):.4f} ± {statistics.stdev(got['scores']):.4f}"
            found.append([row["data"], str(row["threads"]), title, f"{ms:.1f}",
                          f"{base[0] / ms:.1f}", f"{used:.1f}", f"{base[1] / used:.1f}", score,
                          f"{statistics.median(got['epochs']):g}"])  # fmt: skip
    return found


def first(all_rows: list[dict[str, Any]]) -> list[list[str]]:
    """A row for each data set: the first fit of a process."""
    found = []
    for row in all_rows:
        theirs, cold, warm = (
            row["first"][k] for k in (("sklearn", "warm"), ("float64", "cold"), ("float64", "warm"))
        )
        cells = [f"{wall * 1e3:.0f} ({used * 1e3:.0f})" for wall, used in (theirs, cold, warm)]
        cells += [f"{a / b:.1f}" for a, b in zip(theirs, warm, strict=True)]
        found.append([row["data"], str(row["threads"]), *cells])
    return found


def figures(all_rows: list[dict[str, Any]]) -> str:
    """Both tables."""
    return "\n".join([
        *table(["data", "threads", "estimator", "ms a fit", "times faster", "processor ms",
                "times less", "score", "epochs"], steady(all_rows), words=3),
        "", "The first fit of a process, in ms, and ms of the processor:", "",
        *table(["data", "threads", "scikit-learn", "chainrule, cold", "chainrule, warm",
                "times faster, warm", "times less"], first(all_rows), words=2),
    ])  # fmt: skip


def typical(got: dict[str, Any]) -> tuple[float, float]:
    """Milliseconds of a fit, and of the processor, without the first fit: medians."""
    return tuple(statistics.median(got[n][1:]) * 1e3 for n in ("seconds", "processor"))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--seeds", type=int, default=SEEDS, help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--write", action="store_true", help="write ESTIMATORS.md")
    options = parser.parse_args()
    if options.child:
        warnings.simplefilter("ignore")
        print(json.dumps(measured(options.child[0], options.child[1:], options.seeds)))
        return
    text = figures([rows(name, n) for n in options.threads for name in DATA])
    print(text)
    if options.write:
        title = "Estimators: a fit of MLPClassifier"
        packages = ("chainrule", "numpy", "scikit-learn")
        PAGE.write_text(page(title, "estimators.py", ABOUT, packages, text), encoding="utf-8")


if __name__ == "__main__":
    main()
