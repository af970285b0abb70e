"""Surrogates: one predictor with its scaling to and from physical units."""
