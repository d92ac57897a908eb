"""The conformance kit: the port's promises as tests, one file a promise.

Run it against any installed backend, from anywhere (it needs ``continuum-core[test]``):

    pytest --pyargs continuum_core.testing.conformance --journal URL

`{fresh}` in the URL becomes a new name for every test (``sqlite:////tmp/kit/{fresh}.db``); without it
every test takes namespaces of its own in the one store. The run ends with CONFORMS, or with the
promises that failed. Tests speak to the port alone; what a backend does not declare is skipped by the
name of the capability.
"""
