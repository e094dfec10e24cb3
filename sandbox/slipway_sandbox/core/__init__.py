"""What every service shares: the world, the call log, simulated time, events, faults and errors. It knows no service."""
