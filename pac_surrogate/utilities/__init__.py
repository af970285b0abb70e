"""Utilities for all parts: checks of arguments, display of results, memory, threads, devices and progress."""
