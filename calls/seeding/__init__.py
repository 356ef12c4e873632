"""Many calls that never were, for trying out what many calls do."""
