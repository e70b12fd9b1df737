"""A street of virtual homes: devices that speak the real Bluetooth protocol through a virtual radio.

Nothing in here is needed on a gateway with a Bluetooth adapter; it needs the extra ``virtual`` (bumble).
"""
