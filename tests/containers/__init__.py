"""Dockerfile, docker-compose.yml and kubernetes/: what they say is so, and what they start starts, where no engine is."""
