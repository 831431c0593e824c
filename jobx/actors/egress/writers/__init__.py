"""Result writers: what takes the result of a finished request somewhere else."""
