"""Folds of logs into columns, and the views of a request that are made from them."""
