"""Methods that leave the source as it is and put something around it."""
