"""Facts as lines that fit the terminal: what does not fit is left out, nothing is broken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...markup import counted
from ...train.progress import amount, clock
from ...train.watch import Layer
from ..terminal import Line, Signs, Terminal, crop, text_of, words, wrap
from .facts import BAD, WARN, Facts, Series
from .trend import in_words, sparkline
from .verdict import alarming, ratio_word

FIXED_LINES = 15  # all but the layers and the keys
KEYS = ("[e]xplain", "[d]iagnose", "[r]eport", "[p]ause", "[q]uit")


@dataclass
class Column:
    """A column of a table; of those that do not fit, the one of the lowest rank goes first."""

    head: str
    cells: list[Line]
    rank: int
    right: bool = False

    @property
    def width(self) -> int:
        return max(len(self.head), *(len(text_of(c)) for c in self.cells))


def draw(f: Facts, t: Terminal) -> list[Line]:
    """The whole view; no line is wider than the terminal."""
    gap: Line = [("   ", "")]
    lines = [*header(f, t), progress(f, t), *wrap(counters(f), t.width, gap)]
    if f.loss.now is not None:
        lines += curves(f, t)
    if f.layers:
        lines += layers(f, t)
    lines += verdict(f, t)
    if f.keys:
        lines += keys(f, t)
    return [crop(line, t.width) for line in lines]


def header(f: Facts, t: Terminal) -> list[Line]:
    """Data, model, parameters, optimizer, schedule, run."""
    parts = [f.data, f.model, f"{f.parameters} params", f"{f.optimizer} lr {f.lr:.1e}"]
    if f.schedule:
        parts[-1] += f" ({f.schedule})"
    if f.run:
        parts.append(f.run)
    gap: Line = [(f" {t.signs.dot} ", "faint")]
    return wrap([[(p, "strong")] for p in parts], t.width, gap)


def progress(f: Facts, t: Terminal) -> Line:
    """`epoch 34/60  [bar]  57 %  eta 0:00:03`, the bar as wide as there is room."""
    head = f"epoch {f.epoch}/{f.epochs}  "
    eta = "-:--:--" if f.eta_s is None else clock(f.eta_s)
    tail = f"  {f.progress * 100:3.0f} %  eta {eta}"
    room = t.width - len(head) - len(tail)
    if room < 4:
        return [(head.rstrip(), ""), (f" {f.progress * 100:.0f} % eta {eta}", "")]
    return [(head, ""), *bar(f.progress, min(room, 48), t.signs), (tail, "")]


def bar(share: float, size: int, signs: Signs) -> Line:
    """A bar of `size` characters, the first `share` of it done."""
    done, half, left = signs.bar
    full = int(share * size)
    part = half if 0 < full < size else ""
    rest = size - full - len(part)
    return [(done * full + part, "bar"), (left * rest, "faint")]


def counters(f: Facts) -> list[Line]:
    """Steps, speed, how they are made, and what watching costs."""
    return [
        [(f"step {f.step}", "")],
        [(f"samples/s {amount(f.samples_per_s)}", "")],
        [(way(f), "")],
        [(f"watch overhead {share(f.overhead)}", "")],
    ]


def share(value: float | None) -> str:
    """A share of the time, or '-' where it is too early to say."""
    return "-" if value is None else f"{value * 100:.1f} %"


def way(f: Facts) -> str:
    """How the steps are made: `9.1 k/s compiled in 0.6 s, 2 threads`, or `1.2 k/s eager`.

    loaded: what was compiled by an earlier run lay in the cache.
    """
    speed = "" if f.steps_per_s is None else f"{amount(f.steps_per_s)}/s "
    if not f.compiled:
        return f"{speed}eager"
    spread = f", {counted(f.threads, 'thread')}" if f.threads else ""
    how = "loaded" if f.cached else "compiled"
    return f"{speed}{how} in {f.compile_s:.1f} s{spread}"


def curves(f: Facts, t: Terminal) -> list[Line]:
    """Now, best and trend of the losses and the accuracy."""
    rows = [("loss  tr", f.loss)]
    if f.val_loss.now is not None:
        rows.append(("      va", f.val_loss))
    if f.val_acc.now is not None:
        rows.append(("acc   va", f.val_acc))
    trends = [in_words(s.values, f.first_epoch) for _, s in rows]
    return table(
        [
            Column("", [[(name, "")] for name, _ in rows], 9),
            Column("now", [[(number(s.now), "strong")] for _, s in rows], 8),
            Column("best (epoch)", [[(_best(s, f), "")] for _, s in rows], 6),
            Column(
                "last 10 epochs",
                [[(sparkline(s.values, t.signs.spark), "bar")] for _, s in rows],
                5,
            ),
            Column("trend", [[(words, "")] for words in trends], 7),
        ],
        t.width,
    )


def number(value: float | None, form: str = "") -> str:
    """A value, or '-' for what was not computed; four decimals unless that is too long."""
    if value is None:
        return "-"
    return format(value, form or (".4f" if abs(value) < 1e5 else ".4e"))


def _best(series: Series, f: Facts) -> str:
    best = series.best()
    return "-" if best is None else f"{number(best[0])} ({best[1] + f.first_epoch - 1})"


def layers(f: Facts, t: Terminal) -> list[Line]:
    """One row a layer, the most suspicious first where there are more than fit."""
    room = max(t.height - FIXED_LINES - len(keys(f, t)) * f.keys, 3)
    shown, hidden = f.layers, 0
    if len(shown) > room:
        worst = sorted(f.layers, key=lambda x: _concern(x, f.lifted), reverse=True)[: room - 1]
        shown = [layer for layer in f.layers if any(layer is w for w in worst)]
        hidden = len(f.layers) - len(shown)
    times = t.signs.times
    columns = [
        Column("layer", [[(x.name, "")] for x in shown], 9),
        Column("|grad|", [[(number(x.grad, ".1e"), "")] for x in shown], 7, True),
        Column("upd:weight", [_ratio(x, f.lifted) for x in shown], 8),
        Column("dead", [[(_share(x.dead), _alarm(x.dead))] for x in shown], 6, True),
        Column("flat", [[(_share(x.saturated), _alarm(x.saturated))] for x in shown], 5, True),
        Column(f"gain = weights {times} slope", [[(_gain(x, times), "")] for x in shown], 4),
    ]
    used = [c for c in columns if c.rank > 6 or any(text_of(cell) != "-" for cell in c.cells)]
    lines = table(used, t.width)
    if hidden:
        lines.append([(f"and {hidden} more layers, none of them worse", "faint")])
    return [*lines, *words(seen(f), t.width, "faint")] if f.moved_at is not None else lines


def seen(f: Facts) -> str:
    """Of which steps the table of layers is: watching looks inside at a few steps only."""
    moved = f"at step {f.moved_at}"
    return f"seen {moved}" if f.probed == moved else (
        f"gradient and update seen {moved}, all else {f.probed}")  # fmt: skip


def _concern(layer: Layer, lifted: float) -> float:
    ratio = 0.0 if layer.ratio is None else float(ratio_word(layer.ratio * lifted) != "ok")
    return max(ratio, layer.dead or 0.0, layer.saturated or 0.0)


def _ratio(layer: Layer, lifted: float) -> Line:
    if layer.ratio is None:
        return [("-", "")]
    word = ratio_word(layer.ratio * lifted)  # a low lr that the schedule asks for is no fault
    return [(f"{layer.ratio:.1e} ", ""), (word, "ok" if word == "ok" else "warn")]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value * 100:.0f} %"


def _alarm(value: float | None) -> str:
    return "warn" if alarming(value) else ""


def _gain(layer: Layer, times: str) -> str:
    if layer.gain is None:
        return "-"
    if layer.weights is None or layer.slope is None:
        return f"{layer.gain:.2f}"
    return f"{layer.gain:.2f} = {layer.weights:.2f} {times} {layer.slope:.2f}"


def table(columns: Sequence[Column], width: int, gap: int = 2) -> list[Line]:
    """Columns side by side; the lowest ranks are left out until the rest fits."""
    kept = list(columns)
    while len(kept) > 1 and sum(c.width + gap for c in kept) - gap > width:
        kept.remove(min(kept, key=lambda c: c.rank))
    lines = [_row(kept, lambda c: [(c.head, "faint")], gap)]
    for i in range(len(kept[0].cells)):
        lines.append(_row(kept, lambda c, i=i: c.cells[i], gap))  # type: ignore[misc]
    return [crop(line, width) for line in lines]


def _row(columns: Sequence[Column], cell: Callable[[Column], Line], gap: int) -> Line:
    line: Line = []
    for column in columns:
        content = cell(column)
        pad = (" " * (column.width - len(text_of(content))), "")
        line += ([pad, *content] if column.right else [*content, pad]) + [(" " * gap, "")]
    return line


def verdict(f: Facts, t: Terminal) -> list[Line]:
    """The judgement: a sign and a sentence."""
    severity = f.verdict.severity
    sign = {BAD: t.signs.bad, WARN: t.signs.warn}.get(severity, t.signs.ok)
    return words(f"{sign} {f.verdict.text}", t.width, severity, "  ")


def keys(f: Facts, t: Terminal) -> list[Line]:
    """What can be pressed, and whether training waits for it."""
    gap: Line = [("  ", "")]
    offered: list[Line] = [[(key, "faint")] for key in KEYS]
    if f.paused:
        offered[KEYS.index("[p]ause")] = [("[p] go on", "strong")]
        offered.insert(0, [(f"paused after step {f.step}", "strong")])
    return wrap(offered, t.width, gap)
