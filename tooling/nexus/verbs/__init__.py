"""One module per group of commands: parse the arguments, call a stage, print what it returned. Never holds a stage's logic."""
