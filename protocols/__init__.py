"""What both ends of the wire share: topics, messages, codec, envelope, site file. No I/O, imports nothing of ours."""
