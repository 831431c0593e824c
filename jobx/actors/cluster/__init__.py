"""The nodes of a cluster: who they are, and which executors they lend each other."""
