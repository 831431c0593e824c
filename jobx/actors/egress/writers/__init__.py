"""Result writers take the results of finished requests somewhere else."""
