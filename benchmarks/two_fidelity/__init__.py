"""The functions that `classics.py` measures, their draws, and the libraries with which it compares the methods."""
