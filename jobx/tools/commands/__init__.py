"""One command module a noun."""
