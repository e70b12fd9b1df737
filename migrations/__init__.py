"""The record's shape: numbered SQL files, applied in order, forward only."""
