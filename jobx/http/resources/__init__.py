"""One resource a noun: what each address answers."""
