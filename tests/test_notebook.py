"""What objects show in a notebook: static, inert, in the colours of the page, with unique ids."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import chainrule
from chainrule import data, diagram, nn, optim, summary
from chainrule.errors import ShapeError
from chainrule.markup import number, size_text
from chainrule.optim.html import next_step
from chainrule.report.boundary import Frames
from chainrule.report.dynamics import Batch
from chainrule.train import History, Trainer, Watch
from chainrule.train.html import MOST_POINTS, chart, curve, thinned
from chainrule.train.watch import Bins, Layer, Look
from chainrule.train.watch.activations import Values, quantile
from chainrule.train.watch.numbers import bins as count
from chainrule.train.watch.series import dead_since

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
PLACES = {"x", "y", "width", "height", "points", "d"}
VOID = {"img", "br", "hr", "input", "meta", "link"}


class Reader(HTMLParser):
    """The tags of a piece of HTML, closed in the order in which they were opened."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, k, v) for k, v in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, k, v) for k, v in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(html):
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert not reader.open
    return reader


def history(n=30, **more):
    rows = [
        {"epoch": i, "step": 10 * i, "loss": 2 / i**2, "val_loss": 1.5 / i, "lr": 0.01,
         "val_accuracy": 1 - 1 / (i + 1), "seconds": 0.1, **more}
        for i in range(1, n + 1)
    ]  # fmt: skip
    return History(rows)


def hostile_model():
    class Named(nn.Module):
        def extra_repr(self):
            return HOSTILE

        def forward(self, x):
            return x * 2

    Named.__name__ = HOSTILE
    model = nn.Sequential(Named(), nn.Linear(2, 2))
    model.add_module(HOSTILE.replace(".", ""), nn.ReLU())
    return model


def hostile_history():
    made = history(**{HOSTILE: 1.0})
    made.stopped = HOSTILE
    return made


def inside(*steps, gaps=(), low=-1.0, high=1.0, **numbers):
    """A watch that saw what units give, but for some looks without the probe."""
    watch = Watch(probe=(np.zeros((7, 2)), np.zeros(7)))
    for i, step in enumerate(steps):
        layers = [Layer(n, "Linear", "ReLU") for n in ("fc1", HOSTILE)]
        for layer in layers if i not in gaps else ():
            layer.activations = Bins(low, high * (i + 1), [1] * 39 + [i])
            layer.dead, layer.saturated, layer.dead_units = 0.25, 0.5, [1, 2, 3][: i + 1]
            for key, value in numbers.items():
                setattr(layer, key, value)
        watch.looks.append(Look(step, 1, 0.1, 1.0, layers=layers))
    return watch


SHOWN = {
    "watch": lambda: inside(*range(1, 300, 3), gaps=(4, 5)),
    "watch of one look": lambda: inside(1),
    "watch of huge numbers": lambda: inside(1, 2, low=-1.7e308, high=0.8e308),
    "watch of one value": lambda: inside(1, 2, low=0.0, high=0.0),
    "watch of other activations": lambda: inside(1, 2, dead=None, saturated=None, dead_units=None),
    "tensor": lambda: chainrule.randn(40, 3),
    "parameter": lambda: nn.Parameter(chainrule.ones(3)),
    "result": lambda: nn.Parameter(chainrule.ones(3)) * 2,
    "whole numbers": lambda: chainrule.arange(100),
    "booleans": lambda: chainrule.ones(3) > 0,
    "empty": lambda: chainrule.zeros(0, 3),
    "one number": lambda: chainrule.tensor(3.0),
    "not finite": lambda: chainrule.tensor([math.nan, math.inf, -math.inf] * 9),
    "huge": lambda: chainrule.tensor([1e308, -1e308] * 9, dtype=chainrule.float64),
    "module": lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sequential(nn.ReLU())),
    "hostile module": hostile_model,
    "diagram": lambda: diagram(hostile_model(), chainrule.ones(1, 2), chainrule.ones(1, 2),
                               nn.MSELoss()),
    "summary": lambda: summary(hostile_model()),
    "history": history,
    "hostile history": hostile_history,
    "optimizer": lambda: stepped(),
    "hostile optimizer": lambda: optim.SGD([(HOSTILE, nn.Parameter(chainrule.ones(2)))], lr=1e-3),
    "no epochs": History,
    "one epoch": lambda: history(1),
    "epochs without a number": lambda: History([{"epoch": 1, "loss": math.nan}]),
    "huge losses": lambda: History([{"epoch": i, "loss": v} for i, v in
                                    enumerate([1e308, -1e308, 0.0])]),
}  # fmt: skip


@pytest.mark.parametrize("name", SHOWN)
def test_it_is_static_inert_and_whole(name):
    shown = SHOWN[name]()
    html = shown._repr_html_()
    reader = read(html)
    assert not {"script", "img", "iframe", "link", "object", "form"} & set(reader.tags)
    assert not [a for a in reader.attributes if a[1].startswith("on") or a[1] in ("src", "href")]
    assert "@import" not in html
    assert "url(" not in html
    numbers = [v for _, k, v in reader.attributes if k in PLACES]
    assert not re.search(r"nan|inf", " ".join(numbers))
    assert repr(shown)
    assert "chainrule-html" not in repr(shown)


@pytest.mark.parametrize("name", ["tensor", "module", "history"])
def test_ids_are_prefixed_and_unique_even_if_shown_twice(name):
    shown = SHOWN[name]()
    attributes = read(shown._repr_html_() + shown._repr_html_()).attributes
    ids = [v for _, k, v in attributes if k == "id"]
    assert len(set(ids)) == len(ids) > 0
    assert all(i.startswith("chainrule-") for i in ids)
    classes = {c for _, k, v in attributes if k == "class" for c in v.split()}
    assert all(c.startswith("chainrule-") for c in classes)
    pointed = {i for _, k, v in attributes if k == "aria-labelledby" for i in v.split()}
    assert pointed <= set(ids)


@pytest.mark.parametrize("name", SHOWN)
def test_every_picture_is_said_in_words(name):
    reader = read(SHOWN[name]()._repr_html_())
    pictures = [a for a in reader.attributes if a[:2] == ("svg", "role")]
    hidden = [a for a in reader.attributes if a == ("svg", "aria-hidden", "true")]
    assert reader.tags.count("svg") == len(pictures) + len(hidden)
    assert reader.tags.count("desc") == len(pictures)
    assert reader.tags.count("figcaption") == len(pictures)


def test_text_takes_its_colour_from_the_page():
    for shown in SHOWN.values():
        style = re.search(r"<style>(.*?)</style>", shown()._repr_html_())[1]
        colours = re.findall(r"(?<!-)color:([^;}]+)", style)
        assert set(colours) == {"inherit"}


def test_a_tensor_in_a_compiled_function_shows_what_is_known():
    seen = []

    @chainrule.compile
    def double(x):
        seen.append(x._repr_html_())
        return x * 2

    double(chainrule.ones(3))
    assert "not known while it is recorded" in seen[0]


def stepped(kind=optim.Adam, **settings):
    """An optimizer of a small model after two steps, with gradients for a third."""
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1))
    made = kind(model.named_parameters(), **settings)
    for _ in range(3):
        made.step()
        made.zero_grad()
        model(chainrule.rand(4, 3)).sum().backward()
    return made


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_an_optimizer_says_what_its_next_step_would_be(kind):
    made = stepped(getattr(optim, kind), lr=0.01)
    (group,) = made.param_groups
    before = [np.array(p.detach()) for p in group["params"]]
    states = {k: np.array(v) for k, v in made.state_dict()["state"].get(0, {}).items()}
    moved = next_step(made)
    assert all((np.asarray(p.detach()) == b).all() for p, b in zip(group["params"], before,
                                                                    strict=True))  # fmt: skip
    after = {k: np.array(v) for k, v in made.state_dict()["state"].get(0, {}).items()}
    assert all((states[k] == after[k]).all() for k in states)
    html = made._repr_html_()
    made.step()
    for p, b in zip(group["params"], before, strict=True):
        change = p.detach().numpy().astype(np.float64) - b
        np.testing.assert_array_equal(moved[id(p)], change)
        assert number(float(np.sqrt(np.mean(change**2)))) in html or change.size == 1
    for slot in made.slots_of(group):
        assert slot in html


def test_without_gradients_there_is_no_next_step():
    w = nn.Parameter(chainrule.ones(2))
    html = optim.SGD([("w", w)], lr=0.1)._repr_html_()
    assert "none yet" in html
    assert "none</td>" in html


def test_after_a_compiled_step_gradients_are_not_kept():
    w = nn.Parameter(chainrule.ones(2))
    made = optim.SGD([("w", w)], lr=0.1)

    @chainrule.compile
    def step(x):
        made.zero_grad()
        (w * x).sum().backward()
        made.step()

    step(chainrule.ones(2))
    assert "none yet" in made._repr_html_()
    assert "not kept" in w._repr_html_()


def test_nothing_is_hidden_by_thinning():
    points = [(float(i), 0.0) for i in range(100_000)]
    points[777], points[50_001] = (777.0, 9.0), (50_001.0, -9.0)
    kept = thinned(points)
    assert len(kept) <= MOST_POINTS + 1
    assert {points[0], points[777], points[50_001], points[-1]} <= set(kept)
    assert kept == sorted(kept)


def test_a_curve_says_where_it_starts_ends_and_is_best():
    rows = [{"epoch": 1, "loss": 3.0}, {"epoch": 2, "loss": 1.0}, {"epoch": 3, "loss": math.nan},
            {"epoch": 4, "loss": 2.0}]  # fmt: skip
    html = chart(rows, "loss")
    assert "loss: 3 to 2, best 1 in epoch 2; not finite in 1 epochs" in html
    assert curve(rows, "loss") == [(1.0, 3.0), (2.0, 1.0), (4.0, 2.0)]


def test_what_was_not_computed_is_not_0():
    html = History([{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": 0.5, "val_loss": 0.7}])
    assert "not computed" in html._repr_html_()


def test_facts_of_a_tensor():
    w = nn.Parameter(chainrule.tensor([3.0, 4.0]))
    assert "wanted, none yet" in w._repr_html_()
    (w * w).sum().backward()
    assert "norm 10" in w._repr_html_()
    assert "2 of 3" in chainrule.tensor([np.nan, 1.0, np.inf])._repr_html_()


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2.5e6, "2.5 MB")]
)
def test_sizes(size, text):
    assert size_text(int(size)) == text


def watched(**numbers):
    layers = [Layer("fc1", "Linear", **numbers), Layer(HOSTILE, "Linear", grad=2e-5, ratio=0.5)]
    watch = Watch()
    watch.looks = [Look(s, 1, 0.1, 1.0, layers=layers) for s in (1, 101, 201)]
    return watch


def test_a_watch_shows_flow_and_pace_by_layer_and_step():
    watch = watched(grad=0.01, ratio=1e-3, gain=0.6, weights=0.9, slope=0.667, dead=0.25,
                    dead_units=[3], saturated=0.0)  # fmt: skip
    seen = history()
    seen.watch = watch
    for html in (watch._repr_html_(), seen._repr_html_()):
        reader = read(html)
        assert "script" not in reader.tags
        said = " ".join(reader.text)
        assert "Median |gradient|: fc1 0.01, " in said
        assert "at 3 of 3 looks" in said
        assert "0.6 = 0.9 \u00d7 0.667" in said
        assert "3 (since step 1)" in said
        assert reader.tags.count("svg") >= 2
        ids = [v for _, k, v in reader.attributes if k == "id"]
        assert len(ids) == len(set(ids))
    lost = " ".join(read(watched(grad=math.nan)._repr_html_()).text)
    assert "Not finite in fc1" in lost
    assert "\u2716" in lost
    assert "not computed" in lost
    assert "no look yet" in Watch()._repr_html_()
    assert "What the units give was not computed" in lost


def test_a_watch_shows_what_units_give_at_every_look():
    html = inside(1, 21, 101, 301, gaps=(2,))._repr_html_()
    reader = read(html)
    said = " ".join(reader.text)
    assert "Each column is a look on the 7 rows given as probe" in said
    assert "step 1: from -1 to 1, 25 % dead, 50 % flat; step 301: from -1 to 4" in said
    assert ("Dead on the 7 rows given as probe: units 1 (since step 1), 2 (since step 21), "
            "3 (since step 301).") in said  # fmt: skip
    assert "1 of 4 looks did not compute it" in said
    frames = re.findall(r'<rect [^>]*width="88.5" height="80" fill="none"', html)
    assert len(frames) == 2, "a gap in both layers"
    assert said.count("dead 25 %") == said.count("flat 50 %") == 2
    rows = re.findall(r"<tr>.*?</tr>", html)
    gap = next(r for r in rows if ">fc1<" in r and ">101<" in r)
    assert gap.count("not computed") == 7
    assert any(">fc1<" in r and ">21<" in r and ">2<" in r and "given as probe" in r for r in rows)


def test_the_look_that_closes_a_fit_is_at_no_step():
    watch = inside(1, 21)
    closing = replace(watch.looks[-1], step=61, loss=None)
    closing.layers = [replace(x, dead_units=[1, 2, 9]) for x in closing.layers]
    watch.looks.append(closing)
    html = watch._repr_html_()
    said = " ".join(read(html).text)
    assert "3 looks, steps 1 to 60" in said
    assert "9 (since step 60)" in said
    assert not re.search(r"\b61\b", said)
    assert ">end<" in html


def test_a_break_in_the_looks_does_not_revive_a_unit():
    looks = inside(1, 21, 101, gaps=(1,)).looks
    assert dead_since(looks, "fc1") == {1: 1, 2: 101, 3: 101}
    looks[2].layer("fc1").dead_units = []
    assert dead_since(looks, "fc1") == {}


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(0, 1e6),
                          st.lists(st.integers(0, 9), min_size=40, max_size=40)),
                min_size=1, max_size=4))  # fmt: skip
@example([(5e-324, 0.0, [0] * 20 + [1] + [0] * 19)])
@example([(1.5e-323, 5e-324, [1] * 40)])
@example([(0.0, 1e-310, [1] * 40), (1e6, 0.0, [1] * 40)])
def test_no_value_of_a_histogram_gets_lost(held):
    bins = [Bins(low, low + wide, counts) for low, wide, counts in held]
    values = Values(bins)
    for h in bins:
        shares = values.shares(h)
        assert sum(shares) == pytest.approx(1.0 if any(h.counts) else 0.0, abs=1e-6)
        assert min(shares) >= 0
        if any(h.counts):
            found = [quantile(h, q) for q in (0, 0.25, 0.5, 1)]
            slack = 1e-9 * max(abs(h.low), abs(h.high))
            assert all(b >= a - slack for a, b in pairwise(found))
            assert h.low - slack <= found[0]
            assert found[-1] <= h.high + slack


def test_a_histogram_lies_where_its_values_do():
    values = np.random.default_rng(0).normal(size=4000)
    h = count(values)
    for q in (0.25, 0.5, 0.75):
        assert quantile(h, q) == pytest.approx(np.quantile(values, q), abs=0.1)
    axis = Values([h])
    found = axis.shares(h)
    edges = np.linspace(h.low, h.high, len(found) + 1)
    assert np.allclose(found, np.histogram(values, edges)[0] / values.size, atol=2e-3)


@pytest.mark.parametrize("made", [
    lambda x, y: Batch(x[:6], y[:6], names=(HOSTILE, "b")), Frames, lambda x, y: Frames(x),
], ids=["batch", "frames", "frames without classes"])  # fmt: skip
def test_what_is_learned_over_time_shows_pictures_words_and_a_table(made):
    x, y = data.moons(40, seed=0)
    callback = made(x, y)
    assert "no picture was taken yet" in callback._repr_html_()
    model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2))
    t = Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), 0.1),
                callbacks=[callback], compile=False)  # fmt: skip
    t.fit((x, y), epochs=6, batch_size=40)
    reader = read(callback._repr_html_())
    assert not {"script", "img"} & set(reader.tags)
    said = " ".join(reader.text)
    for words in ("Shows:", "Healthy looks like:", "Here:", "as a table"):
        assert words in said
    labels = [v for tag, k, v in reader.attributes if tag == "svg" and k == "aria-label"]
    assert len(labels) == (1 if isinstance(callback, Batch) else 4)
    rows = [v for _, k, v in reader.attributes if k == "class" and v == "row"]
    assert bool(rows) == (getattr(callback, "true", None) is not None and len(labels) == 4)
    assert "step 0" in said


@pytest.mark.parametrize("wrong", [
    lambda: Frames(np.zeros((4, 3))), lambda: Frames(np.zeros((4, 2)), np.zeros(3)),
    lambda: Batch(np.zeros((4, 2)), np.zeros(3)),
])  # fmt: skip
def test_rows_that_do_not_fit_are_refused_before_training(wrong):
    with pytest.raises(ShapeError, match="must be"):
        wrong()
