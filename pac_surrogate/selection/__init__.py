"""The choice of a method among weighted candidates in closed form, and of the inputs to run on the target next."""
