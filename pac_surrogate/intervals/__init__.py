"""Calibrated prediction intervals from residuals on samples that a fit has not seen."""
