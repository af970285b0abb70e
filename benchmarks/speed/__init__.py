"""The cases that `simulation_speed.py` measures, and the libraries with which it compares them."""
