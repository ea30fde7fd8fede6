"""Threads that run one program together: shares of loops, and the barrier where they meet.

Every thread calls the same function with its number. `sync` points to memory that they share:
how many have arrived (byte 0), how often all have (byte 64), and the address of a function that
gives the processor to somebody else (byte 128).  They wait by looking again and again, which takes
a tenth of a microsecond when all run; after SPINS looks they let others run in between.
"""

from __future__ import annotations

from .target import Target
from .text import Function, Module, V

SPINS = 2000
NAME = "barrier"


def define_barrier(module: Module, target: Target) -> None:
    """Writes the barrier into a module."""
    pause = ""
    if target.triple.startswith(("x86_64", "amd64", "i686")):
        module.declare("llvm.x86.sse2.pause", "void", [])
        pause = "  call void @llvm.x86.sse2.pause()"
    elif target.triple.startswith(("aarch64", "arm64")):
        module.declare("llvm.aarch64.hint", "void", ["i32"])
        pause = "  call void @llvm.aarch64.hint(i32 1)"
    module.raw.append(f"""define internal void @{NAME}(ptr %sync, i64 %threads) noinline nounwind {{
entry:
  %alone = icmp eq i64 %threads, 1
  br i1 %alone, label %done, label %arrive
arrive:
  %rounds = getelementptr i8, ptr %sync, i64 64
  %round = load atomic i64, ptr %rounds acquire, align 8
  %before = atomicrmw add ptr %sync, i64 1 acq_rel
  %missing = sub i64 %threads, 1
  %last = icmp eq i64 %before, %missing
  br i1 %last, label %open, label %wait
open:
  store atomic i64 0, ptr %sync monotonic, align 8
  %opened = atomicrmw add ptr %rounds, i64 1 release
  br label %done
wait:
  %look = phi i64 [0, %arrive], [%next, %again]
  %now = load atomic i64, ptr %rounds acquire, align 8
  %moved = icmp ne i64 %now, %round
  br i1 %moved, label %done, label %pause
pause:
{pause}
  %next = add i64 %look, 1
  %long = icmp sgt i64 %next, {SPINS}
  br i1 %long, label %yield, label %again
yield:
  %place = getelementptr i8, ptr %sync, i64 128
  %let = load ptr, ptr %place, align 8
  call void %let()
  br label %again
again:
  br label %wait
done:
  ret void
}}""")


def share(f: Function, count: V) -> tuple[V, V]:
    """(first, end) of this thread's part of 0 .. count - 1."""
    ends = []
    for number in ("%tid", f.emit("add i64 %tid, 1", "i64").ref):
        scaled = f.emit(f"mul i64 {number}, {count.ref}", "i64")
        ends.append(f.emit(f"udiv i64 {scaled.ref}, %threads", "i64"))
    return ends[0], ends[1]
