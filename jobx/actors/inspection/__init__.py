"""What people see of a node and of a request: traces, graphs, sessions, views."""
