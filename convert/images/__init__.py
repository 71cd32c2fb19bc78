"""Pictures: reading them, where they lie in a network's input, and scaling them there. One place for each."""
