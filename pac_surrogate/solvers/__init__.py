"""The two solvers of a Plan: by gradient, any number of them at once, and in closed form."""
