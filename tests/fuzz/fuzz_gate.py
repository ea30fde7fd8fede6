"""A million changed files: `python tests/fuzz/fuzz_gate.py --count 1000000 --jobs 2`.

Every reader gets its share.  `--atheris SECONDS` lets that fuzzer change the files instead (`pip
install atheris`): it follows which lines are reached.  Exit code 1 if anything was not refused as
it should be; the numbers that are printed give the same file again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

PART = 2000


def work(task: tuple[str, int, int, str]) -> object:
    """Some numbers of one reader: its count."""
    from readers import Count, one, readers

    name, first, last, folder = task
    if folder not in held:
        held[folder] = {r.name: r for r in readers(Path(folder))}
    count = Count()
    for number in range(first, last):
        one(held[folder][name], number, count, measured=number % 64 == 0)
    return name, count


held: dict[str, dict[str, object]] = {}


def many(asked: argparse.Namespace) -> int:
    from readers import Count, readers

    with tempfile.TemporaryDirectory() as folder, get_context("fork").Pool(asked.jobs) as pool:
        every = readers(Path(folder))
        whole = sum(r.count for r in every)
        tasks = []
        for r in every:
            share = -(-asked.count * r.count // whole)
            tasks += [(r.name, asked.first + n, asked.first + min(n + PART, share), folder)
                      for n in range(0, share, PART)]  # fmt: skip
        counts = {r.name: Count() for r in every}
        began, done = time.monotonic(), 0
        for name, count in pool.imap_unordered(work, tasks):
            counts[name].add(count)
            done += count.read + count.refused + len(count.wrong)
            rate = done / (time.monotonic() - began)
            print(f"\r{done:,} files, {rate:,.0f}/s, {(asked.count - done) / rate:.0f} s left ",
                  end="", file=sys.stderr, flush=True)  # fmt: skip
    print(file=sys.stderr)
    print(f"{'reader':22} {'read':>9} {'refused':>9} {'wrong':>6} {'slowest':>9}")
    for name, c in counts.items():
        print(f"{name:22} {c.read:9,} {c.refused:9,} {len(c.wrong):6} {c.slowest:7.3f} s")
    print(f"{done:,} files in {time.monotonic() - began:.0f} s")
    wrong = [w for c in counts.values() for w in c.wrong]
    print("\n".join(wrong[:50]) or "only errors of ours, each within a second, in 2x its memory")
    return 1 if wrong else 0


def by_atheris(seconds: int) -> int:
    import atheris

    with atheris.instrument_imports(include=["chainrule"], enable_loader_override=False):
        from readers import Count, readers, tried

    folder = tempfile.TemporaryDirectory()
    every = readers(Path(folder.name))
    corpus = Path(folder.name, "corpus")
    corpus.mkdir()
    for i, r in enumerate(every):
        for j, data in enumerate(r.seeds):
            (corpus / f"{i}-{j}").write_bytes(bytes([i]) + data)

    def test(data: bytes) -> None:
        if data:
            count = Count()
            tried(every[data[0] % len(every)], data[1:], 0, count, measured=False)
            if count.wrong:
                raise AssertionError(count.wrong[0])

    options = [f"-max_total_time={seconds}", "-timeout=10", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], test)
    atheris.Fuzz()  # ends the process
    return 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--first", type=int, default=0, help="the number of the first file")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--atheris", type=int, metavar="SECONDS")
    asked = parser.parse_args()
    return by_atheris(asked.atheris) if asked.atheris else many(asked)


if __name__ == "__main__":
    sys.exit(main())
