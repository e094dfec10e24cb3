"""The sandbox's own API under `/_sandbox/`, and its page."""
