"""The record: PostgreSQL with TimescaleDB where it is there. All SQL lives here, one module per aggregate."""
