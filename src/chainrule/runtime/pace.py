"""How many threads a program runs on now: measured, since what else the machine does decides.

All numbers of threads give the same bits, so it can be tried.  Where other work holds a processor,
threads that wait for one another take longer together than one alone.
"""

from __future__ import annotations

from collections.abc import Sequence

TURN_SECONDS = 0.05
"""How long steps run before they come back to Python."""
TRIAL_SECONDS = 0.005
EVERY = 40
"""Turns after which the other number of threads is tried again, for so long."""


class Pace:
    """Seconds a step, for one thread and for all that the work is worth."""

    def __init__(self) -> None:
        self.seconds: dict[int, float] = {}
        self.turns = 0

    def plan(self, most_steps: int, most_threads: int) -> tuple[int, int]:
        """(steps of the next turn, on how many threads): one, to measure it, of what is unknown."""
        self.turns += 1
        known = {n: s for n, s in self.seconds.items() if n in (1, most_threads)}
        if most_threads not in known:
            return min(most_steps, 1), most_threads
        best = min(known, key=lambda n: known[n])
        if most_threads > 1 and (len(known) == 1 or self.turns % EVERY == 0):
            other = 1 if best != 1 else most_threads
            guess = known.get(other, most_threads * known[best])
            return _steps(TRIAL_SECONDS, guess, most_steps), other
        return _steps(TURN_SECONDS, known[best], most_steps), best

    def took(self, seconds: float, steps: int, threads: int) -> None:
        """Notes how long some steps have taken."""
        self.seconds[threads] = max(seconds / steps, 1e-8)


def plan_rounds(
    paces: Sequence[Pace], shares: Sequence[int], most: int, threads: int
) -> tuple[int, int] | None:
    """(rounds of the next turn, on how many threads), as the first leg has it.

    shares: steps of each leg in a round.  None where a round is longer than a turn, or where it is
    not known how long it is.
    """
    first, share = paces[0], shares[0]
    steps, team = first.plan(most * share, threads)
    each = [pace.seconds.get(team, min(pace.seconds.values(), default=0.0)) for pace in paces]
    if not all(each):
        return None
    a_round = sum(n * seconds for n, seconds in zip(shares, each, strict=True))
    if a_round > TURN_SECONDS:
        return None
    rounds = int(steps * each[0] / a_round) if steps < most * share else most
    return max(rounds, 1), team  # one at least where another number of threads is tried


def taken(paces: Sequence[Pace], steps: Sequence[int], seconds: float, threads: int) -> None:
    """Notes how long the steps of some legs have taken together: as much more as each other."""
    made = [(pace, n) for pace, n in zip(paces, steps, strict=True) if n]
    if len(made) == 1:
        ((pace, n),) = made
        pace.took(seconds, n, threads)
        return
    known = [pace.seconds.get(threads, min(pace.seconds.values(), default=1.0)) for pace, _ in made]
    expected = sum(n * each for (_, n), each in zip(made, known, strict=True))
    for (pace, n), each in zip(made, known, strict=True):
        pace.took(seconds * n * each / expected, n, threads)


def _steps(seconds: float, each: float, most: int) -> int:
    return max(1, min(most, int(seconds / each)))
