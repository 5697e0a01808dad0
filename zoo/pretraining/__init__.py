"""Masked language modelling: pretraining from scratch, or going on with a backbone on own text."""
