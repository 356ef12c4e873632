"""How Django writes dates for people."""
