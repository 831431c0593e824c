"""What people see of nodes and requests: traces, graphs, sessions, views."""
