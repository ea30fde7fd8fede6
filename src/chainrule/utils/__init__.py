"""Where PyTorch scripts look for `utils.data`."""

from . import data as data
