"""The executor: a child process that runs author code and nothing else."""
