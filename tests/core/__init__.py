"""The core by itself: old journals, and what no scenario tells."""
