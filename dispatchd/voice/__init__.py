"""The voice room: sound from one talker to all who may hear it. docs/voice.md says which file does what."""
