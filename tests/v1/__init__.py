"""The rules that one noun has for itself."""
