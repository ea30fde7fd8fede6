"""Datasets, samplers and the DataLoader, with PyTorch's names (`torch.utils.data`)."""

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
