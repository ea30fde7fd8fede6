"""How well the rules are held to differences, in figures: `python -m tests.ops.figures`."""

from __future__ import annotations

from .cases import OPS, SMOOTH, first_order, second_order


def figures() -> list[tuple[str, int, float, str]]:
    """(which check, how many, worst relative error, where) for both orders."""
    rows = []
    for name, check in (("gradient", first_order), ("gradient of the gradient", second_order)):
        errors = [(error, str(case)) for case in SMOOTH for error in check(case)]
        error, place = max(errors)
        rows.append((name, len(errors), error, place))
    return rows


if __name__ == "__main__":
    print(f"{len(OPS)} ops, {len({c.op.name for c in SMOOTH})} with a derivative")
    for name, count, error, place in figures():
        print(f"{name}: {count} checks in float64, worst relative error {error:.1e} at {place}")
