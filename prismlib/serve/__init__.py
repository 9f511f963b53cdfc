"""One web server of mountable parts.

    request -> guarding (token, size, access log) -> application -> a part's routes
                                                                    registry: Confluent's REST interface, one SQLite file

``application`` puts parts together, ``server`` runs them. Needs the extra ``serve``; nothing outside this package imports it
but ``prism serve``.
"""
