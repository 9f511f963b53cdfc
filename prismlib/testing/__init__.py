"""For tests of plugins and of whatever drives them.

- :mod:`prismlib.testing.memory`: a broker, a source, a reader and sinks in memory
- :mod:`prismlib.testing.faults`: sources and sinks that fail on a seeded plan
- :mod:`prismlib.testing.clauses`: the numbered clauses of the stage interfaces
- ``prismlib.testing.source_conformance``, ``decoder_conformance``, ``normalizer_conformance``, ``encoder_conformance``,
  ``sink_conformance`` and ``reader_conformance``: suites that a plugin's tests inherit

Only the suites need pytest; importing this package, the memory parts or the faults does not.
"""
