"""Neural networks as scikit-learn estimators: `chainrule.sklearn.MLPClassifier` and its kin.

Loaded when first used: `import chainrule` does not import scikit-learn.
"""

from ..errors import ArgumentError

try:
    import sklearn as _partner  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "sklearn":
        raise
    raise ArgumentError(
        "the estimators need scikit-learn, which is not installed",
        expected="scikit-learn 1.9 or newer", fix="pip install 'chainrule[sklearn]'", line="",
    ) from None  # fmt: skip

from .. import compiler as _compiler  # noqa: F401  so that no fit waits for it
from .classifier import MLPClassifier as MLPClassifier
from .neural_net_classifier import NeuralNetClassifier as NeuralNetClassifier
from .neural_net_regressor import NeuralNetRegressor as NeuralNetRegressor
from .regressor import MLPRegressor as MLPRegressor
