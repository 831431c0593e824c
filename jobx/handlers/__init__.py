"""Author code: how it is stored, checked, loaded, called, and what carries its pairs."""
