"""Keys and values on their way: grouped, sorted, spilled to disk, merged."""
