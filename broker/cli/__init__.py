"""The command line, a module for each subject; `program` puts them together."""
