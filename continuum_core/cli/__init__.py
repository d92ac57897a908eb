"""The command line: parses what was typed, asks the library, prints what it answers."""
