"""What a protocol would have done with the record: ``replay`` and ``counts`` are pure; ``jobs`` reads the record and runs
them on several cores; ``desk`` does so for the pages, one at a time."""
