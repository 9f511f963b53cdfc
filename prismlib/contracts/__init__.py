"""The contract side: where schemas come from, what their subjects promise, and whether a change keeps the promise."""
