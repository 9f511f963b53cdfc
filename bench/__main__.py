"""``python -m bench``: both workers beside hand-written loops on real servers; see :mod:`bench.road`."""

from bench.road import main

main()
