"""Calibrated intervals from residuals that a fit has not seen."""
