"""Avro on the contract side: what stands between a reader and a writer.

format       the entry point: SchemaFormat for Avro
walker       reader + writer -> pairs             rules       one module a rule: a pair -> what is wrong with it
contract     the reader schema of some fields     changes     what differs, for people
defaults     what a field without a value gets    lines       where something stands in a text
"""
