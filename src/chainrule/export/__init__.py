"""Programs for elsewhere: one file of C that predicts, or trains, without this package."""

from .c import export_c as export_c
from .table import export_table_c as export_table_c
