"""JSON Schema on the contract side: what stands between a reader and a writer, contracts of consumers, changes.

parsing     text to nodes                  nodes        a schema, whichever draft it is written in
walker      reader and writer together     facts        what is known of a value that the writer calls valid
pairs       what a rule looks at           rules        one module each
projection  the contract of a consumer     changes      what differs, for people
lines       where in the text something stands
"""
