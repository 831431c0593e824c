"""How handlers come into the store: headers, checks of source, synced folders."""
