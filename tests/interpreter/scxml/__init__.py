"""A loader of SCXML files over the interpreter, for conformance: test code, no part of the product."""
