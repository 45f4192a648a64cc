"""Measuring what is heard, and the bad network in between: helpers for every test of sound, and their own tests.

`compare` says how much of a spoken sentence a listener heard; `relay` is a network that loses, delays, doubles and
reorders datagrams, the same way each time for one seed; `opus_path` is sound straight through the codec, with loss.
"""
