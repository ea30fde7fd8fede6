"""The functions behind the layers, as in torch.nn.functional."""

from ..functional import *  # noqa: F403
from .dropout import dropout as dropout
