"""Settings of a table's fit that can't be, and those that would do nothing."""

from __future__ import annotations

import pytest

from chainrule.errors import ArgumentError
from chainrule.train.tabular import Recipe, TableFit

TABLE = {"x": [float(i % 7) for i in range(30)], "y": [i / 3 for i in range(30)]}
WRONG = {
    "lr": (-1.0, float("nan"), "0.1"), "weight_decay": (-0.1, float("inf")), "dropout": (1.0, True),
    "batch_size": (0, 2.5), "epochs": (0, True), "hidden": ((8, 0), (2.7,), 8, ("a",), "88"),
    "betas": ((0.9, 1.0), 0.9, (0.9,), "xx"), "patience": (1.5, -1, "x", True),
    "sigma": (0.0, float("nan"), float("inf"), "1"), "max_one_hot": (-1, "x", 1.5),
    "label_smoothing": (1.0, -0.1),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_setting_out_of_its_range_is_named(name):
    for value in WRONG[name]:
        with pytest.raises(ArgumentError, match=rf"Recipe: {name} must be .*\n.*got "):
            Recipe(**{name: value})


def test_the_line_is_the_users_and_none_of_a_dataclass():
    with pytest.raises(ArgumentError, match=r"line +test_recipe.py:\d+"):
        Recipe(lr=-1.0)


def test_an_activation_is_told_the_nearest_name():
    with pytest.raises(ArgumentError, match="did you mean 'selu'"):
        Recipe(activation="seluu")


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ({"recipe": Recipe(label_smoothing=0.1)}, "label_smoothing takes certainty from classes"),
        ({"folds": 3, "val_share": 0.2}, "val_share is of one network; of 3"),
        ({"seed": -1}, "seed must be a whole number >= 0"),
        ({"seed": "x"}, "seed must be a whole number >= 0"),
    ],
)
def test_what_does_nothing_in_a_fit_or_can_not_be_is_refused(own, told):
    with pytest.raises(ArgumentError, match=told):
        TableFit(TABLE, "y", **own)
    assert TableFit(TABLE, "y", recipe=Recipe(label_smoothing=0.0), val_share=0.3).members
