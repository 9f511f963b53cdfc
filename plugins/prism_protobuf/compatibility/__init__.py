"""Protobuf on the contract side: what stands between a reader and a writer, contracts, changes and lines."""
