"""Many solvers or many instances in one go."""
