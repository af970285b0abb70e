"""Transfer methods, a file each, in folders by kind: they pose problems, and never train."""
