"""The home: what runs on the gateway. Knows no server, no database, no people."""
