"""The report: what a run did and why, as one page that opens anywhere and prints."""
