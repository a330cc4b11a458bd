"""What the base library of an image has, and what is put beside it."""
