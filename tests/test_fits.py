"""What is read of a run's files is what the schemas say, or is refused: `schemas.fits`."""

from __future__ import annotations

import copy
import json

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule
from chainrule.errors import FormatError
from chainrule.schemas import schema
from chainrule.schemas.fits import KINDS, LIMITS, PARTS, SAYS, misfit
from chainrule.train import Run

LABEL = {"name": "big", "rows": 3, "predicted": 4, "right": 2, "roc_auc": None}
GOOD = {
    "result": {
        "stopped": "epochs", "error": "x", "advised_lr": 0.1, "epochs": 3, "steps": 6,
        "last": {"epoch": 3}, "compiled": True, "compile_seconds": 0.5, "threads": None,
        "test_accuracy": 0.5, "test_loss": 0.1, "test_rows": 7, "guess_mae": 2.0,
        "confusion": [[1, 2], [3, 4]], "labels": [LABEL, {**LABEL, "roc_auc": 0.5}],
        "targets": [{"name": "a", "rmse": 1.0, "mae": 0.5, "r2": None, "mean_rmse": 2.0}],
    },
    "metrics": {"epoch": 1, "step": 2, "loss": 0.5, "lr": 0.1, "seconds": 0.0, "val_loss": 1.0},
}  # fmt: skip
FILES = {"result": "result.json", "metrics": "metrics.jsonl"}
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2), st.sampled_from([0.5, 1.5, -0.5, 1e-300]),
    st.text(max_size=2), st.just([]), st.just({}), st.just([1]), st.just([{}]), st.just({"a": 1}),
)  # fmt: skip


def places(value):
    """Every (container, key) within a value."""
    found = []
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            found += [(value, key), *places(value[key])]
    return found


@pytest.mark.parametrize("name", FILES)
def test_only_words_that_are_followed(name):
    def hold(one):
        assert not set(one) - set(LIMITS) - PARTS - SAYS
        others = one.get("additionalProperties", True)
        assert others is not False
        assert one.get("type", "object") in KINDS
        for part in [*one.get("properties", {}).values(), *one.get("anyOf", [])]:
            hold(part)
        for part in (one.get("items", True), others):
            if part is not True:
                hold(part)

    hold(schema(name))


@pytest.mark.parametrize("name", FILES)
@given(data=st.data())
def test_it_finds_what_a_validator_finds(name, data):
    held = copy.deepcopy(GOOD[name])
    for _ in range(data.draw(st.integers(0, 2))):
        container, key = data.draw(st.sampled_from(places(held) or [(held, "x")]))
        if data.draw(st.booleans()) and isinstance(container, dict):
            container.pop(key, None)
        else:
            container[key] = copy.deepcopy(data.draw(ODD))  # `just` gives the same list again
    valid = jsonschema.Draft202012Validator(schema(name)).is_valid(held)
    assert (misfit(held, schema(name)) is None) is valid


@pytest.mark.parametrize(
    ("place", "value"),
    [("steps", 1.0), ("steps", True), ("test_loss", 10**400), ("test_loss", -(10**400))],
)
def test_stricter_than_the_schema(place, value):
    found = misfit({"stopped": None, place: value}, schema("result"))
    assert found is not None
    assert (found.place, found.got) == (place, value)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("result", {"labels": [1, 2]}, "labels[0]: an object"),
        ("result", {"labels": 3}, "labels: a list"),
        ("result", {"labels": [{**LABEL, "rows": "x"}]}, "labels[0].rows: a whole number >= 0"),
        ("result", {"labels": [{}]}, "labels[0]: with name"),
        (
            "result",
            {"targets": [{**GOOD["result"]["targets"][0], "mae": "x"}]},
            "targets[0].mae: a number or null",
        ),
        ("result", {"advised_lr": "1"}, "advised_lr: a number > 0 or null"),
        ("result", {"confusion": [[1], None]}, "confusion[1]: a list"),
        ("result", {"test_accuracy": 2}, "test_accuracy: a number >= 0 <= 1"),
        ("metrics", {"loss": "nan"}, "loss: a number"),
    ],
)
def test_a_run_says_what_is_wrong_with_its_file(tmp_path, name, change, said):
    run = Run.create("r", tmp_path)
    (run.path / FILES[name]).write_text(json.dumps({**GOOD[name], **change}) + "\n")
    with pytest.raises(FormatError) as caught:
        _ = run.result if name == "result" else run.rows
    assert FILES[name] in caught.value.problem
    assert caught.value.expected == said


def test_nothing_but_an_error_of_ours_comes_of_a_changed_result(tmp_path):
    """`diagnose` of a run whose result was changed at one place, by every kind of value."""
    run = Run.create("r", tmp_path)
    (run.path / "metrics.jsonl").write_text(json.dumps(GOOD["metrics"]) + "\n")
    values = [None, True, -1, 2**70, 10**400, 0.5, "x", [], {}, [1, 2], [{}]]
    said = []
    for i in range(len(places(GOOD["result"]))):
        for value in values:
            held = copy.deepcopy(GOOD["result"])
            container, key = places(held)[i]
            container[key] = value
            (run.path / "result.json").write_text(json.dumps(held))
            try:
                chainrule.diagnose(run)
                said.append("")
            except FormatError as error:
                said.append(error.problem)
    assert set(said) == {"", f"{run.path / 'result.json'} is no result"}
