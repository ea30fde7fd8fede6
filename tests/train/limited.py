"""A large batch under smaller and smaller limits of memory: `limited.py eager|compiled POINTS`."""

import json
import os
import re
import resource
import sys

import numpy as np

import chainrule
from chainrule import nn, optim
from chainrule.tensor.memory import STATM
from chainrule.train import Trainer

BATCH = 8000
STEP, ENOUGH = 3 * 2**19, 2**30


def main(how, points):
    chainrule.set_num_threads(1)
    net = nn.Sequential(nn.Linear(32, 256), nn.Tanh(), nn.Linear(256, 256), nn.Linear(256, 2))
    x, y = np.ones((BATCH, 32), np.float32), np.zeros(BATCH, np.int64)
    adam = optim.Adam(net.parameters())
    t = Trainer(net, nn.CrossEntropyLoss(), adam, compile=how == "compiled")
    t.fit((x[:64], y[:64]), epochs=1)
    for point in range(points):
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            limited(t, x, y, ENOUGH if point == points - 1 else 2**22 + point * STEP)
        os.waitpid(child, 0)


def limited(t, x, y, more):
    """One fit in a child that may get so many bytes more."""
    size = int(STATM.read_text().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    before = [np.array(p.detach()) for p in t.model.parameters()]
    resource.setrlimit(resource.RLIMIT_AS, (size + more, hard))
    said = rows = None
    try:
        t.fit((x, y), epochs=1, batch_size=BATCH)
    except MemoryError as error:
        said = str(error)
        found = re.search(r"batch_size=(\d+) or less|at most (\d+) rows", said)
        rows = found and int(found[1] or found[2])
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    same = all((a == np.array(p.detach())).all()
               for a, p in zip(before, t.model.parameters(), strict=True))  # fmt: skip
    print(json.dumps({"said": said, "rows": rows, "batch": BATCH, "same": same}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
