"""Pairs whose sources and targets are computed by libraries that others wrote, or measured."""
