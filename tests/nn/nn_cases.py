"""What is compared with PyTorch for each layer and loss: settings, inputs, and how it is called."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
from layer_cases import CASES as LAYERS
from tabular_cases import CASES as TABULAR

from frozen import Case

rng = np.random.default_rng(20)
EDGES = np.array(
    [-1e4, -100, -30, -6, -3, -1, -0.5, -1e-3, 0, 1e-3, 0.5, 1, 3, 6, 25, 100, 1e4], np.float64
)

ACTIVATIONS: dict[str, list[dict[str, Any]]] = {
    "Sigmoid": [{}],
    "Tanh": [{}],
    "ReLU": [{}, {"inplace": False}],
    "ReLU6": [{}],
    "SELU": [{}],
    "SiLU": [{}],
    "Mish": [{}],
    "Softsign": [{}],
    "LogSigmoid": [{}],
    "LeakyReLU": [{}, {"negative_slope": 0.2}],
    "ELU": [{}, {"alpha": 0.3}],
    "GELU": [{}, {"approximate": "tanh"}],
    "Softplus": [{}, {"beta": 2.0}, {"beta": 0.5, "threshold": 3.0}],
    "Hardtanh": [{}, {"min_val": -3.0, "max_val": 0.5}],
}
SOFTMAXES: dict[str, list[dict[str, Any]]] = {
    "Softmax": [{"dim": 0}, {"dim": 1}, {"dim": -1}],
    "LogSoftmax": [{"dim": 0}, {"dim": 1}, {"dim": -1}],
}


def named(name: str, settings: dict[str, Any]) -> str:
    """nn.ELU(alpha=0.3)."""
    return f"nn.{name}({', '.join(f'{k}={v}' for k, v in settings.items())})"


def layer_case(name: str, settings: dict[str, Any], *inputs: Any, tag: str = "") -> Case:
    """A module made from its settings and called."""
    return Case(
        named(name, settings) + tag,
        lambda lib, *xs: getattr(lib.nn, name)(**settings)(*xs),
        inputs,
    )


def activation_cases() -> list[Case]:
    """Values at kinks, at both ends of the range, and between."""
    x = np.concatenate([EDGES, rng.normal(size=7) * 2])
    # twice only where PyTorch's own second derivatives are sound: Mish's is nan beyond 44 there,
    # ELU's at 0 and Softplus' at the threshold are not those of the branch that its slope takes
    inner = np.concatenate([[-30.0, -9.0, -0.75, 0.6, 9.0, 25.0], rng.normal(size=6) * 2])
    cases = []
    for n, settings in ACTIVATIONS.items():
        for s in settings:
            cases.append(layer_case(n, s, x)._replace(second=False))
            cases.append(layer_case(n, s, inner, tag=" twice"))
    z = np.concatenate([rng.normal(size=(2, 3, 2)) * 3, np.array([[[1e4, -1e4]] * 3])])
    cases += [layer_case(n, s, z) for n, settings in SOFTMAXES.items() for s in settings]
    return cases


def regression_cases() -> list[Case]:
    """Losses of a difference, at 0, at the bend of Huber's, and with a target that broadcasts."""
    x = np.array([[0.0, 1.0, -1.0, 2.5], [0.3, -4.0, 1e3, 0.5]])
    t = np.array([[0.0, 0.0, 0.0, 0.5], [0.4, 1.0, -1.0, 0.0]])
    cases = []
    for reduction in ("mean", "sum", "none"):
        r = {"reduction": reduction}
        for name, extra in (
            ("MSELoss", {}), ("L1Loss", {}), ("HuberLoss", {}), ("HuberLoss", {"delta": 0.4}),
            ("SmoothL1Loss", {}), ("SmoothL1Loss", {"beta": 0.5}), ("SmoothL1Loss", {"beta": 0.0}),
        ):  # fmt: skip
            cases.append(layer_case(name, {**r, **extra}, x, t))
    cases.append(
        Case("nn.QuadraticCost()", _quadratic, (rng.normal(size=(3, 2)), rng.normal(size=(3, 2))))
    )
    return cases


def _quadratic(lib: Any, a: Any, y: Any) -> Any:
    if hasattr(lib.nn, "QuadraticCost"):
        return lib.nn.QuadraticCost()(a, y)
    return ((a - y) ** 2).sum() / (2 * a.shape[0])


def class_cases() -> list[Case]:
    """Cross-entropy and NLL: every option, with rows, without, and with extra dimensions."""
    cases = []
    shapes = {"": ((4, 3), (4,)), " row": ((3,), ()), " extra": ((2, 3, 2, 2), (2, 2, 2))}
    weight = np.array([0.2, 1.5, 3.0])
    for tag, (shape, target_shape) in shapes.items():
        x = rng.normal(size=shape) * 3
        t = rng.integers(0, 3, target_shape)
        p = np.exp(rng.normal(size=shape))
        for reduction in ("mean", "sum", "none"):
            for options in (
                {}, {"weight": weight}, {"ignore_index": 1},
                {"weight": weight, "ignore_index": int(np.ravel(t)[0]) if t.ndim else 7},
            ):  # fmt: skip
                settings = {**options, "reduction": reduction}
                cases.append(_classed("NLLLoss", settings, tag, x, t))
                for smoothing in (0.0, 0.1, 1.0):
                    more = {**settings, "label_smoothing": smoothing}
                    cases.append(_classed("CrossEntropyLoss", more, tag, x, t))
                    if "ignore_index" not in options:
                        cases.append(_classed("CrossEntropyLoss", more, tag + " p", x, p))
    huge = np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, 1e4], [1e4, 1e4, 1e4]])
    cases.append(layer_case("CrossEntropyLoss", {}, huge, np.array([0, 1, 2]), tag=" huge"))
    return [c for c in cases if not _ignores_everything(c)]


def _ignores_everything(case: Case) -> bool:
    """A mean over no targets: PyTorch gives nan, and here it raises."""
    return "ignore_index=1" in case.name and case.inputs[1].ndim == 0 and case.inputs[1] == 1


def _classed(name: str, settings: dict[str, Any], tag: str, x: Any, t: Any) -> Case:
    rest = {k: v for k, v in settings.items() if k != "weight"}
    label = named(name, {k: "w" if k == "weight" else v for k, v in settings.items()})
    if "weight" not in settings:
        return layer_case(name, rest, x, t, tag=tag)

    def run(lib: Any, x: Any, t: Any, w: Any) -> Any:
        return getattr(lib.nn, name)(weight=w.detach(), **rest)(x, t)

    return Case(label + tag, run, (x, t, settings["weight"]))


def binary_cases() -> list[Case]:
    """Probabilities up to 0 and 1 themselves, logits up to +-1e4, weights for all and positives."""
    p = np.array([[0.0, 1.0, 0.0, 1.0], [0.3, 0.7, 1e-7, 0.5]])
    x = np.array([[1e4, -1e4, 1e4, -1e4], [0.0, 20.0, -20.0, 0.7], [0.0, 50.0, -1.0, 5.0]])
    soft = np.array([[1.0, 0.0, 0.0, 1.0], [0.3, 1.0, 0.0, 0.9], [1.0, 0.0, 0.5, 0.1]])
    weight = np.array([0.5, 1.0, 2.0, 3.0])
    cases = []
    for reduction in ("mean", "sum", "none"):
        r = {"reduction": reduction}
        inner = rng.uniform(0.05, 0.95, (2, 4))
        cases.append(layer_case("BCELoss", r, inner, soft[:2])._replace(second=False))
        # the slope at 0 and 1 is +-1e12 as in PyTorch, whose 1e-12 is a float32
        cases.append(Case(f"nn.BCELoss() edge {reduction}", _edge(r), (p, soft[:2]), False,
                          ("float32",)))  # fmt: skip
        cases.append(layer_case("BCEWithLogitsLoss", r, x, soft))
        for keys in (("weight",), ("pos_weight",), ("weight", "pos_weight")):
            cases.append(_binary("BCEWithLogitsLoss", keys, r, x, soft, weight))
        weighed = _binary("BCELoss", ("weight",), r, inner, soft[:2], weight)
        cases.append(weighed._replace(second=False))  # PyTorch's is off by 1e-10
    return cases


def _edge(settings: dict[str, Any]) -> Any:
    """Without the target's gradient, which is infinite in PyTorch and that of the loss here."""
    return lambda lib, x, t: lib.nn.BCELoss(**settings)(x, t.detach())


def _binary(name: str, keys: tuple[str, ...], r: Any, x: Any, t: Any, weight: Any) -> Case:
    def run(lib: Any, x: Any, t: Any, w: Any) -> Any:
        return getattr(lib.nn, name)(**dict.fromkeys(keys, w.detach()), **r)(x, t)

    return Case(named(name, {**dict.fromkeys(keys, "w"), **r}), run, (x, t, weight))


def _linear(lib: Any, x: Any, w: Any, b: Any = None) -> Any:
    layer = lib.nn.Linear(w.shape[1], w.shape[0], bias=b is not None)
    del layer.weight
    layer.weight = w
    if b is not None:
        del layer.bias
        layer.bias = b
    return layer(x)


def _chain(lib: Any, x: Any) -> Any:
    nn = lib.nn
    return nn.Sequential(OrderedDict(a=nn.Tanh(), b=nn.Sequential(nn.Flatten(), nn.Sigmoid())))(x)


def _listed(lib: Any, x: Any) -> Any:
    for layer in lib.nn.ModuleList([lib.nn.Tanh(), lib.nn.ELU()]):
        x = layer(x)
    return x


def _keyed(lib: Any, x: Any) -> Any:
    layers = lib.nn.ModuleDict({"a": lib.nn.Tanh(), "b": lib.nn.ELU()})
    return [layer(x) for _, layer in layers.items()]


def _bare(lib: Any, x: Any) -> Any:
    class Double(lib.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            return x * 2

    return Double()(x)


def other_cases() -> list[Case]:
    """Layers with weights, layers that reshape, containers."""
    w, b = rng.normal(size=(2, 3)), rng.normal(size=2)
    cases = [
        Case(f"nn.Linear() {shape}{' no bias' if not extra else ''}", _linear,
             (rng.normal(size=shape), w, *extra))
        for shape in ((3,), (4, 3), (0, 3), (2, 4, 3), (2, 1, 2, 3)) for extra in ((b,), ())
        if shape != (0, 3) or extra
    ]  # fmt: skip
    x = rng.normal(size=(2, 3, 4))
    cases += [
        layer_case("Identity", {}, x),
        layer_case("Flatten", {}, x),
        layer_case("Flatten", {"start_dim": 0, "end_dim": 1}, x),
        layer_case("Unflatten", {"dim": 2, "unflattened_size": (2, 2)}, x),
        layer_case("Unflatten", {"dim": -1, "unflattened_size": (-1, 2)}, x),
        layer_case("Dropout", {"p": 0.0}, x),
        layer_case("Dropout", {"p": 1.0}, x),
        Case("nn.Dropout() eval", lambda lib, x: lib.nn.Dropout(0.5).eval()(x), (x,)),
        Case("nn.Sequential()", _chain, (x,)),
        Case("nn.ModuleList()", _listed, (x,)),
        Case("nn.ModuleDict()", _keyed, (x,)),
        Case("nn.Module()", _bare, (x,)),
    ]
    return cases


def all_cases() -> list[Case]:
    """Every case; the names are unique."""
    cases = activation_cases() + regression_cases() + class_cases() + binary_cases() + other_cases()
    cases += LAYERS + TABULAR
    assert len({c.name for c in cases}) == len(cases)
    return cases


CASES = all_cases()
