"""Long sums in blocks, whose sums are added in their turn: few roundings follow one another.

Why: a running float32 sum of 16 million ones takes in no more of them, and a mean over as many
numbers has three digits.  In blocks the error grows with the length of a block, not of the sum.

Before: sum[k<16384](x[k])
After:  sum[k0<2](sum[k1<8192](x[8192*k0 + k1]))
"""

from __future__ import annotations

from collections.abc import Sequence

BLOCK = 8192
"""Up to so many terms are added one after the other: far more than what a block costs besides."""
BLOCKS = 256
"""The same for the sums of blocks, which single numbers hold rather than vectors."""


def cut(sizes: Sequence[int], most: int) -> tuple[int, int] | None:
    """(the dimension to cut into pieces, their length), so that a piece and all dimensions behind
    it make up a block of `most` terms or fewer; None where everything is one block."""
    behind = 1
    for d in reversed(range(len(sizes))):
        if 0 < most < behind * sizes[d]:
            return d, length(sizes[d], max(most // behind, 1))
        behind *= sizes[d]
    return None


def length(size: int, most: int) -> int:
    """The length of pieces: with nothing left over, if a length above half of `most` does that."""
    even = [n for n in range(most // 2 + 1, most + 1) if size % n == 0]
    return max(even, key=lambda n: (n % 64 == 0, n), default=most)
