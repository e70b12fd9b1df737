"""The door and the wiring: the only package that may import every other."""
