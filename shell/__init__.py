"""The command `livethings` for those who talk to a server: queries, watches, backups, a shell.

Each command is a module with `add`, which declares its arguments, and `run`, which gives the exit status. Everything
that takes long to import is imported when it is used: a query from a script should not wait for a shell.
"""
