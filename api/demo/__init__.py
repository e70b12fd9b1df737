"""The demo: a street of virtual homes, its community and its history, and the two minutes that tell the story."""
