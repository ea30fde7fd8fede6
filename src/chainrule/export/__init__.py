"""Programs for elsewhere: one file of C that predicts, or trains, without this package."""
