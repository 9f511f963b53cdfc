"""The function that ``mappings/planes.toml`` names."""


def nothing() -> None:
    """The time and the airport of an aircraft: null, which TOML cannot write."""
