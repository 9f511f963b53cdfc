"""Elasticsearch: a sink that writes to an alias and keeps the ledger beside the data, and its administration.

| module | what it is about |
| --- | --- |
| `connection` | HTTP, credentials, what a status means |
| `bulk`, `answers` | documents to a request; an answer to outcomes |
| `conflicts` | stale, or deleted by somebody else? |
| `generations`, `ledger` | what an alias points to; progress on one generation |
| `claims` | which of two processes is the worker |
| `sink` | the stage |
| `templates`, `administration` | how indices are made; setup and preflight |
| `config`, `plugin` | the table in the pipeline file; the entry point |
"""
