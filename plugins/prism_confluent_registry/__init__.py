"""Any schema registry with Confluent's REST interface: where schema ids come from, and where schemas are registered.

| module | what it is about |
| --- | --- |
| `access` | addresses, credentials and TLS files of `[registry]` |
| `connection` | HTTP: several addresses, retries, time limits, bounded answers |
| `answers` | JSON to schemas, and statuses to errors |
| `registry` | the registry itself, and what it remembers |
| `config`, `plugin` | the table in `prism.toml`; the entry point |

Only the last line imports pydantic, so that a command which checks schemas starts fast.
"""
