"""A person's number, taken out of everything that is kept."""
