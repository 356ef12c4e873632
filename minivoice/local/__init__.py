"""The embedded default: PostgreSQL, Valkey and all processes on one machine, behind `make run`."""
