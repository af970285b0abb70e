"""Data sets, their variables and scales, and the metrics of predictions."""
