"""`python -m pac_surrogate` is the command `pac-surrogate`."""

from pac_surrogate.cli import main

if __name__ == "__main__":
    main("pac-surrogate")
