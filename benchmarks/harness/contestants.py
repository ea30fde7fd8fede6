"""What makes the training of each contestant."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .eager import ChainruleLoop, chainrule_eager, chainrule_step, torch_training
from .with_jax import JaxScan, JaxSteps
from .with_numpy import numpy_training
from .with_sklearn import SklearnFit
from .with_tinygrad import TinygradSteps

# make(workload, threads) gives a training, or raises Absent where the contestant can't take part
MAKERS: dict[str, Callable[..., Any]] = {
    "torch": partial(torch_training, fused=False, compiled=False),
    "torch tuned": partial(torch_training, fused=True, compiled=False),
    "torch.compile": partial(torch_training, fused=False, compiled=True),
    "jax jit": JaxSteps,
    "jax scan": JaxScan,
    "tinygrad": TinygradSteps,
    "sklearn": SklearnFit,
    "numpy": numpy_training,
    "chainrule eager": chainrule_eager,
    "chainrule step": chainrule_step,
    "chainrule loop": ChainruleLoop,
}
