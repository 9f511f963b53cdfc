"""Elasticsearch: a sink that writes to an alias and keeps the ledger beside the data, and its administration.

connection      HTTP, credentials, what a status means     config          the table in the pipeline file
bulk            documents to a request                     answers         an answer to outcomes
ledger          progress, per generation                   generations     what an alias points to
sink            the stage                                  templates       how indices are made
administration  setup and preflight                        plugin          the entry point
"""
