"""Makes metrics_reference.npz: metrics of random predictions, computed by scikit-learn 1.9.1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn import metrics as m


def classification(rng, n, classes):
    logits = rng.normal(size=(n, classes))
    target = rng.integers(0, classes, n)
    logits[np.arange(n), target] += 1.0
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    found = logits.argmax(1)
    values = {
        "accuracy": m.accuracy_score(target, found),
        "confusion_matrix": m.confusion_matrix(target, found, labels=range(classes)),
        "precision": m.precision_score(target, found, average="macro", zero_division=0),
        "recall": m.recall_score(target, found, average="macro", zero_division=0),
        "f1": m.f1_score(target, found, average="macro", zero_division=0),
        "log_loss": m.log_loss(target, p, labels=range(classes)),
        "roc_auc": m.roc_auc_score(target, p[:, 1] if classes == 2 else p, multi_class="ovr"),
        "calibration_error": calibration_error(p, target),
    }  # fmt: skip
    if classes > 2:
        values["top_k"] = m.top_k_accuracy_score(target, logits, k=2, labels=range(classes))
    return logits, target, values


def calibration_error(p, target, bins=10):
    """Bin by bin, as Naeini et al. 2015 write it; scikit-learn 1.9 has none."""
    sure, right = p.max(1), p.argmax(1) == target
    total = 0.0
    for k in range(bins):
        inside = (sure >= k / bins) & ((sure < (k + 1) / bins) | (k == bins - 1))
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - sure[inside].mean())
    return total


def regression(rng, n, columns):
    target = rng.normal(3, 2, size=(n, columns) if columns else n)
    prediction = target + rng.normal(size=target.shape)
    return prediction, target, {
        "mae": m.mean_absolute_error(target, prediction),
        "mse": m.mean_squared_error(target, prediction),
        "rmse": m.mean_squared_error(target.ravel(), prediction.ravel()) ** 0.5,
        "r2": m.r2_score(target, prediction),
    }  # fmt: skip


def main():
    rng = np.random.default_rng(0)
    cases = [classification(rng, n, c) for n, c in [(200, 10), (50, 3), (40, 8), (60, 2)]]
    cases += [regression(rng, n, c) for n, c in [(100, 0), (40, 3)]]
    out = {}
    for i, (prediction, target, values) in enumerate(cases):
        out[f"{i}/prediction"], out[f"{i}/target"] = prediction, target
        out.update({f"{i}/value/{name}": value for name, value in values.items()})
    np.savez_compressed(Path(__file__).parent / "metrics_reference.npz", **out)


if __name__ == "__main__":
    main()
