"""Avro: a decoder and an encoder whose code is generated once per schema.

schema       text to types                          resolution   writer + reader + reads -> a plan
decoding     plan -> Python source                  encoding     type -> Python source
decoder      batches to rows                        encoder      bodies to bytes
plugin       the entry point
"""
