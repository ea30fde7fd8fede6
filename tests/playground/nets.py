"""Random small networks for the playground, and the page's evaluator run by itself."""

from __future__ import annotations

import json
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.playground.network import ELEMENTWISE, PLAIN, small

ASSETS = Path(chainrule.__file__).parent / "playground" / "assets"
ACTIVATIONS = [*PLAIN, *ELEMENTWISE]
LOSSES = [
    lambda: nn.CrossEntropyLoss(label_smoothing=0.1), nn.CrossEntropyLoss, nn.MSELoss,
    nn.QuadraticCost, nn.BCELoss, nn.BCEWithLogitsLoss,
]  # fmt: skip


def drawn(rng, k):
    """(model, loss, scale, x, y): the k-th of a series in which every loss and activation comes."""
    loss = LOSSES[k % len(LOSSES)]()
    sizes = [int(rng.integers(1, 6)) for _ in range(int(rng.integers(2, 5)))]
    parts = []
    for i, (a, b) in enumerate(pairwise(sizes)):
        parts.append(nn.Linear(a, b, bias=bool(rng.integers(2)), dtype=np.float64))
        parts.append(ACTIVATIONS[(k + 5 * i) % len(ACTIVATIONS)]())
    parts[-1:] = [nn.Sigmoid()] if isinstance(loss, nn.BCELoss) else []
    y = rng.uniform(0.05, 0.95, sizes[-1])
    if isinstance(loss, nn.CrossEntropyLoss):
        y = int(rng.integers(sizes[-1]))
    scale = (0.3, 1.7) if k % 2 else None
    return nn.Sequential(*parts), loss, scale, rng.normal(size=sizes[0]) * 2, y


def net_of(drawn):
    model, loss, scale, _, _ = drawn
    return small(model, loss, scale)


def evaluated(cases):
    """What evaluate.js makes of (program, inputs) pairs, in Node.js or in Chromium."""
    script = (ASSETS / "evaluate.js").read_text()
    given = [[p, {k: np.ravel(v).tolist() for k, v in inputs.items()}] for p, inputs in cases]
    call = "given.map(([p, i]) => evaluate(p, i))"
    if shutil.which("node"):
        read = 'const given = JSON.parse(require("fs").readFileSync(0, "utf8"));'
        program = f"{script}\n{read}\nconsole.log(JSON.stringify({call}, {AS_TEXT}));"
        done = subprocess.run(["node", "-e", program], input=json.dumps(given), text=True,
                              capture_output=True, check=True)  # fmt: skip
        return json.loads(done.stdout)
    if shutil.which("chromium"):
        sync_api = pytest.importorskip("playwright.sync_api")
        with sync_api.sync_playwright() as p:
            browser = p.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            page = browser.new_page()
            page.evaluate(script)
            found = page.evaluate(
                f"(text) => {{ const given = JSON.parse(text);"
                f"return JSON.stringify({call}, {AS_TEXT}); }}",
                json.dumps(given),
            )
            browser.close()
        return json.loads(found)
    pytest.skip("neither node nor chromium is there to run the page's evaluator")


AS_TEXT = '(k, v) => (typeof v === "number" && !Number.isFinite(v) ? String(v) : v)'
"""JSON has no nan: they come back as texts."""
