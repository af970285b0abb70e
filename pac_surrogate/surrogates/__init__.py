"""Surrogates: scaling and one predictor, in physical units."""
