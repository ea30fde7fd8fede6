"""What a view shows: plain numbers that a callback fills in and that drawing only reads."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...train.watch import Layer

OK, WARN, BAD = "ok", "warn", "bad"


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
    overhead: float | None = None  # share of the time that watching took; None: too early to say
    patience: int | None = None
    first_epoch: int = 1  # the epoch of the first entry of every series
    loss: Series = field(default_factory=Series)
    val_loss: Series = field(default_factory=Series)
    val_acc: Series = field(default_factory=lambda: Series(higher_is_better=True))
    layers: list[Layer] = field(default_factory=list)  # at the last look inside
    moved_at: int | None = None  # the step whose gradient and update these are
    probed: str = ""  # when all else of them was seen, such as 'at step 21'
    lifted: float = 1.0  # highest lr so far / lr of that look: what a schedule can't excuse
    keys: bool = False  # whether keys can be pressed
    paused: bool = False
    verdict: Verdict = field(default_factory=lambda: Verdict(OK, "starting", "starting"))
