"""Every rule finds what was planted, keeps still where all is well, and says what it means."""

from __future__ import annotations

import html
import json
import math
import re
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from stories import (
    ENDED,
    FALLING,
    FAULTS,
    FLAT,
    KILLED,
    START,
    all_layers,
    closed,
    first_layer,
    found,
    looks,
    rows,
    story,
)
from stories import SLOPES as BY_SLOPE
from stories import WEIGHTS as BY_WEIGHTS

import chainrule
from chainrule import nn, optim
from chainrule.diagnosis import RULES, Story, diagnose, judge, rules_with
from chainrule.diagnosis.finding import SEVERITIES, SLOPE, WEIGHTS, called, percent
from chainrule.errors import ArgumentError, ArgumentTypeError
from chainrule.train import History, Trainer, Watch

PLANTED = [(name, i) for name in FAULTS for i in range(len(FAULTS[name]))]
OF_THE_MODEL = {name for name, rule in RULES.items() if rule.asks == "trainer"}


def test_every_rule_has_a_planted_fault():
    assert set(FAULTS) | OF_THE_MODEL == set(RULES)


@pytest.mark.parametrize(("name", "i"), PLANTED)
def test_planted_faults_are_found(name, i):
    findings = [f for f in diagnose(FAULTS[name][i]) if f.id == name]
    assert len(findings) == 1
    f = findings[0]
    assert f.severity in SEVERITIES
    assert f.evidence
    assert f.cause
    assert any(c.isdigit() for c in f.evidence), "evidence is numbers"
    assert json.loads(json.dumps(f.to_json(), allow_nan=False))["id"] == name
    assert html.escape(f.evidence) in diagnose(FAULTS[name][i])._repr_html_()


@pytest.mark.parametrize("name", sorted(set(RULES) - OF_THE_MODEL))
def test_a_healthy_training_has_nothing(name):
    assert found(name, story()) == []
    bare = Story()
    rule = RULES[name]()
    assert rule.applies(bare) is not None or list(rule.find(bare)) == []


@settings(max_examples=40)
@given(
    rate=st.floats(0.7, 0.97), epochs=st.integers(1, 60), ratio=st.floats(1e-4, 1e-2),
    noise=st.floats(0, 0.02), grad=st.floats(0.01, 1.0), dead=st.floats(0, 0.4),
    ended=st.booleans(),
)  # fmt: skip
def test_healthy_trainings_are_called_healthy(rate, epochs, ratio, noise, grad, dead, ended):
    # the first epoch lies below the start: one that ends above it has learned nothing
    losses = [2.3 * rate**i * (1 - noise * (-1) ** i) for i in range(epochs)]
    held = story(
        rows=rows(losses, val_loss=losses),
        looks=looks(all_layers(ratio=ratio, update=ratio * 5, grad=grad, dead=dead)),
        result=ENDED if ended else {},
    )
    if ended:
        held.looks = closed(held.looks, probe=losses[-1] * 0.98, grad=grad, dead=dead)
    assert [f.id for f in diagnose(held)] == []


THRESHOLDS = [(name, key) for name, rule in RULES.items() for key in rule.thresholds]


@pytest.mark.parametrize(("name", "key"), THRESHOLDS)
def test_every_threshold_can_be_set(name, key):
    rule = next(r for r in rules_with({f"{name}.{key}": 7}) if r.id == name)
    assert getattr(rule, key) == 7.0
    assert re.search(rf"\b{key}\b", RULES[name].__doc__)


@pytest.mark.parametrize(
    ("name", "key", "value", "fault"),
    [
        ("vanishing", "ratio", 1e-9, 0), ("vanishing", "steps", 1e6, 0),
        ("vanishing", "tiny", 0, 2),
        ("exploding", "ratio", 1e9, 0), ("exploding", "times", 1e3, 4),
        ("exploding", "recent", 0, 4), ("exploding", "rise", 100, 4),
        ("update-ratio", "high", 1, 0), ("update-ratio", "low", 0, 2),
        ("unchanged-weight", "looks", 50, 0), ("symmetry", "units", 50, 0),
        ("dead-relu", "share", 0.8, 0), ("saturated", "share", 0.9, 0),
        ("activation-scale", "high", 100, 0), ("activation-scale", "low", 0, 1),
        ("loss-at-init", "share", 9, 0), ("loss-at-init", "nats", 9, 0),
        ("loss-flat", "epochs", 50, 0), ("loss-flat", "ending", 9, 4),
        ("loss-flat", "steps", 999, 6),
        ("loss-flat", "share", 2, 0), ("loss-oscillating", "size", 1, 0),
        ("loss-oscillating", "epochs", 50, 0), ("loss-oscillating", "turns", 2, 0),
        ("loss-diverging", "epochs", 12, 0), ("loss-diverging", "risen", 9, 0),
        ("loss-diverging", "size", 1, 0), ("overfit", "epochs", 50, 0), ("overfit", "worse", 9, 0),
        ("overfit", "size", 9, 0), ("underfit", "epochs", 50, 0), ("underfit", "share", 0.9, 0),
        ("held-out", "rows", 91, 0), ("held-out", "rows", 67, 1), ("held-out", "rows", 81, 3),
        ("imbalance", "ratio", 99, 0), ("imbalance", "error", 0.95, 1),
    ],
)  # fmt: skip
def test_a_threshold_decides(name, key, value, fault):
    held = FAULTS[name][fault]
    if name == "activation-scale":
        assert not found(name, held, **{key: value, "spread": 1e30})
    else:
        assert found(name, held)
        assert not found(name, held, **{key: value})


def test_the_ledger_names_the_factor():
    def cause(**changes):
        return found("vanishing", story(looks=looks(first_layer(grad=1e-6, **changes))))[0]

    assert cause(**BY_SLOPE).multiplier == SLOPE
    assert cause(**BY_WEIGHTS).multiplier == WEIGHTS
    assert "weights are to blame" in cause(**BY_WEIGHTS).cause
    unknown = cause(slope=None, weights=None)
    assert (unknown.multiplier, "could not be computed" in unknown.cause) == (None, True)


def test_what_a_schedule_asks_for_is_no_fault():
    held = looks(all_layers(ratio=1e-8, update=5e-8))
    held[0].lr, held[0].layers = 1.0, looks()[0].layers
    for look in held[1:]:
        look.lr = 1e-5
    assert not found("update-ratio", story(looks=held))
    assert found("update-ratio", story(looks=looks(all_layers(ratio=1e-8))))


def test_a_network_that_has_learned_may_be_sure():
    flat = looks(first_layer(saturated=0.8, activation="Tanh"))
    assert found("saturated", story(looks=flat))[0].severity == "note", "the loss is low"
    assert found("saturated", story(looks=flat, rows=FLAT))[0].severity == "warning"
    dead = looks(first_layer(dead=0.7))
    assert found("dead-relu", story(looks=dead))[0].severity == "note"
    assert found("dead-relu", story(looks=dead, rows=FLAT))[0].severity == "warning"


def test_frozen_layers_need_not_move():
    held = looks(first_layer(update=0.0, ratio=0.0, grad=None, twins=[[0, 1]]))
    start = {**START, "frozen": ["fc1"]}
    for name in ("unchanged-weight", "symmetry", "update-ratio", "vanishing"):
        assert not found(name, story(looks=held, start=start))


def test_early_stopping_makes_overfitting_a_note():
    held = FAULTS["overfit"][0]
    assert found("overfit", held)[0].severity == "warning"
    held = story(rows=held.rows, setup={"callbacks": ["EarlyStopping"]})
    assert found("overfit", held)[0].severity == "note"
    assert diagnose(held).healthy


def test_fixes_of_the_rate_start_from_the_rate():
    f = found("loss-diverging", FAULTS["loss-diverging"][0])[0]
    assert f.fixes[0].changes == {"lr": 0.001}
    f = found("loss-flat", FAULTS["loss-flat"][1])[0]
    assert f.fixes[0].changes == {"lr": 0.1}


def test_a_loss_near_its_start_is_not_above_it():
    assert not found("loss-diverging", story(rows=rows([6.5])))
    assert not found("loss-diverging", story(rows=rows([76000.0]), looks=looks(first=50000.0)))
    assert not found("loss-diverging", story(rows=rows([76000.0]), looks=[], start={}))
    (f,) = found("loss-diverging", story(rows=rows([7.1])))
    assert (f.severity, f.numbers) == ("error", {"first": 2.31, "now": 7.1})


DEAD = [
    *FAULTS["dead-relu"], *FAULTS["saturated"], *FAULTS["loss-flat"][3:4],
    *(story(looks=held, rows=FLAT) for held in (KILLED, closed(KILLED, dead=1.0, grad=0.0))),
    story(looks=closed(looks(first_layer(ratio=0.0, update=0.0, grad=0.0)), grad=0.0), rows=FLAT),
]  # fmt: skip


@pytest.mark.parametrize("held", DEAD)
def test_where_nothing_arrives_no_rule_asks_for_a_higher_rate(held):
    found = diagnose(held)
    assert found.findings
    rates = [x.changes["lr"] for f in found for x in f.fixes if "lr" in x.changes]
    assert all(lr < held.lr for lr in rates), str(found)


def test_small_updates_are_told_of_the_steps_at_which_they_are_small():
    (f,) = found("update-ratio", FAULTS["update-ratio"][4])
    assert f.steps[0] > 1
    assert "never" not in f.evidence
    assert "does not change at all" in f.evidence
    assert "units of fc1 are dead" in f.cause


def test_a_long_training_is_judged_by_its_first_epoch_and_its_best():
    falling = [0.7 * 0.97**i for i in range(600)]
    after = [2.5e-7 + 1e-10 * i for i in range(900)]
    train = [0.7 * 0.98**i for i in range(1500)]
    held = story(rows=rows(train, val_loss=falling + after), result=ENDED)
    assert diagnose(held).healthy, str(diagnose(held))
    rising = [0.6 - 0.05 * i for i in range(10)] + [0.2 + 0.001 * i for i in range(590)]
    (f,) = found("overfit", story(rows=rows(train[:600], val_loss=rising)))
    assert "0.15 (epoch 10)" in f.evidence
    climbing = [*FALLING[:10], *(2.1 + 0.001 * i for i in range(400))]
    (f,) = found("loss-diverging", story(rows=rows(climbing), looks=[], start={}))
    assert "(epoch 10)" in f.evidence


def test_what_has_hardly_begun_has_not_failed_to_learn():
    assert not found("loss-flat", story(rows=rows([2.6, 2.4])))
    few = [{**r, "step": 5 * (i + 1)} for i, r in enumerate(rows([2.6, 2.4]))]
    assert not found("loss-flat", story(rows=few, looks=closed(looks(count=1))))
    kept = closed(looks(), probe=0.4)  # early stopping put better weights back
    assert not found("loss-flat", story(rows=rows([*FALLING[:9], 2.4]), looks=kept, result=ENDED))


def test_a_loss_that_is_high_with_most_rows_right_is_not_nothing():
    for case in FAULTS["loss-flat"][7:]:  # by the log, or by the result where that has no accuracy
        (f,) = found("loss-flat", case)
        assert f.title != "nothing is learned"
        assert "90 % of the held-out rows are right" in f.evidence


numbers = st.floats(allow_nan=True, allow_infinity=True) | st.none()


@settings(max_examples=60)
@given(
    losses=st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=15),
    values=st.lists(numbers, min_size=8, max_size=8), lr=st.floats(0, 1e300),
)  # fmt: skip
@example(losses=[0.0, 1.7e308] * 6, values=[None] * 8, lr=0.1)
def test_no_numbers_make_a_rule_fall(losses, values, lr):
    names = ("grad", "ratio", "update", "weight", "std", "dead", "saturated", "slope")
    each = dict(zip(names, values, strict=True))
    held = story(rows=rows(losses, val_loss=losses[::-1]), looks=looks(first_layer(**each), lr=lr))
    said = diagnose(held)
    json.dumps(said.to_json(), allow_nan=False)
    assert str(said)


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        ({"vanishing.rate": 1}, "no threshold 'rate'"), ({"nothing.ratio": 1}, "no threshold"),
        ({"vanishing": 1}, "no threshold"), ({"vanishing.ratio": math.nan}, "finite"),
        ({"vanishing.ratio": "x"}, "finite"), ({"vanishing.ratio": -1}, "finite"),
    ],
)  # fmt: skip
def test_odd_thresholds_are_refused(thresholds, message):
    with pytest.raises(ArgumentError, match=message):
        diagnose(story(), thresholds)


def test_what_can_not_be_judged_is_refused_or_said():
    with pytest.raises(ArgumentTypeError, match="not something to judge"):
        diagnose(3)
    said = judge(Story(), rules_with())
    assert set(said.skipped) == {n for n, r in RULES.items() if r.asks != "any"}
    for reason, rules in (("callbacks=[Watch()]", "looks"), ("no epoch is finished", "rows")):
        names = ", ".join(n for n, r in RULES.items() if r.asks == rules)
        assert re.search(rf"{names} \([^)]*{re.escape(reason)}", said.said), said.said
    assert "callbacks=[Watch()]" in str(said)


def test_a_history_and_a_trainer_say_the_same():
    x = chainrule.randn(64, 3)
    net = nn.Linear(3, 1)
    watch = Watch()
    trainer = Trainer(net, nn.MSELoss(), optim.SGD(net.parameters(), 0.1), callbacks=[watch],
                      compile=False)  # fmt: skip
    history = trainer.fit((x, x.sum(1, keepdim=True)), epochs=20)
    first, second = diagnose(history), diagnose(trainer)
    assert [f.id for f in first] == [f.id for f in second] == []
    assert "batch-leak" in first.skipped
    assert "batch-leak" in second.asked
    assert str(second).startswith("ok: healthy")
    assert isinstance(history, History)


def test_a_leak_between_examples_is_found():
    class Leaky(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(3, 1)

        def forward(self, x):
            y = self.a(x)
            return y - y.mean(0, keepdim=True)

    x = chainrule.randn(32, 3)
    net = Leaky()
    trainer = Trainer(net, nn.MSELoss(), optim.SGD(net.parameters(), 0.1), callbacks=[Watch()],
                      compile=False)  # fmt: skip
    trainer.fit((x, x.sum(1, keepdim=True)), epochs=1)
    said = diagnose(trainer)
    assert said.failed
    assert said.findings[0].id == "batch-leak"


def test_hostile_names_stay_text():
    held = story(looks=looks(first_layer(name="<script>alert(1)</script>", grad=0.0)))
    page = diagnose(held)._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_words():
    assert [percent(p) for p in (0.0, 0.004, 0.5, 0.999, 1.0)] == [
        "0 %", "0.4 %", "50 %", "99.9 %", "100 %",
    ]  # fmt: skip
    assert [called(n) for n in ("fc1", "2", "body.0")] == ["fc1", "layer 2", "layer body.0"]


LACKS = {
    "held-out": (story(result={"confusion": [[3, 0], [0, 1]]}),
                 "4 held-out rows: it takes 40"),
    "overfit": (story(rows=rows(FALLING)), "no validation loss"),
    "underfit": (story(rows=rows(FALLING[:3])), "10 epochs"),
    "loss-oscillating": (story(rows=rows(FALLING[:3])), "10 epochs"),
    "loss-at-init": (story(start={}), "was not computed"),
    "activation-scale": (story(looks=looks()[1:]), "first step"),
    "dead-relu": (story(looks=looks(all_layers(dead=None))), "known to die"),
    "saturated": (story(), "known to saturate"),
    "unchanged-weight": (story(looks=looks(lr=0.0)), "learning rate above 0"),
    "update-ratio": (story(looks=looks(count=1)), "after the first"),
}  # fmt: skip


@pytest.mark.parametrize("name", LACKS)
def test_a_rule_that_could_not_judge_is_not_counted_and_says_why(name):
    held, why = LACKS[name]
    said = diagnose(held)
    assert name not in said.asked
    assert why in said.skipped[name]
    assert name in said.said
    assert f"({said.skipped[name]})" in said.said


def test_a_warm_up_from_0_hides_no_weight_that_never_changes():
    still = looks(first_layer(update=0.0, ratio=0.0))
    assert found("unchanged-weight", story(looks=[replace(still[0], lr=0.0), *still[1:]]))


CLOSED = [
    (name, closed(looks(count=count), **changes), made)
    for count in (1, 2)
    for made in (100 * count - 40,)
    for name, changes in (
        ("dead-relu", {"dead": 1.0}), ("saturated", {"saturated": 1.0, "activation": "Tanh"}),
        ("exploding", {"weight": math.nan}), ("vanishing", {"grad": 0.0}),
    )
]  # fmt: skip


@pytest.mark.parametrize(("name", "held", "made"), CLOSED)
def test_what_shows_after_the_last_step_is_told_of_no_step_that_was_not_made(name, held, made):
    assert held[-1].step == made + 1
    (f,) = found(name, story(looks=held, rows=FLAT))
    assert f.steps == (made, made)
    assert f.where.endswith("after the last step")
    assert f"step {made + 1}" not in f"{f.evidence} {f.cause}"


@pytest.mark.parametrize(("name", "i"), PLANTED)
def test_no_finding_names_the_step_that_would_come_next(name, i):
    fault = FAULTS[name][i]
    if not fault.looks or fault.looks[-1].closing:
        return
    ended = replace(fault, looks=[*fault.looks, *closing_like(fault.looks[-1])], courses={})
    for f in diagnose(ended):
        assert f.steps is None or f.steps[1] < ended.looks[-1].step
        assert f"step {ended.looks[-1].step}" not in f"{f.where} {f.evidence} {f.cause}"


def closing_like(look):
    """What closes a fit on which all is as in a look."""
    layers = [replace(x, update=None, ratio=None) for x in look.layers]
    return [replace(look, step=look.step + 77, loss=None, layers=layers)]
