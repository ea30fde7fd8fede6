"""Tables: read, understood column by column, and made into arrays for a network."""

from .cells import with_values as with_values
from .infer import Feature as Feature
from .penguins import penguins as penguins
from .preprocessing import Arrays as Arrays
from .preprocessing import Preprocessing as Preprocessing
from .reading import read_table as read_table
from .schema import Schema as Schema
from .table import Column as Column
from .table import Table as Table
from .target import Target as Target
