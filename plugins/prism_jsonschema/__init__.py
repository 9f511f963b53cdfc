"""JSON behind the registry header, or bare, validated: a decoder that can pass bodies through, and an encoder.

decoder     batches to rows                          encoder     bodies to bytes
validation  a schema, compiled to a check            explaining  why a value does not fit
documents   a schema and what it imports             limits      what a schema could do to a worker
engine      the validator and its options            reading     how far a broken value is JSON
faults      what JSON cannot hold                    effort      how much is validated and explained
subjects    the schema that a stage names            plugin      the entry point
"""
