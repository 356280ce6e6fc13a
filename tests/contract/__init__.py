"""The promises that hold for every noun."""
