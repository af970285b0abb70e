"""The wave equation: its solver, and strings and membranes with random displacements."""
