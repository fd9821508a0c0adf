"""The commands: each joins rooms and holds no logic of its own."""
