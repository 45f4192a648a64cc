"""The daemon: dispatch for a district police force. Its parts meet devices and simulators on the wire only."""

__version__ = "0.2.0"
