"""What `deploy.py` measures of a network, and the tables and the figure that it makes of the results."""
