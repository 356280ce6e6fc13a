"""Floor 3: documents in and out."""
