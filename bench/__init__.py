"""What `make bench` measures: the platform against a floor on the same machine, in the same minutes."""
