"""A trained model behind HTTP: a page for people, JSON for programs, and batches for the model."""
