"""Helpers around parameters and gradients."""

from .clip import clip_grad_norm_ as clip_grad_norm_
from .clip import clip_grad_value_ as clip_grad_value_
from .clip import get_total_norm as get_total_norm
from .clip import parameters_to_vector as parameters_to_vector
from .clip import vector_to_parameters as vector_to_parameters
from .init import skip_init as skip_init
