"""Any policy in a dream and in its twin, from the same start states."""
