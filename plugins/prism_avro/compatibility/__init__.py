"""Avro on the contract side: what stands between a reader and a writer.

format       the entry point: SchemaFormat for Avro
walker       reader + writer -> pairs             rules       one module a rule: a pair -> what is wrong with it
pairs        what a rule looks at                 wording     what the rules' sentences have in common
around       the unions that a pair came from     defaults    what a field without a value gets
contract     the reader schema of some fields     changes     what differs, for people
soundness    what clients refuse                  lines       where something stands in a text
"""
