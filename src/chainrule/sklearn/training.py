"""The epochs of a fit: scikit-learn's rules of when to stop, over many compiled steps at a time."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ..tensor.core import Tensor
from ..train.callbacks import Callback
from ..train.history import History
from .kit import Data, Kit
from .solvers import OWN, ByEpoch

AHEAD = 1 << 22
"""Row numbers that are drawn before they are needed, at most."""
BOLD = 8
"""How many times as many epochs as the rules are sure of may be made at once, while the loss falls
by far more than `tol` in each: a turn costs as much as several small epochs."""
CLEAR = 2
"""The first of them: while it falls by so many times that factor times `tol` in each."""
SPAN, SURE = 22, 1.3
"""Later it is asked when the mean fall will be down at `tol`, if it shrinks as it did from SPAN
epochs to the next; below SURE times `tol` nothing is hoped."""


class Progress:
    """What a fit has reached: the fitted attributes that follow from its epochs."""

    def __init__(self, early_stopping: bool) -> None:
        self.n_iter_, self.t_, self.loss_ = 0, 0, math.nan
        self.loss_curve_: list[float] = []
        self.validation_loss_curve_: list[float] | None = None
        self.validation_scores_: list[float] | None = [] if early_stopping else None
        self.best_validation_score_: float | None = -math.inf if early_stopping else None
        self.best_loss_: float | None = None if early_stopping else math.inf
        self.stopped_early_ = False
        self._no_improvement_count = 0
        self._best: Any = None  # weights of the best epoch so far, and what was best

    @classmethod
    def of(cls, est: Any) -> Progress:
        """Where an estimator's last fit has ended; `n_iter_` counts anew."""
        self = cls(False)
        for name in vars(self):
            value = getattr(est, name, getattr(self, name))
            setattr(self, name, list(value) if isinstance(value, list) else value)
        return self


class Validation:
    """Data held out: what they are scored by, and which figure decides."""

    def __init__(
        self, x: Any, y: Any, w: Any, score: Callable[[Any], float], decides: str | None
    ) -> None:
        self.x, self.y, self.w, self.score, self.decides = x, y, w, score, decides


class Training:
    """A fit by epochs.  Callbacks get this object: it has what they ask of a Trainer."""

    ema = None
    run = None
    resumed = False

    def __init__(
        self, est: Any, kit: Kit, data: Data, progress: Progress, rng: Any, schedule: Any,
        validation: Validation | None,
    ) -> None:  # fmt: skip
        self.est, self.kit, self.data, self.progress, self.rng = est, kit, data, progress, rng
        self.validation, self.scheduler = validation, schedule
        self.model, self.optimizer = kit.network.module, kit.optimizer
        self.needs_metric = bool(getattr(schedule, "needs_metric", False))
        self.by_step = None
        if schedule is not None and not self.needs_metric:
            self.by_step = ByEpoch(schedule, data.steps)
        self.callbacks: Sequence[Callback] = list(est.callbacks or ())
        self.order = np.arange(data.rows)
        self.careful = False  # epochs were just taken back: the next ones are sure
        self.row: dict[str, Any] = {}
        self.history = History()
        self.stop_reason: str | None = None

    # ------------------------------------------------------------ what callbacks see

    @property
    def epoch(self) -> int:
        """Whole epochs of this fit."""
        return self.progress.n_iter_

    @property
    def step(self) -> int:
        """Updates of this fit."""
        return self.epoch * self.data.steps

    @property
    def lr(self) -> float:
        """The learning rate of the first parameter group."""
        return float(self.optimizer.param_groups[0]["lr"])

    def stop(self, reason: str = "a callback") -> None:
        """Ends the fit after this epoch."""
        self.stop_reason = reason

    def evaluated_weights(self) -> dict[str, Tensor]:
        """The state_dict of the network."""
        return dict(self.model.state_dict())

    def emit(self, event: str) -> None:
        """Tells every callback."""
        for callback in self.callbacks:
            getattr(callback, event)(self)

    # ------------------------------------------------------------ the epochs

    def fit(self, incremental: bool) -> None:
        """Epochs until the loss or the score no longer improves, or there are max_iter."""
        self.emit("on_fit_start")
        progress, most = self.progress, 1 if incremental else self.est.max_iter
        progress.n_iter_ = 0
        try:
            while progress.n_iter_ < most:
                if self._some_epochs(self._room(most), most, incremental):
                    break
            else:
                self._not_converged(incremental)
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=5)
            self.history.interrupted = True
            self.emit("on_interrupt")
        self.history.stopped = self.stop_reason or "epochs"
        self.emit("on_fit_end")

    def _room(self, most: int) -> int:
        """Epochs after which the rules have to be asked at the earliest."""
        if self.callbacks or self.validation or self.needs_metric or self.est.verbose:
            return 1
        patience = self.est.n_iter_no_change + 1 - self.progress._no_improvement_count
        room = min(patience, most - self.progress.n_iter_, AHEAD // self.data.rows)
        return max(int(room), 1)

    def _hoped(self, room: int, most: int) -> int:
        """Epochs after which the rules are likely to have nothing to say: `room` at least.

        More only where the epochs can be taken back, all but the weights following from them.
        """
        design = self.kit.design
        own = self.est.solver in OWN and design.by_row and not any(design.dropout)
        if room < 2 or not own or self.by_step is not None or self.progress.n_iter_ == 0:
            return room
        hoped = int(min(self._lasting(room), BOLD * room))
        hoped = min(hoped, most - self.progress.n_iter_, AHEAD // self.data.rows)
        return max(hoped, room)

    def _lasting(self, room: int) -> float:
        """Epochs in which the loss is likely to go on falling by more than `tol` in each."""
        tol, losses = self.est.tol, self.progress.loss_curve_
        if tol <= 0:
            return room
        falls = -np.diff(losses[-2 * SPAN - 1 :])
        if len(losses) < 2 * room:
            return room * float(min(falls, default=0.0)) / (CLEAR * tol)
        count = len(falls) // 2
        before, now = falls[-2 * count : -count].mean(), falls[-count:].mean()
        if now <= SURE * tol:
            return room
        shrinks = math.log(before / now) / count if before > now else 0.0
        return room + math.log(now / tol) / shrinks / 2 if shrinks else math.inf

    def _orders(self, count: int) -> list[Any]:
        """The order of the rows in each of the next epochs, as scikit-learn draws it."""
        found = []
        for _ in range(count):
            if self.est.shuffle:
                places = np.arange(self.data.rows)
                self.rng.shuffle(places)
                self.order = self.order[places]
            found.append(self.order)
        return found

    def _some_epochs(self, room: int, most: int, incremental: bool) -> bool:
        """Makes epochs and goes through them; whether they were the last."""
        self.emit("on_epoch_start")
        count = room if self.careful else self._hoped(room, most)
        self.careful = False
        kept = None
        if count > room:
            kept = self.kit.kept(), self.rng.get_state(), self.order, self.lr
        steps = self._made(count)
        if not np.isfinite(steps).all():
            if kept is None:
                raise ValueError(self._diverged(steps.reshape(-1)))
            self._take_back(kept, 0)
            return False
        losses = [float(each @ self.data.counts) / self.data.rows for each in steps]
        for i, loss in enumerate(losses):
            ended, lr = self._after_epoch(loss), self.lr
            if kept is not None and i + 1 < count and (ended or lr != kept[-1]):
                self._take_back(kept, i + 1)
                return ended
            if ended:
                return not incremental
        return False

    def _made(self, count: int) -> Any:
        """The loss of every step of the next epochs, which are made: (epochs, steps)."""
        losses = self.data.epochs(self.kit, self._orders(count), self.by_step)
        return losses.reshape(count, self.data.steps).astype(np.float64)

    def _take_back(self, kept: tuple[Any, ...], count: int) -> None:
        """Makes only so many of the epochs: the others were one too many for the rules."""
        state, drawn, self.order, before = kept
        lr = self.lr
        self.kit.back_to(state)
        self.rng.set_state(drawn)
        self.careful = True
        if count:
            self._set_lr(before)
            self._made(count)
            self._set_lr(lr)

    def _set_lr(self, lr: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = lr

    def _after_epoch(self, loss: float) -> bool:
        """The books after an epoch; whether the rules end the fit."""
        progress, est = self.progress, self.est
        progress.n_iter_ += 1
        progress.loss_ = loss
        progress.t_ += self.data.rows
        progress.loss_curve_.append(loss)
        if est.verbose:
            print(f"Iteration {progress.n_iter_}, loss = {loss:.8f}")
        self.row = {"epoch": self.epoch, "step": self.step, "loss": loss, "lr": self.lr}
        self._validate()
        if not est.early_stopping:
            assert progress.best_loss_ is not None
            self._count(loss > progress.best_loss_ - est.tol)
            progress.best_loss_ = min(loss, progress.best_loss_)
        if self.needs_metric:
            self.scheduler.step(self.row.get("val_loss", loss))
        self.history.rows.append(self.row)
        self.emit("on_epoch_end")
        ended = progress._no_improvement_count > est.n_iter_no_change and self._trigger()
        return ended or self.stop_reason is not None

    def _count(self, same: bool) -> None:
        self.progress._no_improvement_count = self.progress._no_improvement_count + 1 if same else 0

    def _validate(self) -> None:
        """Loss and score of the held-out data, and whether they are the best so far."""
        held, progress, est = self.validation, self.progress, self.est
        if held is None:
            return
        loss, z = self.kit.loss_of(held.x, held.y, held.w)
        score = held.score(z)
        progress.validation_loss_curve_ = [*(progress.validation_loss_curve_ or ()), loss]
        progress.validation_scores_ = [*(progress.validation_scores_ or ()), score]
        self.row.update(val_loss=loss, val_score=score)
        self.emit("on_validation_end")
        if held.decides is None:
            return
        if est.verbose:
            print(f"Validation {held.decides}: {self.row['val_' + held.decides]:f}")
        value = score if held.decides == "score" else -loss
        best = progress.best_validation_score_
        best = -math.inf if best is None else best
        if held.decides == "loss":
            best = -progress._best[1] if progress._best else -math.inf
        self._count(value < best + est.tol)
        if value > best:
            progress._best = self.kit.network.taken(), loss
            progress.best_validation_score_ = score

    def _trigger(self) -> bool:
        """What happens where nothing improves any more: the fit ends, or goes on slower."""
        est, progress = self.est, self.progress
        what = "Training loss"
        if est.early_stopping:
            what = f"Validation {est.early_stopping_metric}"
        text = f"{what} did not improve more than tol={est.tol:f}"
        text += f" for {est.n_iter_no_change} consecutive epochs."
        if est.learning_rate == "adaptive" and est.solver != "adam":
            if self.lr > 1e-6:
                for group in self.optimizer.param_groups:
                    group["lr"] /= 5.0
                if est.verbose:
                    print(f"{text} Setting learning rate to {self.lr:f}")
                progress._no_improvement_count = 0
                return False
            text += " Learning rate too small."
        if est.verbose:
            print(f"{text} Stopping.")
        self.stop_reason = "converged"
        progress.stopped_early_ = bool(est.early_stopping)
        return True

    def _not_converged(self, incremental: bool) -> None:
        if not incremental:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({self.est.max_iter}) reached and the "
                "optimization hasn't converged yet.",
                ConvergenceWarning, stacklevel=6,
            )  # fmt: skip

    def _diverged(self, losses: Any) -> str:
        """Which step it was, and what is likely to mend it."""
        step = int(np.flatnonzero(~np.isfinite(losses))[0])
        sizes = np.abs(self.data.x).max() if self.data.rows else 0.0
        return (
            "Solver produced non-finite parameter weights. The input data may contain large "
            f"values and need to be preprocessed. The loss is {losses[step]} at step "
            f"{self.step + step + 1}, epoch {self.epoch + step // self.data.steps + 1}, with "
            f"learning rate {self.lr:g}; the largest input is {sizes:.3g}. Try StandardScaler(), "
            f"or learning_rate_init={self.lr / 10:g}."
        )
