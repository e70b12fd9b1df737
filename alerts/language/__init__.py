"""The rule language behind :mod:`alerts.protocol`: its grammar, what it refuses, and what it says of a rule in words. Pure.

``grammar`` takes TOML apart by ``tables``; ``checks`` (with ``number_checks``, ``units`` and ``shadows``) refuses what makes
no sense; ``explain`` says a rule in ``vocabulary``, in English and Chinese. What a rule is stands in :mod:`alerts.rule`.
"""
