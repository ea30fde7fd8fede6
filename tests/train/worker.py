"""A training in a process of its own, to be stopped from outside: `worker.py FOLDER [RUN]`."""

import sys
import time

from train_cases import bits, data, trainer

from chainrule.train import LambdaCallback, Run

EPOCHS = 8
FIT = {"epochs": EPOCHS, "batch_size": 4, "validation": data()}
EVERY = 2
"""Steps between two checkpoints."""


def pace(t):
    """Says where it is, slowly enough to be hit in between."""
    print(t.step, flush=True)
    time.sleep(0.005)


def main(folder, name=None):
    show = LambdaCallback(
        on_fit_start=lambda t: print("begun", t.step, flush=True), on_step_end=pace,
        on_interrupt=lambda t: print("interrupted", flush=True),
    )  # fmt: skip
    run = Run(f"{folder}/{name}") if name else Run.create("w", folder)
    t = trainer()
    t = trainer(run=None if name else run, callbacks=[*t.callbacks, show])
    if name and run.checkpoints.manifests():
        t.resume(run)
    t.run = Run(run.path, checkpoint_steps=EVERY, checkpoint_seconds=0)
    history = t.fit(data(), **FIT)
    print(history.stopped, history.signal, history.message, flush=True)
    print("bits", bits(t), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
