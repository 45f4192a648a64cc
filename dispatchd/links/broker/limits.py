"""The bounds both brokers keep, each with its unit and what happens at the bound. No code lives here."""

# One MQTT packet after log-in; a longer one closes the connection.
MAX_PACKET_BYTES = 128 * 1024

# A CONNECT with its will; a longer packet before log-in closes the connection unread (mosquitto: 100,000
# bytes).
MAX_LOGIN_PACKET_BYTES = 4 * 1024

# amqtt: from TCP accept to a whole CONNECT; then closed.
LOGIN_TIMEOUT_S = 5.0

# amqtt: connections not logged in yet; at the bound the oldest of them is closed.
MAX_PENDING_LOGINS = 256

# amqtt: live sessions (at most 200 devices, and room for tools); then CONNACK 3, server unavailable.
MAX_SESSIONS = 256

# mosquitto: live connections; then closed at accept.
MAX_CONNECTIONS = 12_000

# QoS 1 messages sent to one client and not acknowledged; further ones queue.
MAX_INFLIGHT_MESSAGES = 2_000

# QoS 1 messages queued for one client behind the window. At the bound amqtt cuts the client, which says so
# loudly and makes it resync; mosquitto drops. Half full for the daemon, amqtt stops reading from devices.
MAX_QUEUED_MESSAGES = 20_000

# mosquitto: the same in bytes.
MAX_QUEUED_BYTES = 64 * 1024 * 1024

# amqtt: bytes the kernel has not taken yet, per client; above it QoS 0 is dropped and counted, QoS 1 still
# queues.
MAX_SEND_BUFFER_BYTES = 1024 * 1024

# amqtt: subscriptions of one client; then SUBACK 0x80.
MAX_FILTERS = 256

# amqtt: retained messages; one on a further topic is delivered, not kept, and logged.
MAX_RETAINED = 2_048

# amqtt: topics whose receivers are remembered; then all are looked up afresh.
MAX_ROUTES = 4_096

# amqtt: for the older connection of the same identity to end; then the newer is refused.
TAKEOVER_TIMEOUT_S = 5.0

# amqtt: silence allowed, in keep-alive periods (MQTT 3.1.1, section 3.1.2.10); then cut, and the will
# fires.
KEEP_ALIVE_FACTOR = 1.5
