"""The registry as a part of the server.

routes -> subjects (what may happen) -> store (one SQLite file)
                   |
                   +-> judge (processes with a time limit) -> judging: prismlib.contracts decides
"""
