"""Gradients on request, under PyTorch's names."""

from .tensor.anomaly import detect_anomaly as detect_anomaly
from .tensor.anomaly import set_detect_anomaly as set_detect_anomaly
from .tensor.autograd import backward as backward
from .tensor.autograd import enable_grad as enable_grad
from .tensor.autograd import grad as grad
from .tensor.autograd import no_grad as no_grad
from .tensor.autograd import set_grad_enabled as set_grad_enabled
