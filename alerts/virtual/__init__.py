"""Stand-ins for the world outside: a telephone network that speaks Twilio's HTTP API."""
