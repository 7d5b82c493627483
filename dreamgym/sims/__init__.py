"""Simulators and a uniform view of them."""
