"""Types of things, enums, and what fields and restrictions accept."""
