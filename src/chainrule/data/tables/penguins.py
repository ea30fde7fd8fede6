"""The embedded table: 344 penguins, with texts and missing values (see ../assets/)."""

from __future__ import annotations

from ..embedded import embedded
from .reading import read_table
from .table import Table

SHA256 = "f204db2c753b0937caac3cb35258562c14f073e4bbc76be24b4c51ce22767a93"


def penguins() -> Table:
    """The Palmer penguins: 344 rows of species, island, sizes, sex and year; 11 lack values.

    Read from inside the package; nothing is downloaded.  Raises FormatError if the file was
    altered.  Source: K. B. Gorman, T. D. Williams, W. R. Fraser, PLoS ONE 9(3): e90081, 2014,
    https://doi.org/10.1371/journal.pone.0090081 (CC0).

    >>> import chainrule
    >>> table = chainrule.data.penguins()
    >>> table.size_said
    '344 rows, 8 columns'
    >>> table["species"].values[0], table["bill_length_mm"].values[3]
    ('Adelie', 'NA')
    """
    return read_table(embedded("penguins.csv", SHA256), name="penguins.csv")
