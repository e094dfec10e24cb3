"""AWS: clients, errors and shared polling."""
