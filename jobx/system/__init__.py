"""Calls of the operating system; only these modules know them."""
