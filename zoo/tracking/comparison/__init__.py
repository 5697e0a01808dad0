"""Several runs of one task side by side: scores with intervals, differences, errors, a page."""
