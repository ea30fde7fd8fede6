"""Learning rate schedules, with PyTorch's names."""

from .base import LRScheduler as LRScheduler
from .composite import ChainedScheduler as ChainedScheduler
from .composite import SequentialLR as SequentialLR
from .curves import CosineAnnealingLR as CosineAnnealingLR
from .curves import CosineAnnealingWarmRestarts as CosineAnnealingWarmRestarts
from .curves import LinearLR as LinearLR
from .curves import PolynomialLR as PolynomialLR
from .curves import WarmupCosineLR as WarmupCosineLR
from .one_cycle import OneCycleLR as OneCycleLR
from .plateau import ReduceLROnPlateau as ReduceLROnPlateau
from .stairs import ConstantLR as ConstantLR
from .stairs import ExponentialLR as ExponentialLR
from .stairs import LambdaLR as LambdaLR
from .stairs import MultiplicativeLR as MultiplicativeLR
from .stairs import MultiStepLR as MultiStepLR
from .stairs import StepLR as StepLR
