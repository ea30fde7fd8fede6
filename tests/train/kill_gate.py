"""Hundreds of signals at random moments: `python tests/train/kill_gate.py --kills 1000`.

Trainings run in processes of their own, are stopped from outside, taken up again, and compared with
one that nobody stopped.  Exit code 1 if any bit differs, anything is lost or left behind.
"""

from __future__ import annotations

import argparse
import random
import resource
import signal
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kills import Forked, Fresh, Tally, chain, undisturbed_bits
from worker import EVERY


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--signal", choices=["SIGKILL", "SIGINT", "SIGTERM"], default="SIGKILL")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--forked", action="store_true", help="children of one process: quicker")
    asked = parser.parse_args()
    number = signal.Signals[asked.signal]
    expected = undisturbed_bits()
    start = Forked if asked.forked else Fresh
    tally, began = Tally(), time.monotonic()

    def one(seed: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            if tally.signals < asked.kills:
                tally.add(chain(Path(folder), random.Random(seed), number, expected, start=start))
        seconds = time.monotonic() - began
        left = seconds / max(tally.signals, 1) * max(asked.kills - tally.signals, 0)
        rate = f"{tally.signals / seconds:.1f}/s, {left:.0f} s left"
        print(f"{tally.signals} of {asked.kills} signals, {rate}", file=sys.stderr, flush=True)

    with ThreadPoolExecutor(1 if asked.forked else asked.jobs) as pool:  # a fork has one thread
        list(pool.map(one, range(asked.seed, asked.seed + asked.kills)))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = (used.ru_utime + used.ru_stime) / (tally.signals + tally.runs)
    print(f"{asked.signal}: {tally.signals} in {tally.runs} runs, {tally.starting} of them before "
          f"the first step, {tally.writing} leaving a half-made file")  # fmt: skip
    print(f"steps made again: {statistics.mean(tally.again):.2f} in the mean, {max(tally.again)} "
          f"at most ({EVERY} lie between two checkpoints)")  # fmt: skip
    print(f"from signal to end: {statistics.median(tally.late):.3f} s, {max(tally.late):.3f} s at "
          f"most")  # fmt: skip
    print(f"from start to going on: {statistics.median(tally.starts):.2f} s in the middle; a "
          f"process takes {cpu:.2f} s of a processor")  # fmt: skip
    print(f"in all {time.monotonic() - began:.0f} s, {asked.jobs} trainings at a time")
    print("\n".join(tally.odd) or "all runs end with the same bits; nothing lost, nothing left")
    return 1 if tally.odd or max(tally.again) > EVERY else 0


if __name__ == "__main__":
    sys.exit(main())
