"""Results to look at: overlay videos, their grid, and the map of the ground plane."""
