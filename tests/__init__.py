"""The suite; support/ is what its modules share."""
