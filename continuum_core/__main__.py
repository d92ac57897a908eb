"""`python -m continuum_core` is `continuum`."""

from continuum_core.cli.main import main

if __name__ == "__main__":
    main()
