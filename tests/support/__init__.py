"""What several test modules stand on: builders of records, and the reading of answers."""
