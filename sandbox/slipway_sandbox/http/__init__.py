"""The HTTP server that everything is answered by, and the limits of what it reads."""
