"""Writes article_000.npz: the article's snippet, run by PyTorch from several starting points.

Run it where torch is installed (`pip install .[reference]`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
SNIPPET = (HERE / "article_000_snippet.py.txt").read_text()
STARTS = 6


def run(source, arrays=None):
    """The snippet up to its first forward pass, weights set from `arrays`, then the rest of it."""
    names = {}
    head, mark, tail = source.partition("# Sample data\n")
    assert mark, "the snippet has lost the line at which it is stopped"
    exec(head, names)
    model = names["model"]
    if arrays is not None:
        tensor = names["torch"].tensor
        model.load_state_dict({name: tensor(value) for name, value in arrays.items()})
    start = {name: np.array(p.detach().numpy()) for name, p in model.named_parameters()}
    exec(tail, names)
    return start, {
        "outputs": names["outputs"].detach().numpy(),
        "loss": names["loss"].detach().numpy(),
        **{f"grad {name}": p.grad.numpy() for name, p in model.named_parameters()},
        **{f"after {name}": p.detach().numpy() for name, p in model.named_parameters()},
    }


def main():
    """Runs the snippet with PyTorch and freezes every number of it."""
    import torch

    frozen = {}
    for seed in range(STARTS):
        torch.manual_seed(seed)
        start, result = run(SNIPPET)
        frozen |= {f"{seed} start {name}": value for name, value in start.items()}
        frozen |= {f"{seed} {name}": value for name, value in result.items()}
    np.savez(HERE / "article_000.npz", **frozen)


if __name__ == "__main__":
    main()
