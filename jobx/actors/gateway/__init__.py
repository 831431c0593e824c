"""The door of a node: verbs that web processes and the command line ask."""
