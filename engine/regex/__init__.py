"""Matching of regular expressions: the PCRE2 dialect on bytes, with bounds on what a pattern may cost.

`pcre.py` is the binding's narrow face, `pattern.py` decides where a search runs, `process.py` and `worker.py` are the
two sides of the process for searches that may take long. Nothing here knows values of the language.
"""
