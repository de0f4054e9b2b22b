"""The output of the commands for people and for scripts: tables, words, JSON, and where a line ends."""
