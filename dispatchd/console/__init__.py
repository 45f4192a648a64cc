"""The operator's hands: HTTP and WebSocket API, sign-in, views of the committed state. Decides nothing
itself."""
