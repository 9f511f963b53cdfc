"""A plugin of a stranger's distribution: the sink ``webhook`` and the decoder ``msgpack``."""
