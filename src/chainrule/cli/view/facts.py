"""What a view shows: plain numbers that a callback fills in and that drawing only reads."""

from __future__ import annotations

from dataclasses import dataclass, field

OK, WARN, BAD = "ok", "warn", "bad"


@dataclass
class LayerFacts:
    """One layer at the last sample.  None means: not computed, and is shown as such."""

    name: str
    grad: float | None = None  # norm of the weight's gradient
    ratio: float | None = None  # norm of the update / norm of the weight
    judged: float | None = None  # the same at the highest lr so far: what a schedule can't excuse
    dead: float | None = None  # share of units that are 0 on (nearly) the whole probe batch
    saturated: float | None = None  # share of values where the activation is flat
    gain: float | None = None  # |error of this layer| / |error of the next|
    weights: float | None = None  # how the next layer's weights scale the error
    slope: float | None = None  # how this layer's activation scales it


@dataclass
class Series:
    """One quantity, an entry an epoch."""

    values: list[float] = field(default_factory=list)
    higher_is_better: bool = False

    @property
    def now(self) -> float | None:
        """The last value."""
        return self.values[-1] if self.values else None

    def best(self) -> tuple[float, int] | None:
        """(best value, its epoch counted from 1); None before there is a number."""
        sign = -1.0 if self.higher_is_better else 1.0
        known = [(sign * v, i) for i, v in enumerate(self.values, 1) if v == v]
        if not known:
            return None
        value, epoch = min(known)
        return sign * value, epoch


@dataclass
class Verdict:
    """A judgement in words: its severity, a short name for logs, and a sentence."""

    severity: str
    name: str
    text: str


@dataclass
class Facts:
    """Everything that the live view, the log line and the plain view show."""

    data: str = ""
    model: str = ""
    parameters: int = 0
    optimizer: str = ""
    schedule: str = ""
    run: str = ""
    batch_size: int = 0
    epochs: int = 0
    epoch: int = 0  # the one that is running, from 1
    progress: float = 0.0  # 0 to 1
    eta_s: float | None = None
    step: int = 0
    lr: float = 0.0
    samples_per_s: float | None = None
    steps_per_s: float | None = None
    compiled: bool = False
    compile_s: float = 0.0
    cached: bool = False  # the code was there, from an earlier run
    threads: int | None = None  # of compiled steps
    overhead: float = 0.0  # share of the time that watching took
    patience: int | None = None
    first_epoch: int = 1  # the epoch of the first entry of every series
    loss: Series = field(default_factory=Series)
    val_loss: Series = field(default_factory=Series)
    val_acc: Series = field(default_factory=lambda: Series(higher_is_better=True))
    layers: list[LayerFacts] = field(default_factory=list)
    verdict: Verdict = field(default_factory=lambda: Verdict(OK, "starting", "starting"))
