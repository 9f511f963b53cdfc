"""Avro: a decoder and an encoder whose code is generated once per schema, and the rules that schemas evolve by.

names        names and places in a text             schema       what a text becomes: types
parsing      text to types                          resolution   writer + reader + reads -> a plan
decoding     plan -> Python source                  encoding     type -> Python source
decoder      batches to rows                        encoder      bodies to bytes
plugin       the entry point of the stages          compatibility/  what stands between a reader and a writer
"""
