"""Transfer methods, one file each, in folders by kind: a method poses problems to the solvers and never trains itself."""
