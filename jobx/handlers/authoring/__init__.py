"""How handlers get into the store: headers, checks of sources, synced folders."""
