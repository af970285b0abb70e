"""The two solvers of Plans: gradient descent on any number of Plans at once, and a closed form."""
