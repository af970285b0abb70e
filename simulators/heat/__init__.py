"""Heat conduction: its solver, and rods and plates with random temperatures."""
