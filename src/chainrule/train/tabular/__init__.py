"""Networks for tables: RealMLP's recipe, k-fold ensembles and halving, many networks as one."""

from .data import TabularData as TabularData
from .ensemble import TabularEnsemble as TabularEnsemble
from .ensemble import fit_tabular as fit_tabular
from .fitting import TableFit as TableFit
from .folds import folds as folds
from .folds import hold_out as hold_out
from .halving import Halving as Halving
from .halving import successive_halving as successive_halving
from .members import Member as Member
from .members import Members as Members
from .model import TableModel as TableModel
from .rates import find_rate as find_rate
from .recipe import Recipe as Recipe
from .resuming import verify_table_resume as verify_table_resume
from .schedules import coslog as coslog
from .schedules import ends as ends
from .schedules import flat_cos as flat_cos
from .watching import TableWatch as TableWatch
