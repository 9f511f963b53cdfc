"""JSON behind the registry header, or bare: a decoder that can pass bodies through, and an encoder that drops nothing.

decoder   batches to rows             encoder   bodies to bytes
faults    what JSON cannot hold       plugin    the entry point
"""
