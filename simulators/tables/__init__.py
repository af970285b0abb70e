"""Closed-form functions of a few numbers, as pairs of a cheap and an expensive version."""
