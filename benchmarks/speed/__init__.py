"""What `simulation_speed.py` measures, and the libraries beside which it does so."""
