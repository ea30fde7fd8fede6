"""Random programs of views, in-place writes and ordinary operations, for two libraries alike.

A program is a list of numbers; what each line does depends on the shapes alone, so it means the
same wherever it runs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

STEPS = 22
PROGRAMS = 60  # of these, what PyTorch gives is frozen in reference.npz


def draw_program(seed: int) -> list[tuple[int, int, int, int]]:
    """The program of a seed: up to eight lines."""
    rng = np.random.default_rng(seed)
    lines = int(rng.integers(1, 9))
    return [tuple(int(n) for n in rng.integers(0, [STEPS, 12, 12, 6])) for _ in range(lines)]


def fresh(lib: Any) -> list[Any]:
    """A leaf, a second one, a tracked copy, a constant and a constant vector."""
    values = np.random.default_rng(0).uniform(0.5, 1.5, (4, 2, 3))
    a, b, c = (lib.tensor(v.tolist(), dtype=lib.float64) for v in values[:3])
    w, u = a.requires_grad_(), b[0].clone().requires_grad_()
    return [w, u, w * 1.0, c, lib.tensor(values[3, 0].tolist(), dtype=lib.float64)]


def line(lib: Any, pool: list[Any], code: int, i: int, j: int, k: int) -> Any:
    """One statement on pool[i] and pool[j]; returns a new tensor or None."""
    x, y = pool[i % len(pool)], pool[j % len(pool)]
    code %= STEPS
    n = x.shape[0] if len(x.shape) else 0
    same = tuple(x.shape) == tuple(y.shape)
    if code == 0:
        return x[k % n] if n else x.reshape(1)
    if code == 1:
        return x[k % n :] if n else x.unsqueeze(0)
    if code == 2:
        return x.reshape(-1) if len(x.shape) != 1 else x.reshape(-1, 1)
    if code == 3:
        return x.transpose(0, 1) if len(x.shape) > 1 else x.unsqueeze(0)
    if code == 4:
        return x.detach() if k % 2 else x.clone()
    if code == 5:
        return x * y if same else x * 2.0
    if code == 6:
        return x.sin() if k % 2 else x.exp()
    if code == 7:
        return x + y if same else x - 1.0
    if code == 8:
        return x[..., ::2] if n else x * 3.0
    if code in (9, 10):
        x.mul_(y) if same else x.mul_(1.5)
    elif code in (11, 12):
        x.add_(y) if same else x.add_(0.25)
    elif code == 13:
        x.sin_() if k % 2 else x.clamp_(0.2, 0.8)
    elif code == 14:
        x.zero_() if k % 3 == 0 else x.fill_(0.5)
    elif code == 15:
        x.copy_(y) if same else x.copy_(x * 0.5)
    elif code == 16 and n:
        x[k % n] = 0.75
    elif code == 17 and n:
        x[k % n] = y.reshape(-1)[0] * 2.0 if len(y.shape) else y
    elif code == 18 and n:
        x[lib.tensor([k % n])] = 0.3
    elif code == 19:
        with lib.no_grad():
            x.mul_(0.5)
    elif code == 20:
        x[x > 0.9] = 0.1
    elif code == 21 and len(x.shape):
        x[:1] *= 0.5
    return None


def run(lib: Any, program: list[tuple[int, int, int, int]]) -> dict[str, Any]:
    """What a program leaves behind: values, who requires grad, gradients, where it failed."""
    pool = fresh(lib)
    seen: dict[str, Any] = {"failed": None}
    for number, (code, i, j, k) in enumerate(program):
        try:
            made = line(lib, pool, code, i, j, k)
        except RuntimeError:
            seen["failed"] = number
            break
        if made is not None:
            pool.append(made)
    seen["values"] = [t.detach().numpy().copy() for t in pool]
    seen["requires_grad"] = [t.requires_grad for t in pool]
    seen["leaf"] = [t.is_leaf for t in pool]
    loss = sum(((n + 1.0) * (t * t)).sum() for n, t in enumerate(pool) if t.requires_grad)
    try:
        loss.backward()
        seen["grads"] = [None if t.grad is None else t.grad.numpy() for t in pool[:2]]
    except RuntimeError:
        seen["grads"] = "refused"
    return seen
