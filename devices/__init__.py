"""The home: what runs on the gateway. Knows no server, no database, no people.

A reading goes down this list:

- the air: ``radio`` (the seam), ``bluez`` and ``agent`` (the machine's own adapter), ``station`` (one adapter at work),
  ``link`` (one connection), ``finder`` (strangers, while somebody looks for a new device)
- the devices: ``collector``, ``drivers/`` (one module for each kind), ``gatt/`` (bytes to values), ``habits``, ``falls/``
- the desk: ``desk``, ``readings`` and ``recording`` (the vocabulary), ``timekeeper`` (what time it is), ``homes`` and
  ``presence`` (has anybody moved?)
- the disk: ``outbox``, ``outbox_shape``
- the way out: ``uplink``, ``overtaken``, ``emergencies``, ``ways``, ``service``, ``heartbeat``; ``first_aid`` and
  ``aloud`` when there is none
- the machine: ``gateway`` wires it all, ``watchdog``, ``machine``, ``systemd``, ``limits``, ``waiting``

``virtual/`` is a street of homes without hardware.
"""
