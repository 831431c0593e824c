"""Durable state: the store's contract, its back ends, and what is kept in it."""
