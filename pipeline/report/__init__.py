"""The report page and the summary table of a run."""
