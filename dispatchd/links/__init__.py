"""MQTT in and out, and the embedded broker as a child process. Links translate; they decide nothing."""
