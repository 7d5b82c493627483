"""Intervals, calibration and agreement: what evaluations allow to say."""
