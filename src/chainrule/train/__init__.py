"""Training: the fit loop, callbacks, metrics, checkpoints and run folders."""

from . import metrics as metrics
from .callbacks import Callback as Callback
from .callbacks import EarlyStopping as EarlyStopping
from .callbacks import LambdaCallback as LambdaCallback
from .history import History as History
from .lr_find import LRFinding as LRFinding
from .lr_find import lr_find as lr_find
from .metrics import Metric as Metric
from .reproduce import reproduce as reproduce
from .run import Run as Run
from .run import list_runs as list_runs
from .run import open_run as open_run
from .tensorboard import TensorBoard as TensorBoard
from .trainer import Trainer as Trainer
from .watch import Watch as Watch
from .weights import EMA as EMA
