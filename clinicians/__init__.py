"""The faces: portals for doctors, care workers, families and residents."""
