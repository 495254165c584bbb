"""The version, where the build, the command line and the User-Agent read it."""

__version__ = "0.1.0"
