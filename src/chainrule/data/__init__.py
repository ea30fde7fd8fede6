"""Datasets, samplers and the DataLoader, with PyTorch's names (`torch.utils.data`)."""

import importlib
from typing import TYPE_CHECKING, Any

from .collate import default_collate as default_collate
from .dataset import ConcatDataset as ConcatDataset
from .dataset import Dataset as Dataset
from .dataset import Subset as Subset
from .dataset import TensorDataset as TensorDataset
from .dataset import random_split as random_split
from .digits import Digits as Digits
from .digits import digits_split as digits_split
from .digits import load_digits as load_digits
from .finite import NonFinite as NonFinite
from .finite import find_nonfinite as find_nonfinite
from .loader import DataLoader as DataLoader
from .sampler import BatchSampler as BatchSampler
from .sampler import RandomSampler as RandomSampler
from .sampler import Sampler as Sampler
from .sampler import SequentialSampler as SequentialSampler
from .sampler import SubsetRandomSampler as SubsetRandomSampler
from .sampler import WeightedRandomSampler as WeightedRandomSampler
from .toy import blobs as blobs
from .toy import circles as circles
from .toy import moons as moons
from .toy import sine as sine
from .toy import spiral as spiral
from .toy import xor as xor

if TYPE_CHECKING:
    from .tables import Preprocessing as Preprocessing
    from .tables import Schema as Schema
    from .tables import Table as Table
    from .tables import penguins as penguins
    from .tables import read_table as read_table

_OF_TABLES = ("Preprocessing", "Schema", "Table", "penguins", "read_table")
"""Loaded when first used: tables read files by `train.files`, and `train` needs this package."""


def __getattr__(name: str) -> Any:
    if name in _OF_TABLES:
        return getattr(importlib.import_module(".tables", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
