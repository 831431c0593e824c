"""The answers of each address, one module a noun."""
