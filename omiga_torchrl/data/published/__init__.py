"""Published datasets by name: facts, where they are, and how to get them."""
