"""Whole runs on their way: to another journal, into a file, and back."""
