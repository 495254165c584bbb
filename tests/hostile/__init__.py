"""A hostile server, written from the wire's description alone, meets the real client.

Real sockets and the real clock: what is tested is what a kernel's TCP and an HTTP client make of
resets, cuts, stalls and stale connections, which no double shows. Every wait is a fraction of a
second.
"""
