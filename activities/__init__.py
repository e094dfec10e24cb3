"""One module for each outside system; each public method of an activity class is one activity."""
