"""Floor 2: who may do what."""
