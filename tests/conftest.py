"""Real servers for tests that are marked so."""

pytest_plugins = ["prism_devservers.fixtures"]
