"""A real Label Studio: its server, the project, push and pull."""
