"""Figures of curves, savings and samples."""
