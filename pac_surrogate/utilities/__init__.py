"""What every part needs: checks of arguments, how results show themselves, memory, threads, devices, progress."""
