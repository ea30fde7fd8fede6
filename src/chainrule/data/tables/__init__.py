"""Tables: read, understood column by column, and made into arrays for a network."""

from .penguins import penguins as penguins
from .reading import read_table as read_table
from .table import Column as Column
from .table import Table as Table
