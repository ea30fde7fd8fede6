"""Weights go to PyTorch and come back as safetensors: every model of the registry of states."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import chainrule

sys.path.append(str(Path(__file__).parents[1] / "nn"))
from module_cases import STATES

from later import Later

pytestmark = [pytest.mark.reference, pytest.mark.slow]
torch = Later("torch")


def marked(model, lib, seed):
    """A model whose numbers are all different."""
    rng = np.random.default_rng(seed)
    with lib.no_grad():
        for t in model.state_dict().values():
            new = rng.normal(size=tuple(t.shape)) * 10
            t.copy_(lib.tensor(new).to(t.dtype))
    return model


def same(ours, theirs):
    assert list(ours) == list(theirs)
    for name, t in ours.items():
        wanted = theirs[name].numpy()
        assert (t.dtype, t.shape) == (wanted.dtype, wanted.shape)
        np.testing.assert_array_equal(t.numpy(), wanted, err_msg=name)


@pytest.mark.parametrize("name", STATES)
def test_there_and_back(name, tmp_path):
    from safetensors.torch import load_file, save_file

    ours, theirs = STATES[name](chainrule), STATES[name](torch)
    chainrule.save(marked(ours, chainrule, 1).state_dict(), tmp_path / "ours.safetensors")
    theirs.load_state_dict(load_file(tmp_path / "ours.safetensors"), strict=True)
    same(ours.state_dict(), theirs.state_dict())
    apart = {k: v.clone() for k, v in marked(theirs, torch, 2).state_dict().items()}
    save_file(apart, tmp_path / "theirs.safetensors")
    ours.load_state_dict(chainrule.load(tmp_path / "theirs.safetensors"), strict=True)
    same(ours.state_dict(), theirs.state_dict())


def test_they_compute_the_same_with_them(tmp_path):
    from safetensors.torch import load_file

    def model(nn):
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.GELU(), nn.Flatten(), nn.Linear(64, 5)
        )

    ours, theirs = model(chainrule.nn), model(torch.nn)
    x = np.random.default_rng(0).normal(size=(8, 1, 6, 6)).astype(np.float32)
    ours(chainrule.tensor(x))  # running statistics of its own
    chainrule.save(ours.state_dict(), tmp_path / "m.safetensors")
    theirs.load_state_dict(load_file(tmp_path / "m.safetensors"))
    with torch.no_grad(), chainrule.no_grad():
        wanted = theirs.eval()(torch.tensor(x)).numpy()
        np.testing.assert_allclose(ours.eval()(chainrule.tensor(x)).numpy(), wanted, atol=1e-5)
